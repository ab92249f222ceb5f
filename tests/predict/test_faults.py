"""No room, no right, a disk that cannot be read: a clear error, nothing lost, and on it goes when that is mended."""

import errno
import json
import os
import resource
import subprocess
import sys
from contextlib import contextmanager

import pytest
from runs import rows, run, snapshot, texts, write_rows

from exported import exported
from pocketbert.errors import DataError, ModelError, PocketBertError
from pocketbert.predict import predicting, reading

ROWS = [{"id": number, "text": text} for number, text in enumerate(texts(30))]


@pytest.fixture
def reference(tmp_path, quick):
    """What a run makes that meets with nothing."""
    write_rows(tmp_path / "in.csv", ROWS)
    (tmp_path / "whole").mkdir()
    run(tmp_path / "in.csv", tmp_path / "whole" / "out.csv", part_rows=4)
    return snapshot(tmp_path / "whole" / "out.csv")


@pytest.mark.parametrize("fault", [errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EIO])
def test_a_disk_that_fails_at_any_write(tmp_path, reference, monkeypatch, fault):
    fsync, calls, met = os.fsync, 0, 0
    for moment in range(40):
        calls = 0

        def failing(handle, moment=moment):
            nonlocal calls
            calls += 1
            if calls == moment + 1:
                raise OSError(fault, os.strerror(fault))
            fsync(handle)

        folder = tmp_path / str(moment)
        folder.mkdir()
        monkeypatch.setattr(os, "fsync", failing)
        try:
            run(tmp_path / "in.csv", folder / "out.csv", part_rows=4)
        except PocketBertError as error:
            met += 1
            assert f"out.csv: cannot be written ({os.strerror(fault)}); what was finished is kept" in str(error)
        monkeypatch.setattr(os, "fsync", fsync)
        run(tmp_path / "in.csv", folder / "out.csv", part_rows=4)
        assert snapshot(folder / "out.csv") == reference
    assert 15 < met < 40


def test_a_disk_that_is_full_through_the_command_line(tmp_path):
    """The system's limit on the size of a file stands for a full disk: the parts go in, the whole does not."""
    write_rows(tmp_path / "in.jsonl", [{"id": number, "text": "the cat " * 20} for number in range(300)])
    command = [
        sys.executable, "-m", "pocketbert.cli", "predict", str(exported("classification")), str(tmp_path / "in.jsonl"),
        "--output", str(tmp_path / "out.jsonl"), "--part-rows", "20", "--runtime", "onnxruntime", "--threads", "1",
    ]  # fmt: skip

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))

    full = subprocess.run(command, preexec_fn=limit, capture_output=True, text=True)
    assert full.returncode == 2 and "Traceback" not in full.stderr
    assert "out.jsonl: cannot be written (File too large); what was finished is kept" in full.stderr
    assert len(list((tmp_path / ".out.jsonl.parts").glob("part-*"))) == 15
    assert not list((tmp_path / ".out.jsonl.parts").glob(".*.tmp")) and not (tmp_path / "out.jsonl").exists()
    mended = subprocess.run([*command, "--json", str(tmp_path / "result.json")], capture_output=True, text=True)
    assert mended.returncode == 0 and [row["id"] for row in rows(tmp_path / "out.jsonl")] == list(range(300))
    assert json.loads((tmp_path / "result.json").read_text())["computed"] == 0


class Scratched:
    """A file on a disk with a bad place."""

    def __init__(self, stream):
        self._stream = stream

    def seek(self, *place):
        return self._stream.seek(*place)

    def readline(self, limit):
        if self._stream.tell() > 700:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return self._stream.readline(limit)


def test_a_part_that_cannot_be_read(tmp_path, reference, monkeypatch):
    make_plan, open_source = predicting.make_plan, reading.open_source

    @contextmanager
    def opened(source):
        with open_source(source) as stream:
            yield Scratched(stream)

    def planned(*args):
        made = make_plan(*args)
        monkeypatch.setattr(reading, "open_source", opened)
        return made

    monkeypatch.setattr(predicting, "make_plan", planned)
    with pytest.raises(DataError, match=r"in\.csv: cannot be read \(Input/output error\)"):
        run(tmp_path / "in.csv", tmp_path / "out.csv", part_rows=4)
    there = len(list((tmp_path / ".out.csv.parts").glob("part-*.csv")))
    monkeypatch.setattr(reading, "open_source", open_source)
    made = run(tmp_path / "in.csv", tmp_path / "out.csv", part_rows=4)
    assert made.computed == 30 - 4 * there and snapshot(tmp_path / "out.csv") == reference


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("name", ["in.csv.gz", "in.parquet"])
def test_a_damaged_input(tmp_path, name):
    path = write_rows(tmp_path / name, ROWS)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=rf"{name}: .*damaged"):
        run(path, tmp_path / "out.csv", part_rows=4)
    assert [each.name for each in tmp_path.iterdir()] == [name]


def test_a_model_that_cannot_be_run_is_no_fault_of_the_rows(tmp_path, reference, monkeypatch, loaded):
    engine, real = loaded["classification"].engine, loaded["classification"].engine.run
    calls = iter(range(100))

    def failing(inputs):
        if next(calls) > 3:
            raise ModelError("the engine is broken")
        return real(inputs)

    monkeypatch.setattr(engine, "run", failing)
    with pytest.raises(ModelError, match="the engine is broken"):
        run(tmp_path / "in.csv", tmp_path / "out.csv", part_rows=4)
    monkeypatch.setattr(engine, "run", real)
    run(tmp_path / "in.csv", tmp_path / "out.csv", part_rows=4)
    assert snapshot(tmp_path / "out.csv") == reference
