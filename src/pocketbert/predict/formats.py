"""What the output is written as: rows with their predictions to the bytes of a part, and parts to a whole."""

import csv
import gzip
import io
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, BinaryIO

import pyarrow as pa

from pocketbert.errors import PocketBertError
from pocketbert.predict.blocks import Block, Misfit, TextBlock, cell, json_text
from pocketbert.predict.plan import Target
from pocketbert.predict.predictions import Column

_BYTES = ("binary", "large_binary", "binary_view", "fixed_size_binary")
"""Types of bytes, by name: older versions of the library lack one of them."""


class Format(ABC):
    """A format of the output.

    Args:
        names: columns of the input, in the order in which they are written.
        columns: of predictions, which follow.
        target: what is written.
    """

    def __init__(self, names: Sequence[str], columns: Sequence[Column], target: Target) -> None:
        self.names, self.columns, self.target = list(names), columns, target

    @abstractmethod
    def render(self, block: Block, places: Sequence[int]) -> tuple[Any, dict[int, Misfit]]:
        """Rows of a block as they will be written.

        Returns:
            The rows that have a place in this format, and by number of the row in the block what is wrong with others.
        """

    @abstractmethod
    def encode(self, rows: Any, answers: Sequence[Any]) -> tuple[bytes, dict[int, Misfit]]:
        """The bytes of a part.

        Args:
            rows: that were rendered.
            answers: to each of them.

        Returns:
            The bytes, and by number of the row what could not be written after all.
        """

    @abstractmethod
    def merge(self, parts: Iterable[BinaryIO], file: BinaryIO) -> None:
        """Write one file of all parts, in constant memory."""


class TextFormat(Format):
    """A row a line, or more of them where it is quoted."""

    def render(self, block: Block, places: Sequence[int]) -> tuple[list[Any], dict[int, Misfit]]:
        """See :class:`Format`."""
        rows, wrong = [], {}
        for place in places:
            try:
                rows.append(self.row(block, place))
            except Misfit as misfit:
                wrong[place] = misfit
        return rows, wrong

    def encode(self, rows: Any, answers: Sequence[Any]) -> tuple[bytes, dict[int, Misfit]]:
        """See :class:`Format`."""
        lines, wrong = [self.head()] if self.target.folder else [], {}
        for number, (row, answer) in enumerate(zip(rows, answers, strict=True)):
            try:
                lines.append(self.line(row, answer))
            except Misfit as misfit:
                wrong[number] = misfit
        return _compressed(b"".join(lines), self.target.compression), wrong

    def merge(self, parts: Iterable[BinaryIO], file: BinaryIO) -> None:
        """See :class:`Format`: compressed files may follow one another."""
        if head := self.head():
            file.write(_compressed(head, self.target.compression))
        for part in parts:
            shutil.copyfileobj(part, file)

    @abstractmethod
    def row(self, block: Block, place: int) -> Any:
        """A row as it will be written.

        Raises:
            Misfit: it has no place here.
        """

    @abstractmethod
    def line(self, row: Any, answer: Any) -> bytes:
        """A row with its predictions, the line's end included.

        Raises:
            Misfit: it has no place here.
        """

    def head(self) -> bytes:
        """What stands before the rows."""
        return b""


class JsonLines(TextFormat):
    """JSON lines. Objects that were read are written as they stood, the predictions added at their end."""

    def row(self, block: Block, place: int) -> bytes:
        """See :class:`TextFormat`."""
        values = block.values(place)
        for column in self.columns:
            if column.name in values:
                raise Misfit(column.name, "is there already; choose another --prefix")
        if isinstance(block, TextBlock) and not self.names:
            return block.raw(place)
        return json_text({name: values[name] for name in self.names})

    def line(self, row: bytes, answer: Any) -> bytes:
        """See :class:`TextFormat`."""
        told = json_text({column.name: column.value(answer) for column in self.columns})
        body = row.strip()[:-1].rstrip()
        return body + (b"" if body == b"{" else b",") + told[1:] + b"\n"


class Csv(TextFormat):
    """Comma-separated fields, quoted where needed."""

    def row(self, block: Block, place: int) -> list[str]:
        """See :class:`TextFormat`."""
        values = block.values(place)
        known = set(self.names)
        for name in values:
            if name not in known:
                raise Misfit(name, "is not among the columns of the first rows; write .jsonl to keep it")
        return [cell(values.get(name)) for name in self.names]

    def line(self, row: list[str], answer: Any) -> bytes:
        """See :class:`TextFormat`."""
        return self.joined([*row, *(_text(column, answer) for column in self.columns)])

    def head(self) -> bytes:
        """See :class:`TextFormat`."""
        return self.joined([*self.names, *(column.name for column in self.columns)])

    def joined(self, fields: Sequence[str]) -> bytes:
        """Fields as a line.

        Raises:
            Misfit: they cannot be one.
        """
        text = io.StringIO()
        # With both characters as the line's end, fields that hold either are quoted by every version of Python.
        csv.writer(text, lineterminator="\r\n").writerow(fields)
        return text.getvalue()[:-2].encode() + b"\n"


class Tsv(Csv):
    """Tab-separated fields, without quotes."""

    def joined(self, fields: Sequence[str]) -> bytes:
        """See :class:`Csv`."""
        names = [*self.names, *(column.name for column in self.columns)]
        for name, text in zip(names, fields, strict=True):
            if "\t" in text or "\n" in text:
                raise Misfit(name, "holds a tab or a line break, for which .tsv has no place; write .csv")
        return "\t".join(fields).encode() + b"\n"


def _text(column: Column, answer: Any) -> str:
    value = column.value(answer)
    return "" if value is None else column.text(value)


def _compressed(content: bytes, compression: str) -> bytes:
    if compression == ".gz":
        return gzip.compress(content, mtime=0)
    return bytes(pa.Codec("zstd").compress(content, asbytes=True)) if compression == ".zst" else content


def check_text_columns(schema: pa.Schema, ending: str) -> None:
    """Refuse a table that no text can hold.

    Raises:
        PocketBertError: a column holds bytes.
    """
    for field in schema:
        if str(field.type).partition("[")[0] in _BYTES:
            raise PocketBertError(f"column {field.name!r} holds bytes, for which {ending} has no place; write .parquet")
