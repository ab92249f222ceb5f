"""One quick look over the inputs: how many rows there are, and where parts begin."""

from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from pocketbert.data.arrow import damage_named
from pocketbert.data.delimited import checked_names, header_names
from pocketbert.data.lines import Lines
from pocketbert.data.objects import object_lines
from pocketbert.data.records import Record
from pocketbert.errors import DataError
from pocketbert.predict.blocks import TextBlock
from pocketbert.predict.plan import Head, Part
from pocketbert.predict.reading import POLICY, READERS, read_parts, rows_of
from pocketbert.predict.sources import Source, open_raw, open_source

SAMPLE = 1000
"""Rows that columns are guessed from, and types where the input has none."""

PART_BYTES = 1 << 24
"""Bytes of a part at most, but for a single row: what is read is held in memory."""


class Scan:
    """What was found in the inputs.

    Args:
        sources: the inputs.
        part_rows: rows of a part.
        header: whether delimited text names its columns.

    Attributes:
        heads: of each input.
        parts: of all inputs.
        schema: of tables; None for text.

    Raises:
        DataError: an input cannot be read, has other columns than the first one, or there is no row.
    """

    def __init__(self, sources: Sequence[Source], part_rows: int, header: bool) -> None:
        self.sources = sources
        self.heads: list[Head] = []
        self.parts: list[Part] = []
        self.schema: pa.Schema | None = None
        for number, source in enumerate(sources):
            if source.format == "parquet":
                self._scan_table(number, source, part_rows)
            else:
                self._scan_text(number, source, part_rows, header)
        if not self.parts:
            raise DataError(f"{sources[0].name}: no row to read")

    def sample(self) -> list[Record]:
        """The first rows that can be read."""
        return list(islice(self._records(), SAMPLE))

    def first_fault(self) -> str:
        """Why the first row that cannot be read cannot; where all can, that they hold nothing."""
        blocks = (block for _, block in read_parts(self.sources, self.heads, self.parts))
        return next((failure.reason for block in blocks for failure in block.failures), "Its objects are empty")

    def _records(self) -> Iterator[Record]:
        for _, block in read_parts(self.sources, self.heads, self.parts):
            for place, number in enumerate(block.numbers[:SAMPLE]):
                if isinstance(block, TextBlock):
                    values = block.rows[place]
                else:
                    values = {name: block.column(name)[place] for name in self.heads[0].names}
                yield Record(values, f"{block.file} row {number}")

    def _scan_table(self, number: int, source: Source, part_rows: int) -> None:
        with open_raw(source) as file, damage_named(source.name):
            found = pyarrow.parquet.ParquetFile(file)
            schema, metadata = found.schema_arrow, found.metadata
        checked_names(source.name, schema.names)
        if self.schema is None:
            self.schema = schema
        _same_types(self.sources[0].name, self.schema, source.name, schema)
        self.heads.append(Head(names=self.schema.names))
        size = sum(metadata.row_group(group).total_byte_size for group in range(metadata.num_row_groups))
        step = max(1, min(part_rows, PART_BYTES * metadata.num_rows // max(size, 1)))
        for row in range(0, metadata.num_rows, step):
            self._add(number, row, min(step, metadata.num_rows - row))

    def _scan_text(self, number: int, source: Source, part_rows: int, header: bool) -> None:
        with open_source(source) as stream:
            lines = Lines(stream)
            self.heads.append(_read_head(source, lines, header))
            _same_names(self.sources[0].name, self.heads[0].names, source.name, self.heads[-1].names)
            if not header and source.format != "jsonl":
                stream.seek(0)
                lines = Lines(stream)
            row, rows, offset, line = 0, 0, lines.offset, lines.number
            for _ in _ends(source, lines):
                rows += 1
                if rows == part_rows or lines.offset - offset >= PART_BYTES:
                    self._add(number, row, rows, offset, line)
                    row, rows, offset, line = row + rows, 0, lines.offset, lines.number
            if rows:
                self._add(number, row, rows, offset, line)

    def _add(self, source: int, row: int, rows: int, offset: int = 0, line: int = 0) -> None:
        part = Part(number=len(self.parts), source=source, row=row, rows=rows, offset=offset, line=line)
        self.parts.append(part)


def _ends(source: Source, lines: Lines) -> Iterator[Any]:
    """A step for each row; the lines then stand behind it."""
    return object_lines(lines) if source.format == "jsonl" else rows_of(source, lines, 1)


def _read_head(source: Source, lines: Lines, header: bool) -> Head:
    if source.format == "jsonl":
        return Head(names=[])
    top = next(READERS[source.format](source.name, lines, POLICY, int(not header)), None)
    if top is None:
        raise DataError(f"{source.name}: no row to read")
    if not header:
        return Head(names=[str(column) for column in range(len(top[1]))])
    return Head(names=header_names(source.name, top), offset=lines.offset, line=lines.number)


def _same_names(first: str, names: Sequence[str], other: str, found: Sequence[str]) -> None:
    if set(names) != set(found):
        shown = ", ".join(map(repr, found))
        raise DataError(
            f"{other}: has the columns {shown}, {first} has {', '.join(map(repr, names))}: score one by one"
        )


def _same_types(first: str, schema: pa.Schema, other: str, found: pa.Schema) -> None:
    _same_names(first, schema.names, other, found.names)
    for field in schema:
        if field.type != found.field(field.name).type:
            raise DataError(
                f"{other}: column {field.name!r} holds {found.field(field.name).type}, in {first} {field.type}: "
                "score one by one"
            )


def infer_schema(name: str, names: Sequence[str], rows: Sequence[Record]) -> pa.Schema:
    """Types of columns that have none, by some rows; what is always absent is text.

    Raises:
        DataError: the values of a column share no type.
    """
    fields = []
    for column in names:
        try:
            kind = pa.array([row.values.get(column) for row in rows]).type
        except (pa.ArrowException, TypeError, OverflowError) as error:
            raise DataError(
                f"{name}: the values of column {column!r} share no type ({error}); write .jsonl, or mend the column"
            ) from None
        fields.append(pa.field(column, pa.string() if pa.types.is_null(kind) else kind))
    return pa.schema(fields)


def names_of(rows: Sequence[Record]) -> list[str]:
    """The keys of all rows, in the order in which they come up."""
    return list(dict.fromkeys(chain.from_iterable(row.values for row in rows)))
