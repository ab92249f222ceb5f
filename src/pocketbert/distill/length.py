"""How long a run is: its batches, its steps, and which samples it sees."""

import math

import numpy as np
from numpy.typing import NDArray

from pocketbert.data.order import EpochOrder
from pocketbert.distill import ranks
from pocketbert.recipe import Training

EPOCHS = 3.0
"""Length of a run that names none."""


def samples_per_step(options: Training) -> int:
    """Samples of an optimiser step, over its micro-batches and all ranks."""
    return options.batch_size * options.accumulation * ranks.count()


def count_steps(options: Training, samples: int) -> int:
    """Optimiser steps of a run without a time budget.

    Args:
        options: its length and batches.
        samples: in an epoch.
    """
    epochs = options.epochs if options.epochs is not None else EPOCHS
    return options.steps or math.ceil(epochs * -(-samples // samples_per_step(options)))


def order_samples(options: Training, samples: int, lengths: NDArray[np.int64] | None) -> EpochOrder:
    """The order in which a run sees its samples.

    Args:
        options: its batches and seed.
        samples: in an epoch.
        lengths: tokens of each, where they differ.
    """
    return EpochOrder(samples, samples_per_step(options), options.seed, lengths)


def samples_seen(options: Training, order: EpochOrder, epochs: int) -> NDArray[np.int64]:
    """Which samples a run sees, where no more than so many epochs differ from one another.

    Args:
        options: its length and batches.
        order: of its samples.
        epochs: after which the first comes again.

    Returns:
        epoch × samples + sample, ascending; all of them where a time budget leaves the length open.
    """
    # A loader reads a batch ahead, also behind the last step.
    steps = count_steps(options, order.samples) + 1
    left = epochs * len(order) if options.budget else steps * order.batch_size
    seen = []
    for epoch in range(min(epochs, -(-left // len(order)))):
        order.set_epoch(epoch)
        seen.append(epoch * order.samples + order.arrange()[: left - epoch * len(order)])
    return np.unique(np.concatenate(seen)).astype(np.int64)
