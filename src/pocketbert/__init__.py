"""PocketBERT: distil a BERT-family teacher into a small fast student, measure what it kept, and run it.

``pocketbert.load`` makes a pipeline of an exported student. ``pocketbert.pipeline`` holds a function for each command
that trains or measures.
"""

from typing import TYPE_CHECKING, Any

from pocketbert import quiet  # sets the environment that libraries read when they are imported

if TYPE_CHECKING:
    from pocketbert.inference import load

__all__ = ["load", "quiet"]


def __getattr__(name: str) -> Any:
    """What is imported when it is first asked for: engines take a moment that training need not wait."""
    if name == "load":
        from pocketbert.inference import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
