"""How far a run has come: rows, rows a second, time left."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from pocketbert.bars import make_bar

LINE_SECONDS = 30.0
"""Between two lines where no terminal can redraw one."""


class Meter:
    """Counts rows; a bar on a terminal, else a line now and then.

    Args:
        console: where to.
        total: rows of the whole run.
        done: rows that were there before.
    """

    def __init__(self, console: Console, total: int, done: int) -> None:
        self._console, self._total = console, total
        self._done, self._before = done, done
        self._start = self._line = time.monotonic()
        self._bar = make_bar(console)
        self._task = self._bar.add_task("predict", total=total, completed=done, detail="")

    @contextmanager
    def shown(self) -> Iterator["Meter"]:
        """Show it inside the block, where there is a terminal."""
        if not self._console.is_terminal:
            yield self
            return
        with self._bar:
            yield self

    def count(self, rows: int) -> None:
        """Add rows that are done."""
        self._done += rows
        now = time.monotonic()
        rate = (self._done - self._before) / max(now - self._start, 1e-9)
        detail = f"{self._done:,} of {self._total:,} rows · {rate:,.0f} rows/s"
        self._bar.update(self._task, completed=self._done, detail=detail)
        if not self._console.is_terminal and now - self._line >= LINE_SECONDS:
            self._line = now
            seconds = int((self._total - self._done) / max(rate, 1e-9))
            left = f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
            self._console.print(f"predict: {detail} · {left} left", highlight=False)
