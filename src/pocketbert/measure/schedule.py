"""The time of a bench: shared out among its parts, and shown as it passes."""

import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from pocketbert.bars import LINE_SECONDS


class Schedule:
    """Time that is shared out, with a bar of what is left.

    Args:
        seconds: in all.
        console: of the bar; a line now and then where it is no terminal.
    """

    def __init__(self, seconds: float, console: Console) -> None:
        self._seconds = seconds
        self._console = console
        self._start = time.monotonic()
        self._line = self._start
        # Drawn when asked to, not by a thread of its own, which would run beside what is timed.
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            auto_refresh=False,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("", total=seconds)

    def __enter__(self) -> "Schedule":
        self._bar.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._bar.stop()

    @property
    def elapsed(self) -> float:
        """Seconds that have passed."""
        return time.monotonic() - self._start

    @property
    def left(self) -> float:
        """Seconds that are left; none below zero."""
        return max(self._seconds - self.elapsed, 0.0)

    def begin(self, part: str) -> None:
        """Say what comes now."""
        self._bar.update(self._task, description=part, completed=min(self.elapsed, self._seconds), refresh=True)
        now = time.monotonic()
        if not self._console.is_terminal and now - self._line >= LINE_SECONDS:
            self._console.print(f"bench: {part} · about {self.left:.0f} s left", highlight=False)
            self._line = now
