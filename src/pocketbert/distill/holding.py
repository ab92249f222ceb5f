"""Holding out a share of the training rows, for choosing the checkpoint or for the reported numbers."""

import numpy as np

from pocketbert.errors import DataError
from pocketbert.tasks.base import Example

HELD_OUT_SHARE = 0.1
HELD_OUT_ROWS = 1000
"""Most rows that are held out of the training rows for a role."""


def hold_out(train: list[Example], role: str, notes: list[str]) -> tuple[list[Example], list[Example]]:
    """Part rows in two, the same way whenever they are as many.

    Args:
        train: to learn from.
        role: what some of them are to be held out for.
        notes: get one more.

    Returns:
        Those that are still learnt from, and those held out.

    Raises:
        DataError: they are too few.
    """
    count = min(HELD_OUT_ROWS, round(len(train) * HELD_OUT_SHARE))
    if not count:
        raise DataError(f"{len(train)} training rows are too few to hold some out; name data.{role}")
    # The same rows whatever the seed of the run, so that runs with several seeds can be compared.
    order = np.random.Generator(np.random.Philox(key=[0, len(train)])).permutation(len(train))
    held, rest = sorted(order[:count]), sorted(order[count:])
    notes.append(f"held out {count:,} of the training rows for {role}")
    return [train[row] for row in rest], [train[row] for row in held]
