"""Windows through an engine: in batches of like lengths, several at once, each text's logits back in its place."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketbert.engines.base import Engine, Logits
from pocketbert.engines.batching import batches_by_length, bucket
from pocketbert.errors import ModelError, PocketBertError
from pocketbert.inference.reading import Window

BATCH_TOKENS = 1024
"""Of a batch, padding included: from about this on engines get no faster, and some get slower (docs/results.md)."""


def plan_batches(windows: Sequence[Window], max_length: int, tokens: int = BATCH_TOKENS) -> list[list[int]]:
    """Numbers of the windows that run together, the longest first; the batches of one length have one shape."""
    return batches_by_length([bucket(len(window.ids), max_length) for window in windows], tokens)


def collate_windows(windows: Sequence[Window], engine: Engine) -> dict[str, NDArray[np.int64]]:
    """Windows as the arrays (windows, tokens) that an engine takes, padded to the longest of them."""
    shape = len(windows), max(len(window.ids) for window in windows)
    ids = np.full(shape, engine.description.pad_token_id, dtype=np.int64)
    mask = np.zeros(shape, dtype=np.int64)
    types = np.zeros(shape, dtype=np.int64)
    for row, window in enumerate(windows):
        ids[row, : len(window.ids)] = window.ids
        mask[row, : len(window.ids)] = 1
        if window.types is not None:
            types[row, : len(window.ids)] = window.types
    arrays = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
    return {name: values for name, values in arrays.items() if name in engine.inputs}


def run_batch(engine: Engine, windows: Sequence[Window]) -> list[Logits]:
    """Logits of some windows in one call: (labels,), (tokens, labels), (tokens, 2) or (width,).

    Tokens are those of the window, without padding, or those that it wants.

    Raises:
        ModelError: the engine fails, answers too few, or a logit is not a finite number.
        DataError: a window is longer than the engine takes.
    """
    try:
        logits = engine.run(collate_windows(windows, engine))
    except (PocketBertError, MemoryError, OSError):
        raise
    except Exception as error:  # libraries raise what they like
        raise ModelError(f"{engine.name}: {type(error).__name__}: {error}") from error
    if len(logits) != len(windows):  # a library that has no memory left may say so in this manner
        raise ModelError(f"{engine.name}: answered {len(logits)} texts of {len(windows)}; check the memory")
    if not np.isfinite(logits).all():
        raise ModelError(
            f"{engine.name}: answered with what is not a finite number; check the model: pocketbert verify"
        )
    if logits.ndim == 2:
        return list(logits)
    return [_kept(row, window) for row, window in zip(logits, windows, strict=True)]


def _kept(logits: Logits, window: Window) -> Logits:
    """Of the logits (padded tokens, …) of a window those that it wants; a copy, where the rest can be forgotten."""
    return logits[: len(window.ids)] if window.wanted is None else logits[window.wanted]


Run = Callable[[Engine, Sequence[Window]], Sequence[Any]]
"""Runs a batch: logits of each window, or what stands in their place."""


class Runner:
    """An engine and the threads that call it.

    Args:
        engine: that allows so many calls at once.
        streams: calls at once.
    """

    def __init__(self, engine: Engine, streams: int) -> None:
        self.engine = engine
        self._closed = False
        self._threads = ThreadPoolExecutor(streams, thread_name_prefix="pocketbert-engine")

    def start(self, windows: Sequence[Window], run: Run = run_batch) -> "Running":
        """Begin to run windows; what was begun before is run before.

        Args:
            windows: of any lengths.
            run: runs a batch of them.

        Raises:
            PocketBertError: it is closed.
        """
        self.check_open()
        batches = plan_batches(windows, self.engine.description.max_length)
        futures = [self._threads.submit(run, self.engine, [windows[row] for row in batch]) for batch in batches]
        return Running(batches, futures, len(windows))

    def check_open(self) -> None:
        """Refuse what comes after :meth:`close`.

        Raises:
            PocketBertError: it is closed.
        """
        if self._closed:
            raise PocketBertError("this pipeline is closed; load the model again")

    def close(self) -> None:
        """End the threads; what was begun and not asked for is dropped."""
        self._closed = True
        self._threads.shutdown(cancel_futures=True)


class Running:
    """Windows that are being run.

    Args:
        batches: numbers of the windows of each.
        futures: what came of each.
        count: of windows.
    """

    def __init__(self, batches: list[list[int]], futures: list["Future[Sequence[Any]]"], count: int) -> None:
        self._batches, self._futures, self._count = batches, futures, count

    def logits(self) -> list[Any]:
        """Of every window, in order; waits for them.

        Raises:
            PocketBertError: as what runs a batch.
        """
        found: list[Any] = [None] * self._count
        for row, values in self._finished():
            found[row] = values
        return found

    def _finished(self) -> Iterator[tuple[int, Any]]:
        for batch, future in zip(self._batches, self._futures, strict=True):
            yield from zip(batch, future.result(), strict=True)
