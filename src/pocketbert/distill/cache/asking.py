"""What a teacher says about some samples, as the records that a cache keeps of it."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pocketbert.data.order import Position
from pocketbert.distill.cache.content import ALL, LOGITS, Content, state_kind
from pocketbert.distill.cache.packing import pack_features, pack_states, pack_top_k
from pocketbert.distill.cache.store import Records
from pocketbert.distill.datasets import Batch, EncodedRows, MaskedBlocks
from pocketbert.distill.losses import top_k_targets
from pocketbert.distill.places import counted_tokens, find_places, real_tokens
from pocketbert.distill.signals import OnlineSignals, Signals
from pocketbert.engines.batching import batches_by_length
from pocketbert.models.undecoded import Undecoded

TOKENS_PER_BATCH = 4096
ROWS_AT_ONCE = 1024
"""Logits of a vocabulary are softened so many positions at a time: they are wide, and fp32 only there."""


@dataclass(frozen=True)
class Said:
    """What was said about some samples.

    Attributes:
        numbers: (samples,) of their entries.
        counts: by kind, (samples,) how many records each has.
        records: by kind, those of all samples one after the other.
        tokens: real ones of the samples.
    """

    numbers: NDArray[np.int64]
    counts: Records
    records: Records
    tokens: int

    @property
    def bytes(self) -> int:
        """That the records take."""
        return sum(values.nbytes for values in self.records.values())


@dataclass(frozen=True)
class Asking:
    """What it takes to ask.

    Attributes:
        samples: what the teacher speaks about.
        teacher: gives all that the cache keeps.
        content: what is kept.
        device: where the teacher computes.
    """

    samples: MaskedBlocks | EncodedRows
    teacher: OnlineSignals
    content: Content
    device: torch.device

    def split(self, numbers: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
        """The numbers of entries in batches of about ``TOKENS_PER_BATCH``."""
        if self.samples.lengths is not None:
            lengths = self.samples.lengths[numbers % len(self.samples)].tolist()
            yield from (numbers[rows] for rows in batches_by_length(lengths, TOKENS_PER_BATCH))
        elif isinstance(self.samples, MaskedBlocks):
            size = max(1, TOKENS_PER_BATCH // self.samples.block)
            yield from (numbers[start : start + size] for start in range(0, len(numbers), size))

    def tokens(self, numbers: NDArray[np.int64]) -> int:
        """Tokens of the samples of some entries."""
        rows = numbers % len(self.samples)
        return len(rows) if self.samples.lengths is None else int(self.samples.lengths[rows].sum())

    def where(self, batch: Batch) -> Tensor | None:
        """(batch, tokens) the tokens whose logits over a vocabulary are kept; None where a task's are.

        What the cache keeps decides, not what this run looks at: a later one may look at more.
        """
        if not self.content.of_vocabulary:
            return None
        return counted_tokens(batch, self.content.positions == ALL)

    def signals(self, batch: Batch) -> Signals:
        """What the teacher says about a batch."""
        where = self.where(batch)
        return self.teacher(batch, None if where is None else find_places(where))

    def ask(self, numbers: NDArray[np.int64]) -> Said:
        """What the teacher says about the samples of some entries, for the cache."""
        found = [self.samples[Position(*divmod(number, len(self.samples)))] for number in numbers.tolist()]
        batch = {name: value.to(self.device) for name, value in self.samples.collate(found).items()}
        content, real, said = self.content, real_tokens(batch), self.signals(batch)
        counts: dict[str, NDArray[Any]] = {}
        records: dict[str, NDArray[Any]] = {}
        if content.classes:
            where = self.where(batch)
            tokens = (real if where is None else where).sum(dim=1).cpu().numpy()
            counts[LOGITS] = np.ones_like(tokens) if content.positions == "text" else tokens
            if isinstance(said.logits, Undecoded) and content.features:
                records[LOGITS] = pack_features(said.logits.features, content.kinds[LOGITS])
            elif isinstance(said.logits, Undecoded):
                records[LOGITS] = _top_k(content, said.logits, _offsets(numbers, tokens))
            elif isinstance(said.logits, Tensor):
                records[LOGITS] = _whole(content, said.logits, real)
        for layer in content.states:
            counts[state_kind(layer)] = real.sum(dim=1).cpu().numpy()
            records[state_kind(layer)] = pack_states(said.inside.states[layer][real])
        return Said(numbers, counts, records, int(real.sum()))


def _top_k(content: Content, logits: Undecoded, offsets: Tensor) -> NDArray[Any]:
    k, temperature, kind = content.top_k or content.classes, content.temperature or 1.0, content.kinds[LOGITS]
    offsets = offsets.to(logits.features.device)
    chunks = (slice(start, start + ROWS_AT_ONCE) for start in range(0, max(len(logits), 1), ROWS_AT_ONCE))
    told = [top_k_targets(logits.decode(rows), k, temperature, offsets[rows]) for rows in chunks]
    return np.concatenate([pack_top_k(part, kind) for part in told])


def _whole(content: Content, logits: Tensor, real: Tensor) -> NDArray[Any]:
    kept: NDArray[Any] = (logits if content.positions == "text" else logits[real]).float().cpu().numpy()
    return kept


def _offsets(numbers: NDArray[np.int64], counts: NDArray[np.int64]) -> Tensor:
    """Where the drawing begins at each position: a function of both, so that a killed run draws the same.

    The fractions of the multiples of an irrational number lie evenly between 0 and 1.
    """
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return torch.from_numpy((np.repeat(numbers, counts) * math.sqrt(2) + within * (math.sqrt(5) - 1) / 2) % 1.0)
