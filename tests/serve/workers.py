"""Workers that fail as they are told, without a process."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from pocketbert.engines.base import Logits
from pocketbert.inference.reading import Window
from pocketbert.serve.metrics import Metrics, ModelMetrics
from pocketbert.serve.processes import BatchFailed, WorkerLost
from pocketbert.serve.scheduler import Bounds, Scheduler

RAISES, KILLS, HANGS = 1001, 1002, 1003
"""Token ids that an engine cannot stand."""
TIMEOUT, RESTART = 5.0, 0.5


def window(number: int, length: int = 8, *, poison: int | None = None) -> Window:
    """A window that bears a number as its first token, by which its answer is known."""
    ids = [number] + [7] * (length - 1)
    if poison is not None:
        ids[-1] = poison
    return Window(ids)


@dataclass
class FakeWorker:
    """Answers each window with its first token, in so many seconds a token."""

    streams: int = 1
    ready: bool = True
    failing: bool = False
    seconds: float = 0.001
    runs: list[list[int]] = field(default_factory=list)
    changed: Callable[[], None] = lambda: None
    lost: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, windows: list[Window]) -> list[Logits]:
        if not self.ready:
            raise WorkerLost("it died when the batch was on its way")
        self.runs.append([each.ids[0] for each in windows])
        tokens = [token for each in windows for token in each.ids]
        if KILLS in tokens or HANGS in tokens:
            await self._or_lost(TIMEOUT if HANGS in tokens else self.seconds)
            self.die()
            raise WorkerLost("as told")
        if await self._or_lost(self.seconds * len(windows) * max(len(each.ids) for each in windows)):
            raise WorkerLost("another batch killed it")
        if RAISES in tokens:
            raise BatchFailed("as told")
        return [np.array([each.ids[0]], dtype=np.float32) for each in windows]

    def die(self) -> None:
        """Lose what runs, and come back after a while."""
        if not self.ready:
            return
        self.ready = False
        self.lost.set()
        asyncio.get_running_loop().call_later(RESTART, self.come_back)

    def come_back(self) -> None:
        self.ready, self.lost = True, asyncio.Event()
        self.changed()

    async def _or_lost(self, seconds: float) -> bool:
        """Whether the worker was lost before so many seconds were over."""
        try:
            await asyncio.wait_for(self.lost.wait(), seconds)
        except TimeoutError:
            return False
        return True


def make_scheduler(worker: FakeWorker, *, batch: int = 64, queue: int = 10_000, seconds: float = 1e6) -> Scheduler:
    """A scheduler by the clock of the running loop."""
    clock = asyncio.get_running_loop().time
    bounds = Bounds(batch, queue, seconds)
    scheduler = Scheduler(worker, bounds, 512, ModelMetrics(Metrics(), "model"), clock)
    worker.changed = scheduler.worker_changed
    return scheduler
