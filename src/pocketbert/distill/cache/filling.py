"""Asking the teacher about every sample that a run sees, once, and keeping what it says."""

import math
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor

from pocketbert.bars import Meter
from pocketbert.data.order import Position
from pocketbert.distill.cache.content import ALL, LOGITS, Content, state_kind
from pocketbert.distill.cache.packing import pack_features, pack_states, pack_top_k
from pocketbert.distill.cache.store import Writer
from pocketbert.distill.checkpoints import StopRequest
from pocketbert.distill.datasets import Batch, EncodedRows, MaskedBlocks
from pocketbert.distill.losses import top_k_targets
from pocketbert.distill.places import counted_tokens, find_places, real_tokens
from pocketbert.distill.signals import OnlineSignals, Signals
from pocketbert.engines.batching import batches_by_length
from pocketbert.errors import Interrupted, PocketBertError
from pocketbert.locks import FolderLock
from pocketbert.models.undecoded import Undecoded

TOKENS_PER_BATCH = 4096
ROWS_AT_ONCE = 1024
"""Logits of a vocabulary are softened so many positions at a time: they are wide, and fp32 only there."""
FLUSH_SECONDS = 5.0
"""Work that a kill costs at most."""


@dataclass(frozen=True)
class Filling:
    """What it takes to fill a cache.

    Attributes:
        samples: what the teacher speaks about.
        teacher: gives all that the cache keeps.
        content: what is kept.
        device: where the teacher computes.
        console: for progress.
    """

    samples: MaskedBlocks | EncodedRows
    teacher: OnlineSignals
    content: Content
    device: torch.device
    console: Console

    def batches(self, numbers: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], Batch]]:
        """Samples by the numbers of their entries, in batches of about ``TOKENS_PER_BATCH``."""
        for part in self._split(numbers):
            found = [self.samples[Position(*divmod(number, len(self.samples)))] for number in part.tolist()]
            batch = self.samples.collate(found)
            yield part, {name: value.to(self.device) for name, value in batch.items()}

    def where(self, batch: Batch) -> Tensor | None:
        """(batch, tokens) the tokens whose logits over a vocabulary are kept; None where a task's are.

        What the cache keeps decides, not what this run looks at: a later one may look at more.
        """
        if not self.content.of_vocabulary:
            return None
        return counted_tokens(batch, self.content.positions == ALL)

    def ask(self, batch: Batch) -> Signals:
        """What the teacher says about a batch."""
        where = self.where(batch)
        return self.teacher(batch, None if where is None else find_places(where))

    def tokens(self, numbers: NDArray[np.int64]) -> int:
        """Tokens of the samples of some entries."""
        rows = numbers % len(self.samples)
        return len(rows) if self.samples.lengths is None else int(self.samples.lengths[rows].sum())

    def _split(self, numbers: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
        if self.samples.lengths is not None:
            lengths = self.samples.lengths[numbers % len(self.samples)].tolist()
            yield from (numbers[rows] for rows in batches_by_length(lengths, TOKENS_PER_BATCH))
        elif isinstance(self.samples, MaskedBlocks):
            size = max(1, TOKENS_PER_BATCH // self.samples.block)
            yield from (numbers[start : start + size] for start in range(0, len(numbers), size))


def fill(filling: Filling, writer: Writer, numbers: NDArray[np.int64], folder: Path) -> None:
    """Ask the teacher and append what it says; killed, it goes on after the last flush.

    Args:
        filling: whom to ask about what.
        writer: of the store.
        numbers: of the entries that are not there.
        folder: of the store.

    Raises:
        Interrupted: asked to stop; what was said so far is kept.
        PocketBertError: the disk would not hold it.
    """
    start, flushed, done = time.monotonic(), time.monotonic(), 0
    all_tokens = filling.tokens(numbers)
    before = writer.index["seconds"]
    meter = Meter("asking the teacher", filling.console, len(numbers), 0, unit="samples")
    with StopRequest().listening() as stop, meter.shown():
        for part, batch in filling.batches(numbers):
            counts, records = _ask(filling, part, batch)
            writer.append(part, counts, records)
            writer.index["tokens"] += int(real_tokens(batch).sum())
            if not done:
                share = filling.tokens(part) / all_tokens
                _check_room(folder, sum(values.nbytes for values in records.values()), share)
            done += len(part)
            meter.count(len(part))
            if done == len(numbers) or stop or time.monotonic() - flushed >= FLUSH_SECONDS:
                writer.index["seconds"] = round(before + time.monotonic() - start, 1)
                writer.flush()
                flushed = time.monotonic()
            if stop:
                raise Interrupted(
                    f"stopped by {stop.name} with the teacher's word on {done:,} of {len(numbers):,} samples; it is "
                    "kept, run the same command to go on"
                )


@contextmanager
def hold(folder: Path, console: Console) -> Iterator[None]:
    """Let one process at a time fill a cache; the others wait, and then find what it has filled.

    Args:
        folder: of the cache.
        console: told where there is another.
    """
    lock = FolderLock(folder)
    if not lock.take():
        console.print(f"{folder}: another run is filling this cache; waiting for it", highlight=False)
        lock.take(wait=True)
    try:
        yield
    finally:
        lock.release()


def _ask(
    filling: Filling, numbers: NDArray[np.int64], batch: Batch
) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
    """What the teacher says about a batch: by kind, how many records each sample has, and the records."""
    content, real, said = filling.content, real_tokens(batch), filling.ask(batch)
    counts: dict[str, NDArray[Any]] = {}
    records: dict[str, NDArray[Any]] = {}
    if content.classes:
        where = filling.where(batch)
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
    return counts, records


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


def _check_room(folder: Path, size: int, share: float) -> None:
    """Refuse to go on where the disk would not hold the rest, by what a share of the tokens took."""
    wanted, free = size * (1 - share) / share, shutil.disk_usage(folder).free
    if wanted > free:
        raise PocketBertError(
            f"{folder}: the cache takes {wanted / 1e9:,.1f} GB more, but {free / 1e9:,.1f} GB are free there; name "
            "another folder in cache.folder, give losses of hidden states weight 0, or set signals: online"
        )
