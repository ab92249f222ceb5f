"""The order of samples, as a function of (seed, epoch): new each epoch, the same on any number of ranks."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

WINDOW = 50
"""Batches among which samples are sorted by length: wide enough to save padding, narrow enough to stay random."""


class Position(NamedTuple):
    """Which sample, and in which epoch: all that masking has to know."""

    epoch: int
    sample: int


class EpochOrder:
    """A sampler for ``torch.utils.data.DataLoader`` that yields a :class:`Position` per sample.

    Every epoch holds each sample once; the last batch is filled up from the epoch's beginning, so all batches have
    the same size and splitting them into micro-batches or over ranks changes nothing.

    Args:
        samples: how many there are.
        batch_size: samples per optimiser step, over all ranks and accumulation.
        seed: of the run.
        lengths: (samples,) tokens of each; batches then hold samples of similar length.
    """

    def __init__(self, samples: int, batch_size: int, seed: int, lengths: NDArray[np.int64] | None = None) -> None:
        self.samples = samples
        self.batch_size = batch_size
        self.seed = seed
        self.lengths = lengths
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Move to an epoch; called by the trainer."""
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-self.samples // self.batch_size) * self.batch_size

    def __iter__(self) -> Iterator[Position]:
        for sample in self.arrange():
            yield Position(self.epoch, int(sample))

    def arrange(self) -> NDArray[np.int64]:
        """The samples of the epoch in their order."""
        generator = np.random.Generator(np.random.Philox(key=[self.seed, 0x6F72646572], counter=[0, self.epoch, 0, 0]))
        order = np.resize(generator.permutation(self.samples), len(self))
        if self.lengths is None:
            return order
        window = WINDOW * self.batch_size
        parts = [order[start : start + window] for start in range(0, len(order), window)]
        grouped = np.concatenate([part[np.argsort(self.lengths[part], kind="stable")] for part in parts])
        batches = grouped.reshape(-1, self.batch_size)
        return generator.permutation(batches).reshape(-1)
