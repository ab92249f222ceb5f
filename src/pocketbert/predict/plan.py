"""The plan of a run: which parts there are, and of what they are made."""

import base64
from collections.abc import Mapping
from typing import Any, Literal

import pyarrow as pa
from pydantic import BaseModel

from pocketbert.predict.options import InputFormat
from pocketbert.predict.sources import Print, Source

NAME = "plan.json"


class Head(BaseModel):
    """What stands before the rows of an input.

    Attributes:
        names: of its columns.
        offset: bytes before its first row, in the decompressed file.
        line: lines before it.
    """

    names: list[str]
    offset: int = 0
    line: int = 0


class Part(BaseModel):
    """Rows that are computed and kept together.

    Attributes:
        number: of the part, counted from 0.
        source: number of the input.
        row: its first row there, counted from 0.
        rows: how many.
        offset: bytes before it in the decompressed file; 0 in tables.
        line: lines before it; 0 in tables.
    """

    number: int
    source: int
    row: int
    rows: int
    offset: int = 0
    line: int = 0


class Chosen(BaseModel):
    """The file that runs.

    Attributes:
        path: from the model directory.
        engine: that runs it.
        precision: of it.
    """

    path: str
    engine: str
    precision: str


class Fingerprint(BaseModel):
    """All that the bytes of an output depend on.

    Attributes:
        version: of PocketBERT.
        model: SHA-256 of the files that make the predictions, by path.
        options: those that shape the output.
        inputs: in their order.
    """

    version: str
    model: dict[str, str]
    options: dict[str, Any]
    inputs: list[Print]


class Target(BaseModel):
    """What is written.

    Attributes:
        format: of it.
        compression: of text; empty for none.
        folder: whether the parts are the output.
    """

    format: InputFormat
    compression: Literal["", ".gz", ".zst"] = ""
    folder: bool = False

    @property
    def ending(self) -> str:
        """Of the name of a part."""
        return f".{self.format}{self.compression}"


class Plan(BaseModel):
    """What a run does, the same on one machine and on many.

    Attributes:
        fingerprint: what it depends on.
        model: where the model lies.
        chosen: the file that runs.
        sources: the inputs.
        heads: of the inputs.
        names: columns of the input that the output has.
        table: the Arrow schema of these columns, in base64; empty where none is known.
        width: of embeddings; 0 for other tasks.
        columns: which column holds what.
        target: what is written.
        parts: all of them, in order.
    """

    fingerprint: Fingerprint
    model: str
    chosen: Chosen
    sources: list[Source]
    heads: list[Head]
    names: list[str]
    table: str
    width: int
    columns: dict[str, str]
    target: Target
    parts: list[Part]

    @property
    def rows(self) -> int:
        """Of all parts."""
        return sum(part.rows for part in self.parts)

    def part_name(self, number: int) -> str:
        """Of the file of a part."""
        return f"part-{number:06d}{self.target.ending}"

    def failed_name(self, number: int) -> str:
        """Of the file with the failed rows of a part."""
        return f"part-{number:06d}.failed.jsonl"


def dump_schema(schema: pa.Schema | None) -> str:
    """An Arrow schema as text."""
    return base64.b64encode(schema.serialize().to_pybytes()).decode() if schema is not None else ""


def load_schema(text: str) -> pa.Schema:
    """What :func:`dump_schema` wrote."""
    return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(text)))


def difference(old: Fingerprint, new: Fingerprint) -> str | None:
    """The first thing that has changed, in words; None where nothing has."""
    if old.version != new.version:
        return f"PocketBERT is {new.version} now, it was {old.version}"
    if name := _changed(old.model, new.model):
        return f"the model: its {name} is another"
    if name := _changed(old.options, new.options):
        return f"the option {name}: {new.options.get(name)} now, it was {old.options.get(name)}"
    before, now = ({each.name: (each.bytes, each.hash) for each in print_.inputs} for print_ in (old, new))
    if name := _changed(before, now):
        return f"the input: {name} is {'no more among them' if name not in now else 'another'}"
    if old.inputs != new.inputs:
        return "the order of the inputs"
    return None


def _changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> str | None:
    return next((name for name in {**old, **new} if old.get(name) != new.get(name)), None)
