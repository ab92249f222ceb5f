"""Work that is done on all cores of a CPU at once, by a thread each.

torch spreads each operation over the cores by itself, and all of them then wait for the slowest, some two hundred
times in one pass through a model; and its library of products gives some shapes to one core alone. A pass of its own
for each core waits once (docs/lab-notes.md).
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TypeVar

import torch

Result = TypeVar("Result")


class Cores:
    """Threads that share the cores of this process, the caller's among them.

    Args:
        count: of threads, at least 1.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._others: ThreadPoolExecutor | None = None

    def run(self, tasks: Sequence[Callable[[], Result]]) -> list[Result]:
        """What each task gives, in their order; none of them still runs then, even where one has failed.

        The first runs in the caller's thread: one that slept meanwhile would find its core, and what is in its
        caches, taken.

        Args:
            tasks: no more than there are threads; a lone one has all cores.
        """
        first, *others = tasks
        if not others:
            return [first()]
        self._others = self._others or self._start()
        waiting = [self._others.submit(task) for task in others]
        try:
            with torch_threads(self._share()):
                found = first()
        finally:
            wait(waiting)
        return [found, *(task.result() for task in waiting)]

    def _share(self) -> int:
        """Cores of each thread."""
        return max(1, torch.get_num_threads() // self.count)

    def _start(self) -> ThreadPoolExecutor:
        share, everyone = self._share(), threading.Barrier(self.count)
        pool = ThreadPoolExecutor(self.count - 1, thread_name_prefix="core")

        def settle() -> None:
            torch.set_num_threads(share)
            everyone.wait()

        # What one thread sets for itself holds for those that torch meets later, too: this one sets it back.
        with torch_threads(torch.get_num_threads()):
            for _ in range(self.count - 1):
                pool.submit(settle)
            everyone.wait()
        return pool


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """So many threads for each operation of torch inside the block, and as many as before after it."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
