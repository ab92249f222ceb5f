"""Which of the user's rows the ranges of activations are measured on, and how they are batched."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pocketbert.tasks.base import Feature, collate

BATCH = 16
"""Most rows of a calibration batch."""

Batch = dict[str, NDArray[np.int64]]


def choose_rows(features: Sequence[Feature], wanted: int) -> list[Feature]:
    """Rows spread evenly over the lengths that there are, so that long and short texts both have their say.

    Args:
        features: of training rows.
        wanted: how many; all where there are fewer.
    """
    order = np.argsort([len(feature["input_ids"]) for feature in features], kind="stable")
    places = np.linspace(0, len(order) - 1, min(wanted, len(order))).round().astype(int)
    return [features[row] for row in order[places]]


def equal_lengths(features: Sequence[Feature], inputs: Sequence[str]) -> list[Batch]:
    """Batches of rows of one length: no padding, whose activations no answer depends on, takes part in a range.

    Args:
        features: rows; labels are left out.
        inputs: names of what the model takes.
    """
    groups: dict[int, list[Feature]] = {}
    for feature in features:
        kept = {name: values for name, values in feature.items() if name in inputs}
        groups.setdefault(len(kept["input_ids"]), []).append(kept)
    return [
        collate(rows[start : start + BATCH], 0)
        for _, rows in sorted(groups.items())
        for start in range(0, len(rows), BATCH)
    ]
