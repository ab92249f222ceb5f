"""Where the system is like Windows in what matters to files."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from runs import rows, texts, write_rows

from exported import exported

# What is open must not be renamed or removed, and only /proc tells what is.
pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="only Linux tells which files are open")
ROWS = [{"id": number, "text": text} for number, text in enumerate(texts(20))]


def predict(source, output, *options, stdin=None):
    command = [sys.executable, Path(__file__).with_name("windows.py"), "predict", exported("classification"), source]
    return subprocess.run(
        [*map(str, command), "--output", str(output), "--part-rows", "4", "--threads", "1", *options],
        capture_output=True,
        input=stdin,
        text=True,
    )


@pytest.mark.parametrize("into", ["out.parquet", "out.csv.gz", "out"])
def test_a_run_leaves_its_output_and_nothing_else(tmp_path, into):
    (tmp_path / "there").mkdir()
    done = predict(write_rows(tmp_path / "in.csv", ROWS), tmp_path / "there" / into)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "there").iterdir()} == {into, f"{into}.manifest.json"}
    assert [int(row["id"]) for row in rows(tmp_path / "there" / into)] == list(range(20))


def test_the_standard_input_and_failed_rows(tmp_path):
    lines = "".join(json.dumps(row) + "\n" for row in [*ROWS, {"text": ""}])
    done = predict("-", tmp_path / "out.jsonl", "--input-format", "jsonl", stdin=lines)
    assert done.returncode == 0, done.stderr
    names = {"out.jsonl", "out.jsonl.manifest.json", "out.jsonl.failed.jsonl"}
    assert {path.name for path in tmp_path.iterdir()} == names


def test_a_run_that_ends_in_an_error_goes_on(tmp_path):
    source = write_rows(tmp_path / "in.csv", [*ROWS, {"id": 20, "text": ""}])
    ended = predict(source, tmp_path / "out.csv", "--max-failed", "0")
    assert ended.returncode == 2 and "1 rows failed" in ended.stderr
    done = predict(source, tmp_path / "out.csv")
    assert done.returncode == 0 and "21 of 21 rows are there already" in done.stderr, done.stderr
    assert not (tmp_path / ".out.csv.parts").exists() and len(rows(tmp_path / "out.csv")) == 20


def test_a_run_that_never_began_leaves_nothing(tmp_path):
    ended = predict(tmp_path / "gone.csv", tmp_path / "out.csv")
    assert ended.returncode == 2 and "gone.csv" in ended.stderr and not list(tmp_path.iterdir())
