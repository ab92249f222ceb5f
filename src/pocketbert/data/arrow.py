"""Parquet and Arrow to records, streamed from a memory-mapped file."""

import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet

from pocketbert.data.delimited import checked_names
from pocketbert.data.lines import COMPRESSED, RowPolicy, open_bytes
from pocketbert.data.records import Record
from pocketbert.errors import DataError

BATCH_ROWS = 1000


def read_parquet(path: Path, policy: RowPolicy) -> Iterator[Record]:
    """Rows of a Parquet file, with their native types.

    Raises:
        DataError: the file is damaged, or a string is not UTF-8 and the policy is ``fail``.
    """
    with _seekable(path) as source, damage_named(path):
        file = pyarrow.parquet.ParquetFile(source)
        checked_names(path, file.schema_arrow.names)
        yield from _records(path, file.iter_batches(batch_size=BATCH_ROWS), policy)


def read_arrow(path: Path, policy: RowPolicy) -> Iterator[Record]:
    """Rows of an Arrow file, in the file or the stream layout, with their native types.

    Raises:
        DataError: the file is damaged, or a string is not UTF-8 and the policy is ``fail``.
    """
    with _seekable(path) as source, damage_named(path):
        batches: Iterable[Any]
        try:
            file = pyarrow.ipc.open_file(source)
            batches = (file.get_batch(number) for number in range(file.num_record_batches))
        except pa.ArrowInvalid:
            source.seek(0)
            batches = file = pyarrow.ipc.open_stream(source)
        checked_names(path, file.schema.names)
        yield from _records(path, batches, policy)


def _records(path: Path, batches: Iterable[Any], policy: RowPolicy) -> Iterator[Record]:
    number = 0
    for batch in batches:
        for start in range(0, batch.num_rows, BATCH_ROWS):
            for row in _rows(batch.slice(start, BATCH_ROWS)):
                number += 1
                if row is None:
                    policy.fault(f"{path} row {number}: a string is not UTF-8 text")
                else:
                    yield Record(row, f"{path} row {number}")


def _rows(batch: Any) -> Iterator[dict[str, Any] | None]:
    """Rows as dictionaries; None for one that holds text that is not UTF-8."""
    try:
        yield from batch.to_pylist()
    except UnicodeDecodeError:
        if batch.num_rows == 1:
            yield None
            return
        for number in range(batch.num_rows):
            yield from _rows(batch.slice(number, 1))


@contextmanager
def _seekable(path: Path) -> Iterator[Any]:
    """The file, memory-mapped; a compressed one is decompressed into a temporary file first."""
    with open_bytes(path) as stream:
        if path.suffix.lower() not in COMPRESSED:
            with pa.memory_map(str(path)) as mapped:
                yield mapped
            return
        with tempfile.TemporaryFile() as file:
            shutil.copyfileobj(stream, file)
            file.seek(0)
            yield file


@contextmanager
def damage_named(path: Path | str) -> Iterator[None]:
    """The library's errors, in words for the person who has the file.

    Raises:
        DataError: the file is damaged.
    """
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path}: damaged, or not what its name says ({reason}); fetch it again") from error
