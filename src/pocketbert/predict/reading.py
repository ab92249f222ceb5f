"""Parts of inputs as blocks of rows: each part by itself, wherever reading begins."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from pocketbert.data.arrow import damage_named
from pocketbert.data.delimited import csv_rows, fits, tab_rows
from pocketbert.data.lines import COMPRESSED, Lines, RowPolicy
from pocketbert.data.objects import object_rows
from pocketbert.errors import DataError
from pocketbert.predict.blocks import Block, Failure, TableBlock, TextBlock
from pocketbert.predict.plan import Head, Part
from pocketbert.predict.sources import Source, open_raw, open_source
from pocketbert.predict.views import plain_table

READERS: dict[str, Any] = {"csv": csv_rows, "tsv": tab_rows, "jsonl": object_rows}
"""By format: what makes numbered rows of lines."""

POLICY = RowPolicy(choice=False)
"""Readers raise at a bad row, and are started again behind it."""

BATCH_ROWS = 1024
"""Rows of a table that are decoded at once."""
_CHUNK = 1 << 20


def read_parts(sources: Sequence[Source], heads: Sequence[Head], parts: Sequence[Part]) -> Iterator[tuple[Part, Block]]:
    """The rows of some parts.

    Args:
        sources: all inputs.
        heads: what the scan found out about each.
        parts: in their order; any may be left out.

    Raises:
        DataError: an input cannot be read.
    """
    for number, group in groupby(parts, key=lambda part: part.source):
        source = sources[number]
        if source.format == "parquet":
            yield from _read_table(source, heads[0].names, list(group))
        else:
            yield from _read_text(source, heads[number], list(group))


def rows_of(source: Source, lines: Lines, number: int) -> Iterator[tuple[int, Any]]:
    """Each row's number and what it holds, or the error that tells what is wrong with it.

    At each step the lines stand right behind the row, so that reading can begin there another time.
    """
    while True:
        rows = READERS[source.format](source.name, lines, POLICY, number)
        try:
            for number, row in rows:
                yield number, row
                number += 1
            return
        except DataError as error:
            yield number, error
            number += 1


def _read_text(source: Source, head: Head, parts: Sequence[Part]) -> Iterator[tuple[Part, Block]]:
    with open_source(source) as stream:
        position = 0
        for part in parts:
            _skip(source, stream, part.offset - position)
            lines = Lines(stream, offset=part.offset, number=part.line)
            block = _text_block(source, head, part, lines)
            position = lines.offset
            yield part, block


def _skip(source: Source, stream: Any, count: int) -> None:
    """Move on by so many bytes; what is compressed has to be read for that."""
    if not source.name.lower().endswith(COMPRESSED):
        stream.seek(count, 1)
        return
    while count and (passed := len(stream.read(min(count, _CHUNK)))):
        count -= passed


def _text_block(source: Source, head: Head, part: Part, lines: Lines) -> TextBlock:
    block = TextBlock(source.name)
    rows = rows_of(source, lines, part.row + 1)
    for _, (number, found) in zip(range(part.rows), rows, strict=False):
        raw = lines.row.removesuffix(b"\n").removesuffix(b"\r")
        try:
            values = _named(source, head, number, found)
        except DataError as error:
            block.failures.append(Failure(source.name, number, None, str(error), raw))
            continue
        block.numbers.append(number)
        block.rows.append(values)
        block.raws.append(raw)
    return block


def _named(source: Source, head: Head, number: int, found: Any) -> dict[str, Any]:
    """Values by column name.

    Raises:
        DataError: the row could not be read, or has another number of fields than there are columns.
    """
    if isinstance(found, DataError):
        raise found
    if isinstance(found, list):
        fits(source.name, (number, found), head.names, POLICY)
        return dict(zip(head.names, found, strict=True))
    values: dict[str, Any] = found
    return values


def _read_table(source: Source, names: Sequence[str], parts: Sequence[Part]) -> Iterator[tuple[Part, Block]]:
    with open_raw(source) as file, damage_named(source.name):
        rows = _TableRows(pyarrow.parquet.ParquetFile(file, buffer_size=_CHUNK, pre_buffer=False))
        for part in parts:
            table = rows.take(part.row, part.rows).select(names)
            yield part, TableBlock(source.name, part.row + 1, _arranged(table))


def _arranged(table: pa.Table) -> pa.Table:
    """The same table in memory, whatever batches it was read in, so that it is written as the same bytes."""
    columns, table = [], plain_table(table)
    for column in table.columns:
        kind = column.type
        if pa.types.is_dictionary(kind):
            column = column.cast(kind.value_type).combine_chunks().dictionary_encode().cast(kind)
        columns.append(column)
    return pa.table(columns, schema=table.schema).combine_chunks()


class _TableRows:
    """Rows of a Parquet file from any row on; what follows the last ones need not be looked for.

    Args:
        file: the open file.
    """

    def __init__(self, file: Any) -> None:
        self._file = file
        self._starts = [0]
        for group in range(file.num_row_groups):
            self._starts.append(self._starts[-1] + file.metadata.row_group(group).num_rows)
        self._position = -1
        self._left = pa.table({})
        self._batches: Iterator[Any] = iter(())

    def take(self, start: int, count: int) -> pa.Table:
        """So many rows from row ``start`` on, counted from 0."""
        if start != self._position:
            self._move(start)
        parts, missing = [], count
        while missing:
            if not self._left.num_rows:
                self._left = self._next()
            parts.append(self._left.slice(0, missing))
            self._left = self._left.slice(parts[-1].num_rows)
            missing -= parts[-1].num_rows
        self._position = start + count
        return pa.concat_tables(parts)

    def _move(self, start: int) -> None:
        group = bisect_right(self._starts, start) - 1
        groups = list(range(group, self._file.num_row_groups))
        self._batches = self._file.iter_batches(batch_size=BATCH_ROWS, row_groups=groups)
        skipped, self._left = self._starts[group], self._next()
        while skipped + self._left.num_rows <= start:
            skipped += self._left.num_rows
            self._left = self._next()
        self._left = self._left.slice(start - skipped)

    def _next(self) -> pa.Table:
        return pa.Table.from_batches([next(self._batches)])
