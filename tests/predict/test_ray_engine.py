"""The same plan on Ray: two workers of which one is killed make what one machine makes."""

import errno
import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
from dying import killed_after
from runs import failed, rows, run, snapshot, texts, write_rows

from exported import exported
from pocketbert.predict import computing, ray_engine
from pocketbert.predict.plan import Part

COUNT, PART = 1200, 4


def workers(driver):
    """The processes of Ray that compute parts."""
    found = []
    for process in psutil.Process(driver.pid).children(recursive=True):
        try:
            if "MapWorker" in " ".join(process.cmdline()):
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


def wait_for(condition, seconds=90):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.05)


@pytest.mark.usefixtures("quick")
def test_a_worker_computes_what_is_missing_and_tells_what_went_wrong(tmp_path, monkeypatch):
    path = write_rows(tmp_path / "in.csv", [{"text": text} for text in texts(30)])
    with killed_after(2):
        run(path, tmp_path / "out.csv", part_rows=5)
    work = tmp_path / ".out.csv.parts"
    monkeypatch.setenv("RAYON_NUM_THREADS", "1")
    worker = ray_engine.Worker((work / "plan.json").read_text(), str(tmp_path / "out.csv"), "{}")
    computed = []
    commit = computing.Computer._commit
    monkeypatch.setattr(
        computing.Computer, "_commit", lambda *given: (computed.append(given[1].part.number), commit(*given))
    )
    assert worker({"parts": ["[0, 2, 4]"]}) == {"parts": ["[0, 2, 4]"], "error": [""]}
    assert computed == [2, 4]

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    (error,) = worker({"parts": ["[3, 5]"]})["error"]
    assert "out.csv: cannot be written (No space left on device); what was finished is kept" in error
    monkeypatch.undo()
    assert run(path, tmp_path / "out.csv", part_rows=5).computed == 10


def test_groups_are_small_enough_for_all_workers():
    parts = [Part(number=number, source=0, row=number, rows=1) for number in range(3, 43)]
    groups = [json.loads(each["parts"]) for each in ray_engine._groups(parts, 2)]
    assert [number for group in groups for number in group] == list(range(3, 43)) and len(groups) >= 8
    assert len(ray_engine._groups(parts[:1], 9)) == 1


def test_a_worker_that_is_killed_costs_no_row(tmp_path):
    # An extra of its own, of some hundred megabytes: the tests have to pass in an install without it.
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    values = [{"id": n, "text": "" if n % 97 == 0 else text} for n, text in enumerate(texts(COUNT))]
    write_rows(tmp_path / "in.parquet", values)
    (tmp_path / "local").mkdir()
    run(str(tmp_path / "in.parquet"), tmp_path / "local" / "out.parquet", part_rows=PART)
    command = [
        sys.executable, "-m", "pocketbert.cli", "predict", str(exported("classification")),
        str(tmp_path / "in.parquet"), "--output", (tmp_path / "out.parquet").as_uri(),
        "--part-rows", str(PART), "--runtime", "onnxruntime",
        "--precision", "fp32", "--engine", "ray", "--workers", "2",
    ]  # fmt: skip
    driver = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        work = tmp_path / ".out.parquet.parts"
        wait_for(lambda: len(list(work.glob("part-*.parquet"))) > 10 or driver.poll() is not None)
        there = workers(driver)
        assert len(there) == 2, driver.communicate(timeout=60)
        os.kill(there[0].pid, signal.SIGKILL)
        assert len(list(work.glob("part-*.parquet"))) < COUNT // PART, "all was done before the kill"
        out, told = driver.communicate(timeout=120)
    finally:
        if driver.poll() is None:
            driver.terminate()
            driver.wait(timeout=30)
    assert driver.returncode == 0, told
    assert [line for line in told.splitlines() if not line.startswith("guessed columns")] == []
    assert snapshot(tmp_path / "out.parquet") == snapshot(tmp_path / "local" / "out.parquet")
    assert [row["id"] for row in rows(tmp_path / "out.parquet")] == [n for n in range(COUNT) if n % 97]
    assert [row["row"] - 1 for row in failed(tmp_path / "out.parquet")] == list(range(0, COUNT, 97))
    assert f"{COUNT - 13:,} rows" in out
