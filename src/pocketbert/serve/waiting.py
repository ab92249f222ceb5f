"""Windows that wait for their model: which of them go next, and together."""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pocketbert.inference.reading import Window

if TYPE_CHECKING:
    from pocketbert.serve.scheduler import Ask

SPREAD = 0.75
"""Shorter windows join a batch when they fill at least so much of its length: what is padded beyond costs more."""


@dataclass(slots=True, eq=False)
class Job:
    """A window on its way through the model.

    Attributes:
        ask: what it belongs to.
        place: among the windows of that.
        window: what the model is given.
        tokens: that it takes, rounded up to its bucket.
        number: in the order of arrival.
    """

    ask: "Ask"
    place: int
    window: Window
    tokens: int
    number: int


class Waiting:
    """Jobs by length, each length in the order of arrival.

    Attributes:
        tokens: of all of them.
    """

    def __init__(self) -> None:
        self._lengths: dict[int, OrderedDict[int, Job]] = {}
        self.tokens = 0

    def __len__(self) -> int:
        return sum(map(len, self._lengths.values()))

    def lengths(self) -> Iterator[tuple[int, int]]:
        """Each length that waits, and how many jobs have it."""
        return ((length, len(jobs)) for length, jobs in self._lengths.items() if jobs)

    def add(self, job: Job) -> None:
        """Put a job behind all others."""
        self._lengths.setdefault(job.tokens, OrderedDict())[job.number] = job
        self.tokens += job.tokens

    def remove(self, job: Job) -> None:
        """Take a job out, if it is there."""
        jobs = self._lengths.get(job.tokens)
        if jobs and jobs.pop(job.number, None) is not None:
            self.tokens -= job.tokens

    def take(self, budget: int) -> list[Job]:
        """The oldest job, and as many of like length as a batch holds, the oldest first.

        Args:
            budget: tokens of a batch, padding included; a single job may have more.
        """
        heads = {next(iter(jobs)): length for length, jobs in self._lengths.items() if jobs}
        if not heads:
            return []
        longest = heads[min(heads)]
        lengths = sorted((length for length in heads.values() if SPREAD * longest <= length <= longest), reverse=True)
        there = sum(len(self._lengths[length]) for length in lengths)
        size = whole_size(min(there, max(1, budget // longest)))
        batch: list[Job] = []
        for length in lengths:
            jobs = self._lengths[length]
            while jobs and len(batch) < size:
                batch.append(jobs.popitem(last=False)[1])
        self.tokens -= sum(job.tokens for job in batch)
        return batch


def whole_size(count: int) -> int:
    """The largest of :func:`whole_sizes` that is not above ``count``, which is at least 1."""
    return whole_sizes(count)[-1]


def whole_sizes(most: int) -> list[int]:
    """Sizes of batches up to ``most``, the smallest first: 1, 2, 3, 4, 6, 8, 12, 16, 24 and so on.

    OpenVINO prepares itself for each shape that it meets, which takes time and memory that it never gives back. The few
    windows that are left go with the next batch.
    """
    sizes = {size for power in range(most.bit_length()) for size in (1 << power, (3 << power) >> 1)}
    return sorted(size for size in sizes if size <= most)
