"""Pipelines: text in, typed answers out. Needs neither torch nor transformers."""

from pocketbert.inference.loading import load

__all__ = ["load"]
