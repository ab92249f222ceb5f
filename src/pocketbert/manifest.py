"""The manifest of a model directory: where it came from, so that a run can be repeated and a stage skipped."""

import datetime
import importlib.metadata
import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from pocketbert.errors import ModelError
from pocketbert.files import hash_file, write_atomically
from pocketbert.machine import Machine, describe_machine

NAME = "manifest.json"
LOG = "log.jsonl"
"""Of a stage that trains, beside the manifest."""


class Parent(BaseModel):
    """A model that a model was made from."""

    role: str
    source: str
    weights: str = Field(description="SHA-256 of its weights, configuration and tokenizer")


class ExportedFile(BaseModel):
    """A file for an engine, and what was found when it was held against the model it was made from.

    Attributes:
        path: of what the engine opens, from the model directory.
        engine: that it was checked with.
        files: SHA-256 of it and of what belongs to it, by path.
        bytes: of these files together.
        description: what the file says about itself.
        limits: that it has to hold.
        parity: what was measured.
    """

    path: str
    engine: str
    files: dict[str, str]
    bytes: int
    description: dict[str, Any]
    limits: dict[str, Any]
    parity: dict[str, Any]


class Manifest(BaseModel):
    """Where a model directory came from.

    Attributes:
        stage: what made it: the name of its stage.
        key: hash of everything that went in; the same key again means nothing has to be done.
        parents: the models it was made from.
        options: the stage's options, resolved.
        data: fingerprint of each source that was read.
        tokenizer: SHA-256 of ``tokenizer.json``.
        metrics: what was measured while it was made.
        notes: what a person should know, such as guessed columns and skipped rows.
        exports: files for engines.
        files: SHA-256 of all else in an exported directory, by path: the model itself, its tokenizer, golden answers.
        machine: where it was made.
        version: of PocketBERT.
        created: UTC.
    """

    stage: str
    key: str
    parents: list[Parent] = []
    options: dict[str, Any] = {}
    data: dict[str, str] = {}
    tokenizer: str = ""
    metrics: dict[str, Any] = {}
    notes: list[str] = []
    exports: list[ExportedFile] = []
    files: dict[str, str] = {}
    machine: Machine = Field(default_factory=describe_machine)
    version: str = Field(default_factory=lambda: importlib.metadata.version("pocketbert"))
    created: str = Field(default_factory=lambda: datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"))


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest: the last thing a stage does, so a directory that has one is whole."""
    write_atomically(folder / NAME, manifest.model_dump_json(indent=2))


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest of a directory, or None where there is none.

    Raises:
        ModelError: the file is not a manifest.
    """
    path = folder / NAME
    if not path.is_file():
        return None
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except ValidationError as error:
        problem = error.errors()[0]
        told = f"{problem['loc']} {problem['msg']}"
        raise ModelError(f"{path}: not a manifest: {told}; restore it, or make the folder anew") from None


def hash_weights(source: str) -> str:
    """SHA-256 over a model directory's weights, configuration and tokenizer; the name itself for a hub model."""
    folder = Path(source)
    if not folder.is_dir():
        return f"hub:{source}"
    files = [*sorted(folder.glob("*.safetensors")), folder / "config.json", folder / "tokenizer.json"]
    return "+".join(hash_file(path)[:32] for path in files if path.is_file())


def hash_options(options: BaseModel) -> str:
    """Options as canonical JSON, for a key.

    Without those that change nothing about the result, and without the data section of a stage, which counts by itself.
    """
    cached = getattr(options, "signals", None) == "cached"
    without: Any = {"save_every": True, "save_steps": True, "data": True, "cache": {"folder"} if cached else True}
    return json.dumps(options.model_dump(mode="json", exclude=without), sort_keys=True)


def hash_tokenizer(source: str) -> str:
    """SHA-256 of a model directory's tokenizer, or of a file; empty where there is none."""
    path = Path(source)
    found = path / "tokenizer.json" if path.is_dir() else path
    return hash_file(found) if found.is_file() else ""
