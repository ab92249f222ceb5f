"""Each shape that batches will have is run once before it is needed, for the first time takes longer.

Some of it before the first request, the rest whenever nobody asks: what an engine keeps for a shape is then there soon
after the start, instead of growing for as long as a server runs.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, wait

from pocketbert.engines.base import Engine
from pocketbert.engines.batching import bucket
from pocketbert.inference.reading import Window
from pocketbert.inference.running import run_batch
from pocketbert.serve.waiting import whole_sizes

START_SECONDS = 5.0
"""For which it may delay a server: enough for nearly all shapes of a student of DistilBERT's size."""
_SILENCE, _SILENCES = 0.1, 2.0
"""Seconds without a request after which a shape is run, at least; and in times of what the last one took."""


class WarmUp:
    """The shapes that an engine has not run yet.

    Args:
        engine: that runs them.
        batch_tokens: of a batch, padding included.
        streams: that run each of them at once, for each stream keeps its own.
        threads: as many, at least.
    """

    def __init__(self, engine: Engine, batch_tokens: int, streams: int, threads: Executor) -> None:
        self._engine, self._streams, self._threads = engine, streams, threads
        self._left = list(shapes(engine.description.max_length, batch_tokens))[::-1]
        self._took = 0.0

    def run(self, seconds: float) -> None:
        """Run shapes for so long, or until the one is done that was begun then.

        Raises:
            ModelError: the engine fails; see :func:`~pocketbert.inference.running.run_batch`.
            MemoryError: there is too little.
        """
        end = time.monotonic() + seconds
        while self._left and time.monotonic() < end:
            self._run_next()

    def run_while(self, silent: Callable[[float], bool]) -> None:
        """Run shapes until somebody asks.

        Args:
            silent: whether nobody does for so many seconds.

        Raises:
            ModelError: the engine fails.
            MemoryError: there is too little.
        """
        while self._left and silent(max(_SILENCE, _SILENCES * self._took)):
            self._run_next()

    def _run_next(self) -> None:
        started = time.monotonic()
        windows, length = self._left.pop()
        batch = [Window([self._engine.description.pad_token_id] * length)] * windows
        running = [self._threads.submit(run_batch, self._engine, batch) for _ in range(self._streams)]
        for each in wait(running).done:
            each.result()
        self._took = time.monotonic() - started


def shapes(max_length: int, batch_tokens: int) -> Iterator[tuple[int, int]]:
    """Windows and tokens of each batch that the scheduler makes, the fewest windows first, of these the shortest.

    So what takes long comes last: when the time is over, a large model has been run on what it can do in it.

    Args:
        max_length: tokens of the longest window.
        batch_tokens: of a batch, padding included.
    """
    lengths = sorted({bucket(tokens, max_length) for tokens in range(1, max_length + 1)})
    for windows in whole_sizes(batch_tokens):
        for length in lengths:
            if windows == 1 or windows * length <= batch_tokens:
                yield windows, length
