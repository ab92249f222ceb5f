"""Which texts the ranges of activations are measured on.

Training rows, spread over the lengths that they have. Batches are of one length, so that there is no padding in them:
what a model computes for padding is read by nobody, and would only stretch the ranges that real tokens have to share.
"""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from pocketbert.engines.base import Inputs
from pocketbert.tasks.base import Encoded, Example, Feature, Task, collate

_POOL = 10
"""Training rows that are looked at for each that is chosen."""
_TOKENS_PER_BATCH = 1024


def choose_texts(task: Task, examples: Sequence[Example], tokenizer: Any, count: int) -> Encoded:
    """Some of the training rows, shortest and longest among them, the others evenly between.

    Args:
        task: encodes them.
        examples: the training rows.
        tokenizer: a fast one.
        count: how many; all where there are fewer.

    Returns:
        The chosen rows as model inputs; the same ones for the same rows.

    Raises:
        DataError: a row is too long and ``too_long`` is ``fail``.
    """
    pool = [examples[row] for row in _spread(len(examples), count * _POOL)]
    encoded = task.encode(pool, tokenizer)
    longest = np.zeros(len(encoded.examples), dtype=np.int64)
    np.maximum.at(longest, encoded.example_of, encoded.lengths)
    order = np.argsort(longest, kind="stable")
    return task.encode([encoded.examples[order[place]] for place in _spread(len(order), count)], tokenizer)


def unpadded_batches(features: Sequence[Feature], inputs: Collection[str]) -> list[Inputs]:
    """Features in batches of one length each, shortest first.

    Args:
        features: the texts.
        inputs: names of what the model takes.
    """
    batches: list[list[Feature]] = []
    for feature in sorted(features, key=_length):
        if not batches or _length(batches[-1][0]) != _length(feature) or _full(batches[-1]):
            batches.append([])
        batches[-1].append({name: feature[name] for name in inputs})
    return [collate(batch, pad_token_id=0) for batch in batches]


def _spread(rows: int, count: int) -> list[int]:
    """Up to ``count`` of so many rows, evenly spread, first and last among them."""
    numbers: list[int] = np.unique(np.linspace(0, rows - 1, min(rows, count)).round().astype(np.int64)).tolist()
    return numbers


def _length(feature: Feature) -> int:
    return len(feature["input_ids"])


def _full(batch: list[Feature]) -> bool:
    return (len(batch) + 1) * _length(batch[0]) > _TOKENS_PER_BATCH
