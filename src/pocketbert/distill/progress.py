"""How far a run has come: the schedule by steps or by time, and the line that shows it."""

import json
import math
import time
from pathlib import Path
from typing import IO, Any

from rich.console import Console
from rich.progress import TaskID
from transformers import TrainerCallback

from pocketbert.bars import LINE_SECONDS, clock_time, make_bar
from pocketbert.files import write_atomically


class Clock:
    """Progress of a run between 0 and 1, by steps or by a time budget.

    Args:
        steps: optimiser steps of the whole run; None with a budget.
        budget: seconds of the whole run, those before a resume included; None with steps.

    Attributes:
        step: optimiser steps done.
        seen: progress as all ranks last agreed on.
    """

    def __init__(self, steps: int | None, budget: float | None) -> None:
        self.steps = steps
        self.budget = budget
        self.step = 0
        self.seen = 0.0
        self._before = 0.0
        self._start = time.monotonic()

    def resume(self, step: int, elapsed: float) -> None:
        """Go on from a checkpoint."""
        self.step, self._before, self._start = step, elapsed, time.monotonic()
        self.seen = self.progress

    @property
    def elapsed(self) -> float:
        """Seconds of training, those before a resume included."""
        return self._before + time.monotonic() - self._start

    @property
    def progress(self) -> float:
        """Share of the run that is done."""
        return self.at(self.step) if self.steps else min(self.elapsed / (self.budget or math.inf), 1.0)

    def at(self, step: int) -> float:
        """Share of the run that is done at a step; with a budget, what was last seen, so that ranks agree."""
        return min(step / self.steps, 1.0) if self.steps else self.seen


def learning_rate_factor(progress: float, warmup: float) -> float:
    """Linear warm-up over the first ``warmup`` share of the run, then linear to zero."""
    if progress < warmup:
        return max(progress / warmup, 1e-3)
    return max((1 - progress) / (1 - warmup), 0.0)


class ProgressLine(TrainerCallback):  # type: ignore[misc]
    """One line with loss, tokens a second and time left; redrawn on a terminal, else printed now and then.

    Args:
        title: the stage's name.
        clock: progress of the run.
        console: where to; a line is printed every half minute where it is not a terminal.
    """

    def __init__(self, title: str, clock: Clock, console: Console) -> None:
        self._clock = clock
        self._console = console
        self._title = title
        self._bar = make_bar(console)
        self._task: TaskID | None = None
        self._tokens = 0
        self._since = time.monotonic()
        self._first = (self._since, 0.0)
        self._detail = ""

    def count(self, tokens: int) -> None:
        """Add tokens that the next line's rate is made of."""
        self._tokens += tokens

    def on_train_begin(self, *_args: Any, **_kwargs: Any) -> None:
        """Start the bar."""
        self._since = time.monotonic()
        self._first = (self._since, self._clock.progress)
        if self._console.is_terminal:
            self._task = self._bar.add_task(self._title, total=1.0, detail="")
            self._bar.start()

    def on_log(self, _args: Any, state: Any, _control: Any, logs: dict[str, Any] | None = None, **_kw: Any) -> None:
        """Take up the newest loss."""
        if logs and "loss" in logs:
            self._detail = f"step {state.global_step} · loss {logs['loss']:.4f}"

    def on_step_end(self, *_args: Any, **_kwargs: Any) -> None:
        """Redraw, or print when the last line is old enough."""
        now = time.monotonic()
        rate = f"{self._tokens / max(now - self._since, 1e-9):,.0f} tokens/s"
        if self._task is not None:
            self._bar.update(self._task, completed=self._clock.progress, detail=f"{self._detail} · {rate}")
        elif now - self._since >= LINE_SECONDS:
            self._console.print(
                f"{self._title}: {self._clock.progress:.0%} · {self._detail} · {rate} · {self._left(now)} left",
                highlight=False,
            )
        if now - self._since >= LINE_SECONDS:
            self._tokens, self._since = 0, now

    def on_train_end(self, *_args: Any, **_kwargs: Any) -> None:
        """Take the bar away."""
        self._bar.stop()

    def _left(self, now: float) -> str:
        start, progress = self._first
        gained = self._clock.progress - progress
        return clock_time((now - start) / gained * (1 - self._clock.progress) if gained else 0)


class JsonLog(TrainerCallback):  # type: ignore[misc]
    """A line of JSON per log entry, in ``log.jsonl``; entries after the checkpoint resumed from are dropped.

    Args:
        path: the file.
        clock: for the elapsed time.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._file: IO[str] | None = None

    def on_train_begin(self, _args: Any, state: Any, _control: Any, **_kwargs: Any) -> None:
        """Keep what belongs to the run so far, and open the file."""
        kept = []
        if self._path.is_file() and state.global_step:
            lines = self._path.read_text(encoding="utf-8").splitlines()
            # A killed run may have left half a line.
            whole = [line for line in lines if line.endswith("}")]
            kept = [line for line in whole if json.loads(line)["step"] <= state.global_step]
        # Killed before its next entry, the run would otherwise have lost those it had.
        write_atomically(self._path, "".join(line + "\n" for line in kept))
        self._file = self._path.open("a", encoding="utf-8")

    def on_log(self, _args: Any, state: Any, _control: Any, logs: dict[str, Any] | None = None, **_kw: Any) -> None:
        """Write a line."""
        if self._file and logs:
            entry = {"step": state.global_step, "seconds": round(self._clock.elapsed, 1), **logs}
            self._file.write(json.dumps(entry) + "\n")
            self._file.flush()

    def on_train_end(self, *_args: Any, **_kwargs: Any) -> None:
        """Close the file."""
        if self._file:
            self._file.close()
