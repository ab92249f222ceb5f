"""Killed at any moment and run again: the same bytes, each row once, in order."""

import errno
import fcntl
import os
import random
import signal
import subprocess
import sys
import time

import pytest
from dying import Death, killed_after
from filelock import FileLock
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from runs import failed, rows, run, snapshot, texts, write_rows

from exported import exported
from pocketbert.errors import Interrupted, PocketBertError
from pocketbert.predict import computing

COUNT = 23
BAD = (3, 4, 9, 22)
ROWS = [{"id": number, "text": "" if number in BAD else text} for number, text in enumerate(texts(COUNT))]
PLACES = [("in.parquet", "out.parquet"), ("in.csv", "out.csv.gz"), ("in.jsonl.zst", "out.jsonl"), ("in.tsv", "out")]


def whole(tmp_path, source, into, **options):
    """The output of a run that nothing disturbs, and how many moments it has."""
    folder = tmp_path / "whole"
    folder.mkdir()
    with Death().watching() as death:
        run(tmp_path / source, folder / into, **options)
    return snapshot(folder / into), death.actions


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(("source", "into"), PLACES)
def test_a_run_killed_at_any_moment_goes_on_to_the_same_bytes(tmp_path, source, into):
    write_rows(tmp_path / source, ROWS)
    reference, moments = whole(tmp_path, source, into, part_rows=7)
    assert moments > 30
    for moment in range(moments):
        folder = tmp_path / str(moment)
        folder.mkdir()
        with Death(moment).watching() as death:
            run(tmp_path / source, folder / into, part_rows=7)
        assert death.actions > moment
        run(tmp_path / source, folder / into, part_rows=7)
        assert snapshot(folder / into) == reference, moment


@pytest.mark.usefixtures("quick")
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    part_rows=st.integers(1, 30),
    moments=st.lists(st.integers(0, 80), max_size=4),
    place=st.sampled_from(PLACES),
    limit=st.integers(1, COUNT),
)
def test_many_kills_and_any_size_of_parts(tmp_path_factory, part_rows, moments, place, limit):
    source, into = place
    folder = tmp_path_factory.mktemp("run")
    write_rows(folder / source, ROWS[:limit])
    for moment in moments:
        with Death(moment).watching():
            run(folder / source, folder / into, part_rows=part_rows)
    run(folder / source, folder / into, part_rows=part_rows)
    assert [int(row["id"]) for row in rows(folder / into)] == [n for n in range(limit) if n not in BAD]
    assert [row["row"] - 1 for row in failed(folder / into)] == [number for number in BAD if number < limit]
    apart = folder / "apart"
    apart.mkdir()
    run(folder / source, apart / into, part_rows=part_rows)
    assert snapshot(folder / into) == snapshot(apart / into)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("parts", range(5))
def test_rows_that_the_tokenizer_refuses_are_the_same_after_a_kill(tmp_path, parts):
    asked = [("cat " * 60 if number % 7 == 3 else "where?", f"the cat is near {number}") for number in range(30)]
    write_rows(tmp_path / "in.jsonl", [{"question": question, "context": context} for question, context in asked])
    (tmp_path / "whole").mkdir()
    run(tmp_path / "in.jsonl", tmp_path / "whole" / "out.jsonl", "question_answering", part_rows=5)
    with killed_after(parts):
        run(tmp_path / "in.jsonl", tmp_path / "out.jsonl", "question_answering", part_rows=5)
    run(tmp_path / "in.jsonl", tmp_path / "out.jsonl", "question_answering", part_rows=5)
    assert snapshot(tmp_path / "out.jsonl") == snapshot(tmp_path / "whole" / "out.jsonl")
    assert [row["row"] for row in failed(tmp_path / "out.jsonl")] == [4, 11, 18, 25]


@pytest.mark.usefixtures("quick")
def test_only_what_is_missing_is_computed(tmp_path):
    write_rows(tmp_path / "in.csv", ROWS)
    with killed_after(7):
        run(tmp_path / "in.csv", tmp_path / "out.csv", part_rows=2)
    there = len(list((tmp_path / ".out.csv.parts").glob("part-*.csv")))
    assert there == 7
    made = run(tmp_path / "in.csv", tmp_path / "out.csv", part_rows=2)
    assert made.computed == COUNT - 2 * there and made.rows == COUNT - len(BAD)
    again = run(tmp_path / "in.csv", tmp_path / "out.csv", part_rows=2)
    assert (again.computed, again.rows, again.failed, again.parts) == (0, COUNT - len(BAD), len(BAD), 12)


def command(source, output):
    return [
        sys.executable, "-m", "pocketbert.cli", "predict", str(exported("classification")), str(source),
        "--output", str(output), "--part-rows", "8", "--runtime", "onnxruntime", "--threads", "1",
    ]  # fmt: skip


def test_real_kills_at_random_moments(tmp_path):
    write_rows(tmp_path / "in.parquet", [{"id": number, "text": text} for number, text in enumerate(texts(1500))])
    (tmp_path / "whole").mkdir()
    subprocess.run(command(tmp_path / "in.parquet", tmp_path / "whole" / "out.parquet"), check=True)
    work = tmp_path / ".out.parquet.parts"
    for parts in sorted(random.Random(0).sample(range(120), 3)):
        process = subprocess.Popen(command(tmp_path / "in.parquet", tmp_path / "out.parquet"))
        while len(list(work.glob("part-*.parquet"))) < parts and process.poll() is None:
            time.sleep(0.005)
        process.kill()
        assert process.wait() == -signal.SIGKILL
    subprocess.run(command(tmp_path / "in.parquet", tmp_path / "out.parquet"), check=True)
    assert snapshot(tmp_path / "out.parquet") == snapshot(tmp_path / "whole" / "out.parquet")
    assert [row["id"] for row in rows(tmp_path / "out.parquet")] == list(range(1500))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_run_with_what_is_finished(tmp_path, number):
    write_rows(tmp_path / "in.csv", [{"text": text} for text in texts(4000)])
    process = subprocess.Popen(command(tmp_path / "in.csv", tmp_path / "out.csv"), stderr=subprocess.PIPE, text=True)
    work, deadline = tmp_path / ".out.csv.parts", time.monotonic() + 60
    while not list(work.glob("part-*")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(number)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 143 and "Traceback" not in told
    assert f"stopped by {number.name}; finished parts are kept, run the same command to go on" in told
    assert list(work.glob("part-*.csv")) and not (tmp_path / "out.csv").exists()


@pytest.mark.usefixtures("quick")
def test_the_signals_are_given_back(tmp_path, monkeypatch):
    write_rows(tmp_path / "in.csv", ROWS)
    before = signal.getsignal(signal.SIGTERM)
    commit = computing.Computer._commit

    def interrupted(self, prepared, answers):
        commit(self, prepared, answers)
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(computing.Computer, "_commit", interrupted)
    with pytest.raises(Interrupted):
        run(tmp_path / "in.csv", tmp_path / "out.csv", part_rows=5)
    assert signal.getsignal(signal.SIGTERM) == before
    monkeypatch.undo()


def test_two_runs_at_once_do_not_meet(tmp_path):
    write_rows(tmp_path / "in.csv", ROWS)
    work = tmp_path / ".out.csv.parts"
    work.mkdir()
    (work / ".other.tmp").write_text("what the other run is writing")
    with FileLock(work / "lock"):
        with pytest.raises(PocketBertError, match="another run writes it just now"):
            run(tmp_path / "in.csv", tmp_path / "out.csv")
        assert (work / ".other.tmp").exists()
    assert run(tmp_path / "in.csv", tmp_path / "out.csv").rows == COUNT - len(BAD)


@pytest.mark.parametrize("fault", [errno.ENOLCK, errno.ENOTSUP])
def test_a_disk_that_knows_no_locks_is_written_all_the_same(tmp_path, monkeypatch, fault):
    def refuse(*_):
        raise OSError(fault, os.strerror(fault))

    write_rows(tmp_path / "in.csv", ROWS)
    monkeypatch.setattr(fcntl, "flock", refuse)
    assert run(tmp_path / "in.csv", tmp_path / "out.csv").rows == COUNT - len(BAD)
