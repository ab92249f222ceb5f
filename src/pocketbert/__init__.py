"""PocketBERT: distil a BERT-family teacher into a small fast student, and measure what it kept.

``pocketbert.pipeline`` holds a function for each command: ``pretrain``, ``finetune``, ``distill``, ``evaluate``,
``compare`` and ``run``.
"""

from pocketbert import quiet  # sets the environment that libraries read when they are imported

__all__ = ["quiet"]
