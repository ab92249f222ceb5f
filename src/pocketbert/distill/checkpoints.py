"""Checkpoints that are either whole or not there, and asking a run to stop."""

import json
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from pocketbert.files import write_atomically

STAGING = "saving"
BEST = "best"


def newest_checkpoint(folder: Path) -> Path | None:
    """The last whole checkpoint of a run, or None; remains of a killed save are removed."""
    shutil.rmtree(folder / STAGING, ignore_errors=True)
    found = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.rsplit("-", 1)[1]))
    return found[-1] if found else None


def publish(folder: Path, name: str, best_step: int | None) -> Path:
    """Move a finished checkpoint out of the staging folder, and drop the ones before it.

    Only now are older best models dropped too: until this checkpoint stood, a killed run would have gone on from one
    that still named them.
    """
    kept = {name, best_model(folder, best_step or 0).name}
    older = [
        path for pattern in ("checkpoint-*", f"{BEST}-*") for path in folder.glob(pattern) if path.name not in kept
    ]
    target = folder / name
    shutil.rmtree(target, ignore_errors=True)
    (folder / STAGING / name).rename(target)
    for path in older:
        shutil.rmtree(path, ignore_errors=True)
    return target


def publish_best(folder: Path, step: int) -> None:
    """Move the best model so far out of the staging folder."""
    shutil.rmtree(best_model(folder, step), ignore_errors=True)
    (folder / STAGING / BEST).rename(best_model(folder, step))


def best_model(folder: Path, step: int) -> Path:
    """Where the best model is kept, by the step it was the best at."""
    return folder / f"{BEST}-{step}"


class Elapsed(NamedTuple):
    """How long a run has taken.

    Attributes:
        seconds: of all of it.
        evaluation: of these, what validations took; earlier versions did not keep it.
    """

    seconds: float = 0.0
    evaluation: float = 0.0


def write_elapsed(checkpoint: Path, elapsed: Elapsed) -> None:
    """Remember in a checkpoint how long the run has taken."""
    write_atomically(checkpoint / "elapsed.json", json.dumps(elapsed._asdict()))


def read_elapsed(checkpoint: Path) -> Elapsed:
    """How long a run took up to a checkpoint."""
    return Elapsed(**json.loads((checkpoint / "elapsed.json").read_text(encoding="utf-8")))


class StopRequest:
    """Set when SIGTERM or SIGINT has asked the run to stop; a second one stops it at once."""

    def __init__(self) -> None:
        self.name: str | None = None

    def __bool__(self) -> bool:
        return self.name is not None

    @contextmanager
    def listening(self) -> Iterator["StopRequest"]:
        """Catch the signals inside the block; give them back after it.

        Python lets the main thread alone catch signals: a run in another one (a worker of Ray) goes on from its last
        checkpoint instead of saving one more.
        """
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        before = {number: signal.signal(number, self._catch) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _catch(self, number: int, _frame: FrameType | None) -> None:
        if self.name is not None:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self.name = signal.Signals(number).name
