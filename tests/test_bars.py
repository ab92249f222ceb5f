"""A meter of rows, where no terminal can redraw a bar."""

import io

from rich.console import Console

from pocketbert import bars


def test_lines_tell_how_far_a_run_is_where_there_is_no_terminal(monkeypatch):
    clock = iter([0.0, 10.0, 40.0, 45.0])
    monkeypatch.setattr(bars.time, "monotonic", lambda: next(clock))
    told = io.StringIO()
    meter = bars.Meter("predict", Console(file=told), 1000, 200)
    with meter.shown():
        for _ in range(3):
            meter.count(200)
    (line,) = told.getvalue().splitlines()
    assert line == "predict: 600 of 1,000 rows · 10 rows/s · 0:00:40 left"
