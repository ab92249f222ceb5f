"""Which texts run together, and the lengths that they are rounded up to."""

from collections.abc import Sequence

import numpy as np

_LEAST = 8
"""In bf16 on AMX, OpenVINO 2026.4 convolves four tokens wrongly, as SqueezeBERT does (docs/lab-notes.md)."""
_FINEST = 4
_STEPS = 8
"""Buckets from one power of two to the next: padding adds a twentieth to mixed texts, for 44 shapes in all; four steps
would add a tenth for 25 (docs/lab-notes.md)."""


def batches_by_length(lengths: Sequence[int], tokens: int) -> list[list[int]]:
    """Numbers of texts, longest first, in batches of at most so many padded tokens; of one text where that is longer.

    Args:
        lengths: tokens of each text.
        tokens: of a batch, padding included.
    """
    batches: list[list[int]] = []
    for row in np.argsort([-length for length in lengths], kind="stable").tolist():
        if not batches or (len(batches[-1]) + 1) * lengths[batches[-1][0]] > tokens:
            batches.append([])
        batches[-1].append(row)
    return batches


def bucket(tokens: int, max_length: int) -> int:
    """The least bucket that holds so many tokens; few, for some engines prepare themselves for each length.

    They are 8, 12, 16, …, 64, 72, 80, …, 128, 144, … and ``max_length``.

    Args:
        tokens: of the longest text of a batch; at least 1.
        max_length: tokens of the longest text that the model takes.
    """
    above = 1 << (tokens - 1).bit_length()  # the least power of two that holds them
    step = max(_FINEST, above // (2 * _STEPS))
    return max(tokens, min(max(_LEAST, -(-tokens // step) * step), max_length))
