"""Rows, rows a second and time left."""

import io
import re

import pytest
from rich.console import Console
from runs import run, texts, write_rows


@pytest.mark.usefixtures("quick")
def test_a_terminal_has_a_bar(tmp_path):
    write_rows(tmp_path / "in.csv", [{"text": text} for text in texts(30)])
    told = io.StringIO()
    console = Console(file=told, force_terminal=True, width=120)
    run(tmp_path / "in.csv", tmp_path / "out.csv", part_rows=5, console=console)
    assert re.search(r"30 of 30 rows · [\d,]+ rows/s", told.getvalue()) and "100 %" in told.getvalue()
