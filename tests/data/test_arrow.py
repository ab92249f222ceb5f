"""Parquet and Arrow."""

import gzip

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet
import pytest
import zstandard

from pocketbert.data.arrow import read_arrow, read_parquet
from pocketbert.data.lines import RowPolicy
from pocketbert.errors import DataError

ROWS = [{"text": f"row {number}", "label": number % 3, "tokens": ["a", "b"]} for number in range(2500)]


def write_parquet(path, table):
    pyarrow.parquet.write_table(table, path, row_group_size=700)


def write_arrow_file(path, table):
    with pyarrow.ipc.new_file(str(path), table.schema) as writer:
        writer.write_table(table, max_chunksize=1700)


def write_arrow_stream(path, table):
    with pyarrow.ipc.new_stream(str(path), table.schema) as writer:
        writer.write_table(table, max_chunksize=1700)


WRITERS = [(write_parquet, read_parquet), (write_arrow_file, read_arrow), (write_arrow_stream, read_arrow)]


@pytest.mark.parametrize(("write", "read"), WRITERS)
@pytest.mark.parametrize("compress", [None, gzip.compress, zstandard.compress])
def test_rows_come_back_in_order_with_their_types(tmp_path, write, read, compress):
    path = tmp_path / "a.bin"
    write(path, pa.Table.from_pylist(ROWS))
    if compress:
        packed = tmp_path / ("a.bin.gz" if compress is gzip.compress else "a.bin.zst")
        packed.write_bytes(compress(path.read_bytes()))
        path = packed
    records = list(read(path, RowPolicy()))
    assert [record.values for record in records] == ROWS
    assert records[-1].where == f"{path} row 2500"


@pytest.mark.parametrize(("write", "read"), WRITERS)
def test_damaged_files_are_named(tmp_path, write, read):
    path = tmp_path / "a.bin"
    write(path, pa.Table.from_pylist(ROWS))
    whole = path.read_bytes()
    for damaged in (b"not what its name says", whole[: len(whole) // 2]):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"a\.bin: damaged, or not what its name says"):
            list(read(path, RowPolicy()))


@pytest.mark.parametrize(("write", "read"), WRITERS)
def test_a_string_that_is_not_utf8_is_a_bad_row(tmp_path, write, read):
    raw = pa.array([b"good", b"b\xffd", b"fine"], pa.binary())
    broken = pa.StringArray.from_buffers(3, *raw.buffers()[1:])
    path = tmp_path / "a.bin"
    write(path, pa.table({"text": broken}))
    with pytest.raises(DataError, match=r"a\.bin row 2: a string is not UTF-8"):
        list(read(path, RowPolicy()))
    policy = RowPolicy("skip")
    assert [record.values["text"] for record in read(path, policy)] == ["good", "fine"]
    assert policy.skipped.count == 1


def test_repeated_column_names_are_refused(tmp_path):
    table = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["text", "text"])
    write_arrow_file(tmp_path / "a.arrow", table)
    with pytest.raises(DataError, match="names 'text' twice"):
        list(read_arrow(tmp_path / "a.arrow", RowPolicy()))
