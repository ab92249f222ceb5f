"""What a cache was made from and what it keeps, held against what a run wants."""

from pathlib import Path

from pydantic import BaseModel, ValidationError

from pocketbert.distill.cache import store
from pocketbert.distill.cache.content import Content
from pocketbert.distill.cache.key import Key, differing
from pocketbert.errors import PocketBertError

VERSION = 2
"""Of the form that records have."""
_HASH = 64
"""Hexadecimal digits of SHA-256."""


class Index(BaseModel):
    """What ``index.json`` remembers.

    Attributes:
        version: of the form that its records have.
        key: what the cache was made from.
        content: what it keeps of what the teacher said.
        precision: in which the teacher computed.
        entries: samples that it was asked about.
        tokens: real tokens of these.
        seconds: that this took.
        error: how far the soft targets by what is kept of a vocabulary are from those as said; empty for a task's.
    """

    version: int = 1
    key: Key
    content: Content
    precision: str
    entries: int = 0
    tokens: int = 0
    seconds: float = 0.0
    error: dict[str, float] = {}


def has_index(folder: Path) -> bool:
    """Whether there is a cache, finished or not."""
    return (folder / store.INDEX).is_file()


def read_index(folder: Path) -> Index:
    """The index of a cache.

    Raises:
        PocketBertError: it is not one.
    """
    try:
        return Index.model_validate(store.read_index(folder))
    except (ValidationError, ValueError):
        raise PocketBertError(
            f"{folder / store.INDEX}: not the index of a cache; delete the folder, or name another in cache.folder"
        ) from None


def begin_index(folder: Path, key: Key, content: Content, precision: str) -> None:
    """Start an empty cache."""
    store.write_index(
        folder, Index(version=VERSION, key=key, content=content, precision=precision).model_dump(mode="json")
    )


def write_error(folder: Path, error: dict[str, float]) -> None:
    """Remember how far off what is kept is."""
    store.write_index(folder, store.read_index(folder) | {"error": error})


def check_index(folder: Path, index: Index, key: Key, content: Content, precision: str) -> None:
    """Refuse a cache that does not match.

    Args:
        folder: of the cache.
        index: what it holds.
        key: what the run learns from.
        content: what the run needs.
        precision: of the run; ``auto`` takes that of the cache.

    Raises:
        PocketBertError: what it was made from is something else, or it keeps something else; the message names it.
    """
    if index.version != VERSION:
        raise PocketBertError(
            f"{folder}: this cache was written by another version of PocketBERT; delete it, or name another folder in "
            "cache.folder"
        )
    others = [
        f"{name} ({_short(index.key.get(name, 'none'))}, not {_short(key[name])})" for name in differing(key, index.key)
    ]
    if precision not in ("auto", index.precision):
        others.append(f"precision ({index.precision}, not {precision})")
    if others:
        raise PocketBertError(
            f"{folder}: this cache was made with another {', another '.join(others)}; delete it, or name another "
            "folder in cache.folder"
        )
    if not index.content.covers(content):
        raise PocketBertError(
            f"{folder}: this cache keeps {index.content.describe()}, but the run needs {content.describe()}; delete "
            "it, or name another folder in cache.folder"
        )


def _short(part: str) -> str:
    """A hash by its beginning; what is none as it is."""
    return part[:12] if len(part) == _HASH else part
