"""Parquet as the output: tables keep their types, text becomes columns of one type each."""

import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet

from pocketbert.predict.blocks import Block, Misfit, TableBlock, TextBlock
from pocketbert.predict.formats import Format
from pocketbert.predict.plan import Target
from pocketbert.predict.predictions import Column, arrow_column
from pocketbert.predict.views import plain_schema, plain_table, view_writer

GROUP_ROWS = 1 << 16
GROUP_BYTES = 1 << 25
"""From which on the row group of a merged file is written: few large ones are read fast, and one fits into memory."""


class Parquet(Format):
    """A Parquet file.

    Args:
        schema: of the columns of the input.
        columns: of predictions.
        target: what is written.
    """

    def __init__(self, schema: pa.Schema, columns: Sequence[Column], target: Target) -> None:
        super().__init__(schema.names, columns, target)
        self._schema = schema
        fields = [pa.field(column.name, column.kind) for column in columns]
        self._whole = pa.schema([*schema, *fields], metadata=schema.metadata)
        self._plain = plain_schema(self._whole)

    def render(self, block: Block, places: Sequence[int]) -> tuple[Any, dict[int, Misfit]]:
        """See :class:`~pocketbert.predict.formats.Format`."""
        if isinstance(block, TableBlock):
            return block.table.select(self.names).take(pa.array(places, pa.int64())), {}
        assert isinstance(block, TextBlock)  # noqa: S101 - there is no third kind
        tables, wrong = [self._schema.empty_table()], {}
        for place, found in self._fitted(block, list(places)):
            if isinstance(found, Misfit):
                wrong[place] = found
            else:
                tables.append(found)
        return pa.concat_tables(tables), wrong

    def encode(self, rows: Any, answers: Sequence[Any]) -> tuple[bytes, dict[int, Misfit]]:
        """See :class:`~pocketbert.predict.formats.Format`."""
        columns = [*rows.combine_chunks().columns, *(arrow_column(column, answers) for column in self.columns)]
        content = io.BytesIO()
        with self._writer(content) as writer:
            writer.write_table(pa.table(columns, schema=self._plain))
        return content.getvalue(), {}

    def merge(self, parts: Iterable[BinaryIO], file: BinaryIO) -> None:
        """See :class:`~pocketbert.predict.formats.Format`."""
        with self._writer(file) as writer:
            for table in _grouped(plain_table(pyarrow.parquet.ParquetFile(part).read()) for part in parts):
                writer.write_table(table.unify_dictionaries())

    def _writer(self, file: BinaryIO) -> Any:
        views = not self._plain.equals(self._whole)
        return view_writer(file, self._whole) if views else pyarrow.parquet.ParquetWriter(file, self._whole)

    def _fitted(self, block: TextBlock, places: list[int]) -> Iterator[tuple[int, Any]]:
        """Tables of rows that fit the types, each with the place of its first row; else what does not."""
        rows = [block.rows[place] for place in places]
        try:
            table = self._table(rows)
        except Misfit as misfit:
            if len(places) == 1:
                yield places[0], misfit
                return
            middle = len(places) // 2
            yield from self._fitted(block, places[:middle])
            yield from self._fitted(block, places[middle:])
        else:
            yield (places or [0])[0], table

    def _table(self, rows: Sequence[dict[str, Any]]) -> pa.Table:
        known = set(self.names)
        for name in (name for row in rows for name in row if name not in known):
            raise Misfit(name, "is not among the columns of the first rows; write .jsonl to keep it")
        arrays = []
        for field in self._schema:
            values = [row.get(field.name) for row in rows]
            try:
                array = pa.array(values, field.type)
            except (pa.ArrowException, TypeError, ValueError, OverflowError):
                array = None
            # The library leaves out what a type has no place for, such as an unknown key of an object.
            if array is None or _bare(array.to_pylist()) != _bare(values):
                raise Misfit(field.name, f"is not {field.type}, as it is in the first rows; write .jsonl to keep it")
            arrays.append(array)
        return pa.table(arrays, schema=self._schema)


def _bare(value: Any) -> Any:
    """A value without what is null in it."""
    if isinstance(value, dict):
        return {name: _bare(each) for name, each in value.items() if each is not None}
    return [_bare(each) for each in value] if isinstance(value, list) else value


def _grouped(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Small tables put together."""
    waiting: list[pa.Table] = []
    for table in tables:
        waiting.append(table)
        if sum(each.num_rows for each in waiting) >= GROUP_ROWS or sum(each.nbytes for each in waiting) >= GROUP_BYTES:
            yield pa.concat_tables(waiting)
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting)
