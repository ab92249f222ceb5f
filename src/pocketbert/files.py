"""Writing files so that a killed run leaves either the old one or the new one, never half of it."""

import hashlib
import os
from pathlib import Path

from pocketbert.errors import PocketBertError


def write_atomically(path: Path, text: str) -> None:
    """Write text under a temporary name beside ``path``, then rename it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def hash_file(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_text(*parts: str) -> str:
    """SHA-256 of the parts, each set off from the next."""
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()


def folder_to_make(path: Path) -> Path:
    """Refuse what cannot become a folder, before anything is put into it."""
    there = next(place for place in (path, *path.absolute().parents) if place.exists())
    if not there.is_dir():
        raise PocketBertError(f"{there}: a file, where a folder is needed; name another place")
    return path
