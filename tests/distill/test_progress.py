"""The clock, the schedule, the log and the line."""

import io
import json

import pytest
from rich.console import Console
from transformers import TrainerState

from pocketbert.distill import progress as module
from pocketbert.distill.progress import Clock, JsonLog, ProgressLine, learning_rate_factor


@pytest.fixture
def now(monkeypatch):
    """A clock to set by hand."""
    time = {"now": 100.0}
    monkeypatch.setattr(module.time, "monotonic", lambda: time["now"])
    return time


def test_progress_by_steps():
    clock = Clock(steps=10, budget=None)
    assert clock.progress == 0
    clock.step = 4
    assert clock.progress == 0.4 and clock.at(5) == 0.5 and clock.at(20) == 1


def test_progress_by_time(now):
    clock = Clock(steps=None, budget=20.0)
    now["now"] += 5
    assert clock.progress == 0.25 and clock.elapsed == 5
    now["now"] += 100
    assert clock.progress == 1


def test_a_resumed_clock_goes_on_where_it_stopped(now):
    clock = Clock(steps=None, budget=20.0)
    now["now"] += 50
    clock.resume(step=7, elapsed=12.0)
    assert clock.step == 7 and clock.elapsed == 12 and clock.progress == 0.6 and clock.at(7) == 0.6
    now["now"] += 3
    assert clock.elapsed == 15


def test_ranks_go_by_the_progress_they_agreed_on(now):
    """Two ranks never look at the same moment; the rate of learning must not depend on it."""
    clock = Clock(steps=None, budget=20.0)
    now["now"] += 5
    clock.seen = 0.2
    assert clock.at(1) == 0.2


@pytest.mark.parametrize(
    ("progress", "warmup", "factor"),
    [
        (0.05, 0.1, 0.5),
        (0.1, 0.1, 1.0),
        (0.55, 0.1, 0.5),
        (1.0, 0.1, 0.0),
        (0.0, 0.0, 1.0),
        (0.5, 0.0, 0.5),
        (2.0, 0.1, 0.0),
    ],
)
def test_the_rate_warms_up_and_falls_to_nothing(progress, warmup, factor):
    assert learning_rate_factor(progress, warmup) == pytest.approx(factor)


def test_the_first_step_learns_something():
    assert learning_rate_factor(0.0, 0.1) > 0


def state(step):
    return TrainerState(global_step=step)


def write(log, step, **values):
    log.on_log(None, state(step), None, logs=values)


def entries(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_resumed_log_drops_what_comes_again(tmp_path):
    path = tmp_path / "log.jsonl"
    log = JsonLog(path, Clock(10, None))
    log.on_train_begin(None, state(0), None)
    for step in (1, 2, 3):
        write(log, step, loss=step / 10)
    # Killed here, in the middle of a line; the checkpoint is of step 2.
    with path.open("a") as file:
        file.write('{"step": 4, "lo')
    log = JsonLog(path, Clock(10, None))
    log.on_train_begin(None, state(2), None)
    write(log, 3, loss=0.33)
    log.on_train_end()
    assert [(entry["step"], entry["loss"]) for entry in entries(path)] == [(1, 0.1), (2, 0.2), (3, 0.33)]


def test_a_run_killed_right_after_it_resumed_has_lost_no_entry(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text('{"step": 1, "loss": 0.1}\n{"step": 2, "loss": 0.2}\n')
    log = JsonLog(path, Clock(10, None))
    log.on_train_begin(None, state(2), None)
    # What a kill at this moment leaves is what is on the disk now, while the log is still open.
    assert [entry["step"] for entry in entries(path)] == [1, 2]


def test_a_new_run_has_a_new_log(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text('{"step": 1}\n')
    log = JsonLog(path, Clock(10, None))
    log.on_train_begin(None, state(0), None)
    log.on_train_end()
    assert entries(path) == []


def test_without_a_terminal_a_line_comes_every_half_minute(now):
    out = io.StringIO()
    clock = Clock(100, None)
    line = ProgressLine("distill", clock, Console(file=out, width=200))
    line.on_train_begin()
    for step in range(1, 7):
        now["now"] += 11
        clock.step = step
        line.count(440)
        line.on_log(None, state(step), None, {"loss": 1.5})
        line.on_step_end()
    printed = out.getvalue().splitlines()
    # 3 steps of 440 tokens in 33 seconds; 97 steps of 11 seconds are left.
    assert printed[0] == "distill: 3% · step 3 · loss 1.5000 · 40 tokens/s · 0:17:47 left"
    assert len(printed) == 2
