"""The progress of long work, the same for every verb: a bar, and a meter of rows."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

LINE_SECONDS = 30.0
"""Between two lines where no terminal can redraw one."""


def make_bar(console: Console) -> Progress:
    """A bar with its description, share, ``detail`` (a field of each task) and time left; gone when it is done."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[detail]}"),
        TimeRemainingColumn(elapsed_when_finished=True),
        console=console,
        transient=True,
    )


def clock_time(seconds: float) -> str:
    """A duration as hours, minutes and whole seconds: ``0:01:30``."""
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


class Meter:
    """Counts rows, or what else is done one by one; a bar on a terminal, else a line now and then.

    Args:
        title: what is being done.
        console: where to.
        total: rows of the whole run.
        done: rows that were there before.
        unit: what is counted.
    """

    def __init__(self, title: str, console: Console, total: int, done: int, unit: str = "rows") -> None:
        self._title, self._console, self._total, self._unit = title, console, total, unit
        self._done, self._before = done, done
        self._start = self._line = time.monotonic()
        self._bar = make_bar(console)
        self._task = self._bar.add_task(title, total=total, completed=done, detail="")

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
        detail = f"{self._done:,} of {self._total:,} {self._unit} · {rate:,.0f} {self._unit}/s"
        self._bar.update(self._task, completed=self._done, detail=detail)
        if not self._console.is_terminal and now - self._line >= LINE_SECONDS:
            self._line = now
            left = clock_time((self._total - self._done) / max(rate, 1e-9))
            self._console.print(f"{self._title}: {detail} · {left} left", highlight=False)
