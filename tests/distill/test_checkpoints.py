"""Checkpoints that are whole or not there, and requests to stop."""

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from pocketbert.distill.checkpoints import (
    BEST,
    STAGING,
    Elapsed,
    StopRequest,
    best_model,
    newest_checkpoint,
    publish,
    publish_best,
    read_elapsed,
    write_elapsed,
)


def stage(folder, name, content="new"):
    place = folder / STAGING / name
    place.mkdir(parents=True)
    (place / "weights").write_text(content)


def test_the_newest_is_by_number_not_by_name(tmp_path):
    for step in (9, 10, 100, 99):
        (tmp_path / f"checkpoint-{step}").mkdir()
    assert newest_checkpoint(tmp_path).name == "checkpoint-100"


def test_there_may_be_none(tmp_path):
    assert newest_checkpoint(tmp_path) is None


def test_what_a_kill_left_half_saved_does_not_count(tmp_path):
    (tmp_path / "checkpoint-3").mkdir()
    stage(tmp_path, "checkpoint-6")
    assert newest_checkpoint(tmp_path).name == "checkpoint-3"
    assert not (tmp_path / STAGING).exists()


def test_a_published_checkpoint_replaces_those_before_it(tmp_path):
    (tmp_path / "checkpoint-3").mkdir()
    stage(tmp_path, "checkpoint-6")
    assert publish(tmp_path, "checkpoint-6", None) == tmp_path / "checkpoint-6"
    assert [path.name for path in tmp_path.glob("checkpoint-*")] == ["checkpoint-6"]


def test_a_checkpoint_of_the_same_step_is_replaced(tmp_path):
    (tmp_path / "checkpoint-6").mkdir()
    (tmp_path / "checkpoint-6" / "old").touch()
    stage(tmp_path, "checkpoint-6")
    publish(tmp_path, "checkpoint-6", None)
    assert [path.name for path in (tmp_path / "checkpoint-6").iterdir()] == ["weights"]


def test_a_kill_before_the_old_ones_are_dropped_is_harmless(tmp_path, monkeypatch):
    (tmp_path / "checkpoint-3").mkdir()
    stage(tmp_path, "checkpoint-6")
    monkeypatch.setattr("shutil.rmtree", lambda *args, **kwargs: None)
    publish(tmp_path, "checkpoint-6", None)
    monkeypatch.undo()
    assert newest_checkpoint(tmp_path).name == "checkpoint-6"


def test_an_older_best_stays_until_a_checkpoint_names_the_newer(tmp_path):
    for step in (3, 6):
        stage(tmp_path, BEST, f"of step {step}")
        publish_best(tmp_path, step)
    assert best_model(tmp_path, 3).is_dir()
    stage(tmp_path, "checkpoint-8")
    publish(tmp_path, "checkpoint-8", best_step=6)
    assert [path.name for path in tmp_path.glob("best-*")] == ["best-6"]
    assert (best_model(tmp_path, 6) / "weights").read_text() == "of step 6"


def test_a_best_of_the_same_step_is_replaced(tmp_path):
    for content in ("before the kill", "after it"):
        stage(tmp_path, BEST, content)
        publish_best(tmp_path, 3)
    assert (best_model(tmp_path, 3) / "weights").read_text() == "after it"


def test_elapsed_time_is_remembered(tmp_path):
    write_elapsed(tmp_path, Elapsed(12.5, 1.5))
    assert read_elapsed(tmp_path) == (12.5, 1.5)


def test_a_checkpoint_may_be_of_a_version_that_kept_the_training_time_alone(tmp_path):
    (tmp_path / "elapsed.json").write_text('{"seconds": 12.5}')
    assert read_elapsed(tmp_path) == (12.5, 0.0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_asks_to_stop_and_handlers_come_back(number):
    before = signal.getsignal(number)
    with StopRequest().listening() as stop:
        assert not stop
        signal.raise_signal(number)
        assert stop and stop.name == number.name
    assert signal.getsignal(number) is before


def test_a_thread_beside_the_main_one_trains_without_listening():
    """As a worker of Ray does."""
    with ThreadPoolExecutor(1) as pool:
        assert not pool.submit(lambda: bool(StopRequest().listening().__enter__())).result()


def test_a_second_signal_stops_at_once():
    program = (
        "import signal; from pocketbert.distill.checkpoints import StopRequest\n"
        "with StopRequest().listening():\n"
        "    signal.raise_signal(signal.SIGTERM); print('asked', flush=True); signal.raise_signal(signal.SIGTERM)\n"
        "    print('still here')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == -signal.SIGTERM and done.stdout == "asked\n"
