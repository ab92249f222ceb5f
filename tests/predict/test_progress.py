"""Rows, rows a second and time left."""

import io
import re

import pytest
from rich.console import Console
from runs import run, texts, write_rows

from pocketbert.predict import progress


def test_lines_tell_how_far_a_run_is_where_there_is_no_terminal(monkeypatch):
    clock = iter([0.0, 10.0, 40.0, 45.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    told = io.StringIO()
    meter = progress.Meter(Console(file=told), 1000, 200)
    with meter.shown():
        for _ in range(3):
            meter.count(200)
    (line,) = told.getvalue().splitlines()
    assert line == "predict: 600 of 1,000 rows · 10 rows/s · 0:00:40 left"


@pytest.mark.usefixtures("quick")
def test_a_terminal_has_a_bar(tmp_path):
    write_rows(tmp_path / "in.csv", [{"text": text} for text in texts(30)])
    told = io.StringIO()
    console = Console(file=told, force_terminal=True, width=120)
    run(tmp_path / "in.csv", tmp_path / "out.csv", part_rows=5, console=console)
    assert re.search(r"30 of 30 rows · [\d,]+ rows/s", told.getvalue()) and "100 %" in told.getvalue()
