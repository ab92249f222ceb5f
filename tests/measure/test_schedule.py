"""The time of a bench, and what is said of it."""

import io

from rich.console import Console

from pocketbert.measure import schedule
from pocketbert.measure.schedule import Schedule


def test_time_that_has_passed_is_not_left(monkeypatch):
    now = iter([100.0, 100.0, 103.0, 103.0, 150.0])
    monkeypatch.setattr(schedule.time, "monotonic", lambda: next(now))
    plan = Schedule(10.0, Console(quiet=True))
    assert (plan.elapsed, plan.left, plan.elapsed, plan.left) == (0.0, 7.0, 3.0, 0.0)


def test_a_terminal_gets_a_bar_that_goes_away():
    text = io.StringIO()
    with Schedule(10.0, Console(file=text, force_terminal=True, width=80)) as plan:
        plan.begin("8 × 16 tokens on 2 threads")
    assert "8 × 16 tokens on 2 threads" in text.getvalue() and "0 %" in text.getvalue()
    assert text.getvalue().endswith("\x1b[2K")


def test_a_log_gets_a_line_now_and_then(monkeypatch):
    monkeypatch.setattr(schedule, "LINE_SECONDS", 0.0)
    text = io.StringIO()
    with Schedule(10.0, Console(file=text, width=80)) as plan:
        plan.begin("128 texts on 1 thread")
    assert text.getvalue() == "bench: 128 texts on 1 thread · about 10 s left\n"
    monkeypatch.setattr(schedule, "LINE_SECONDS", 30.0)
    with Schedule(10.0, Console(file=text, width=80)) as plan:
        plan.begin("another")
    assert "another" not in text.getvalue()
