"""Asking the teacher about every sample that a run sees, once, and keeping what it says.

Each rank asks its own teacher about its share of the batches, and the main one keeps what all were told, in the order
in which a single one would have asked: however many there are, the cache is the same.
"""

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from pocketbert.bars import Meter
from pocketbert.distill import ranks
from pocketbert.distill.cache.asking import Asking, Said
from pocketbert.distill.cache.store import Writer
from pocketbert.distill.checkpoints import StopRequest
from pocketbert.errors import Interrupted, PocketBertError
from pocketbert.locks import FolderLock

FLUSH_SECONDS = 5.0
"""Work that a kill costs at most."""


def fill(asking: Asking, folder: Path, numbers: NDArray[np.int64], console: Console) -> None:
    """Ask the teacher and append what it says; killed, it goes on after the last flush.

    Args:
        asking: whom to ask about what.
        folder: of the store, which has an index.
        numbers: of the entries that are not there; the same on all ranks.
        console: for progress.

    Raises:
        Interrupted: asked to stop; what was said so far is kept.
        PocketBertError: the disk would not hold it.
        OSError: the disk did not hold it.
    """
    batches, count = list(asking.split(numbers)), ranks.count()
    meter = Meter("asking the teacher", console, len(numbers), 0, unit="samples")
    keeper = _Keeper(folder, asking, numbers, meter) if ranks.is_main() else None
    with StopRequest().listening() as stop, meter.shown():
        for start in range(0, len(batches), count):
            own = batches[start : start + count][ranks.rank() : ranks.rank() + 1]
            told = ranks.gather(([asking.ask(part) for part in own], stop.name))
            # What ends it for one ends it for all: one that stops alone leaves the others waiting.
            if fault := ranks.share(keeper.keep(told) if keeper else None):
                raise fault


class _Keeper:
    """Appends what the ranks were told, turn by turn.

    Args:
        folder: of the store.
        asking: that it was asked by.
        numbers: of all entries that are to come.
        meter: counts them.
    """

    def __init__(self, folder: Path, asking: Asking, numbers: NDArray[np.int64], meter: Meter) -> None:
        self._folder, self._asking, self._meter = folder, asking, meter
        self._writer = Writer(folder, asking.content.kinds)
        self._all, self._done, self._tokens = len(numbers), 0, asking.tokens(numbers)
        self._before = self._writer.index["seconds"]
        self._start = self._flushed = time.monotonic()

    def keep(self, told: Sequence[tuple[list[Said], str | None]]) -> Exception | None:
        """Append what was said in a turn.

        Args:
            told: by rank, what its teacher said, and which signal asks it to stop.

        Returns:
            Why it ends here, where it does.
        """
        said = [each for own, _ in told for each in own]
        stop = next((name for _, name in told if name), None)
        try:
            if not self._done:
                share = sum(self._asking.tokens(each.numbers) for each in said) / self._tokens
                _check_room(self._folder, sum(each.bytes for each in said) / share)
            self._append(said, flush=bool(stop))
        except (PocketBertError, OSError) as error:
            return error
        if stop is None:
            return None
        return Interrupted(
            f"stopped by {stop} with the teacher's word on {self._done:,} of {self._all:,} samples; it is kept, run "
            "the same command to go on"
        )

    def _append(self, said: list[Said], flush: bool) -> None:
        for each in said:
            self._writer.append(each.numbers, each.counts, each.records)
            self._writer.index["tokens"] += each.tokens
            self._done += len(each.numbers)
            self._meter.count(len(each.numbers))
        now = time.monotonic()
        if flush or self._done == self._all or now - self._flushed >= FLUSH_SECONDS:
            self._writer.index["seconds"] = round(self._before + now - self._start, 1)
            self._writer.flush()
            self._flushed = now


def _check_room(folder: Path, wanted: float) -> None:
    """Refuse to begin where the disk would not hold so many bytes."""
    free = shutil.disk_usage(folder).free
    if wanted > free:
        raise PocketBertError(
            f"{folder}: the cache takes {wanted / 1e9:,.1f} GB more, but {free / 1e9:,.1f} GB are free there; name "
            "another folder in cache.folder, give losses of hidden states weight 0, or set signals: online"
        )


@contextmanager
def hold(folder: Path, console: Console) -> Iterator[None]:
    """Let one run at a time fill a cache; the others wait, and then find what it has filled.

    Args:
        folder: of the cache.
        console: told where there is another.
    """
    if not ranks.is_main():
        yield
        return
    lock = FolderLock(folder)
    if not lock.take():
        console.print(f"{folder}: another run is filling this cache; waiting for it", highlight=False)
        lock.take(wait=True)
    try:
        yield
    finally:
        lock.release()
