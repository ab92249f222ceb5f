"""Memory does not grow with the input: whole processes, as the system counts them."""

import random
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest
from runs import write_rows

from exported import exported

FEW, MANY = 25_000, 60_000
PAYLOAD = 4_000
"""Characters that each row carries along: the many rows are 240 MB."""

CODE = (
    "import atexit, pathlib\n"
    "atexit.register(lambda: print(pathlib.Path('/proc/self/status').read_text()))\n"
    "from pocketbert import cli\ncli.main()"
)
"""The command line, which tells at its end what it has held at most."""

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells what was held at most")


def write(path, count):
    draw = random.Random(0)
    values = [{"text": "the cat", "more": draw.randbytes(PAYLOAD // 2).hex()} for _ in range(count)]
    if path.suffix != ".parquet":
        return write_rows(path, values)
    pa.parquet.write_table(pa.Table.from_pylist(values), path, row_group_size=count, use_dictionary=False)
    return path


def most(folder, source, into, count):
    """Bytes that the process holds at most."""
    folder.mkdir()
    path = write(folder / source, count)
    command = [
        sys.executable, "-c", CODE, "predict", str(exported("classification")), str(path), "--output",
        str(folder / into), "--part-rows", "256", "--runtime", "onnxruntime", "--threads", "1",
    ]  # fmt: skip
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    path.unlink()
    (folder / into).unlink()
    return 1024 * next(int(line.split()[1]) for line in told.splitlines() if line.startswith("VmHWM"))


@pytest.mark.parametrize(("source", "into"), [("in.parquet", "out.parquet"), ("in.csv", "out.jsonl.zst")])
def test_more_rows_take_no_more_memory(tmp_path, source, into):
    few, many = (most(tmp_path / str(count), source, into, count) for count in (FEW, MANY))
    more = (MANY - FEW) * PAYLOAD
    assert many - few < 0.2 * more, f"{few:,} {many:,}"
