"""Which file of a directory was the fastest here: kept beside the model, so that the next load need not time them."""

from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pydantic import BaseModel, ValidationError

from pocketbert.files import hash_file, hash_text, write_atomically
from pocketbert.machine import processor_kind
from pocketbert.manifest import NAME as MANIFEST

NAME = "calibration.json"
_LIBRARIES = ("onnxruntime", "openvino")
_KEPT = 32
"""Choices at most: a directory that many kinds of machine share is not to grow for ever."""


class Calibration(BaseModel):
    """What was found.

    Attributes:
        choices: by the hash of all that a choice depends on (the manifest, the processor, the libraries, the options)
            the file, from the model directory; the latest last.
    """

    choices: dict[str, str]


def calibration_key(folder: Path, options: Mapping[str, object]) -> str:
    """Hash of all that the choice of a file depends on."""
    versions = [f"{name} {_version(name)}" for name in _LIBRARIES]
    asked = [f"{name} {value}" for name, value in sorted(options.items())]
    return hash_text(hash_file(folder / MANIFEST), processor_kind(), *versions, *asked)


def recall(folder: Path, key: str) -> str | None:
    """The file that was chosen when everything was as it is now; None where there is no such memory."""
    return _read(folder).choices.get(key)


def remember(folder: Path, key: str, path: str) -> None:
    """Keep a choice beside others; where the directory cannot be written to, each load makes it anew."""
    others = [(each, chosen) for each, chosen in _read(folder).choices.items() if each != key]
    known = Calibration(choices=dict([*others, (key, path)][-_KEPT:]))
    with suppress(OSError):
        write_atomically(folder / NAME, known.model_dump_json(indent=2) + "\n")


def _read(folder: Path) -> Calibration:
    try:
        return Calibration.model_validate_json((folder / NAME).read_bytes())
    except (OSError, ValidationError):
        return Calibration(choices={})


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "not installed"
