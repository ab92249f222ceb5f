"""Before the first request: each shape that batches will have is run once, for the first time takes longer."""

import time
from collections.abc import Iterator

from pocketbert.engines.base import Engine
from pocketbert.engines.batching import bucket
from pocketbert.inference.reading import Window
from pocketbert.inference.running import run_batch
from pocketbert.serve.waiting import whole_sizes

SECONDS = 5.0
"""For which it may delay a server: enough for all shapes of a student of DistilBERT's size."""


def warm_up(engine: Engine, batch_tokens: int) -> None:
    """Run an engine on padding for a few seconds, or until the batch is done that was begun then.

    Args:
        engine: that is to answer soon from the first request on.
        batch_tokens: of a batch, padding included; at 0 nothing is run.

    Raises:
        ModelError: the engine fails; see :func:`~pocketbert.inference.running.run_batch`.
    """
    end, padding = time.monotonic() + SECONDS, engine.description.pad_token_id
    for windows, length in shapes(engine.description.max_length, batch_tokens):
        if time.monotonic() > end:
            return
        run_batch(engine, [Window([padding] * length)] * windows)


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
