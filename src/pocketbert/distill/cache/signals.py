"""Samples that bring along what the teacher said about them, and the signals made of that."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset
from transformers import PreTrainedModel

from pocketbert.data.order import Position
from pocketbert.distill.cache.content import LOGITS, Content, state_kind
from pocketbert.distill.cache.packing import unpack_features, unpack_top_k
from pocketbert.distill.cache.store import Reader
from pocketbert.distill.datasets import Batch, EncodedRows, MaskedBlocks
from pocketbert.distill.losses import TopK
from pocketbert.distill.signals import Needs, Signals
from pocketbert.models.inside import Seen
from pocketbert.models.undecoded import Undecoded

_ENTRY = "entry"
_TOLD = "teacher_"
"""How the keys of a batch begin that hold what the teacher said."""
_FEATURES = _TOLD + "features"


class CachedSamples(Dataset[dict[str, Any]]):
    """The same samples, with the teacher's word on each in the batch.

    Args:
        samples: blocks or rows.
        reader: has an entry for every sample of these epochs that is asked for.
        content: what of it is read.
        epochs: how many epochs differ; after them the first comes again, masks included.

    Attributes:
        content: what the batches bring along.
    """

    def __init__(self, samples: MaskedBlocks | EncodedRows, reader: Reader, content: Content, epochs: int) -> None:
        self.samples = samples
        self.lengths = samples.lengths
        self._reader = reader
        self.content = content
        self._epochs = epochs
        self._places = np.full(epochs * len(samples), -1, dtype=np.int64)
        # Another run may have kept more epochs.
        known = np.flatnonzero(reader.numbers < len(self._places))
        self._places[reader.numbers[known]] = known

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, position: Position) -> dict[str, Any]:
        epoch = position.epoch % self._epochs
        entry = self._places[epoch * len(self) + position.sample]
        return {**self.samples[Position(epoch, position.sample)], _ENTRY: int(entry)}

    def collate(self, samples: Sequence[dict[str, Any]]) -> Batch:
        """A batch of the samples, and beside it what the teacher said."""
        entries = [sample.pop(_ENTRY) for sample in samples]
        batch = self.samples.collate(samples)
        tokens = batch["input_ids"].shape[1]
        if self.content.classes:
            batch |= self._logits(entries, tokens)
        for layer in self.content.states:
            kind = state_kind(layer)
            batch[_TOLD + kind] = _pad([self._reader.read(entry, kind) for entry in entries], tokens)
        return batch

    def describe(self, rows: Sequence[int]) -> str:
        """Rows as the samples themselves call them."""
        return self.samples.describe(rows)

    def _logits(self, entries: Sequence[int], tokens: int) -> Batch:
        records = [self._reader.read(entry, LOGITS) for entry in entries]
        if self.content.features:
            return {_FEATURES: unpack_features(np.concatenate(records))}
        if self.content.top_k is not None:
            named = unpack_top_k(np.concatenate(records))._asdict()
            return {_TOLD + name: value for name, value in named.items()}
        if self.content.positions == "text":
            return {_TOLD + LOGITS: torch.from_numpy(np.concatenate(records))}
        return {_TOLD + LOGITS: _pad(records, tokens)}


class CachedSignals:
    """Signals from what the samples brought along.

    Args:
        content: of the samples.
        needs: what the objective asks for; all of it is in the batches.
        teacher: whose head makes logits of features, where these are kept; nothing else of it is looked at.
        device: where the student trains.
        dtype: in which type the logits are made.
    """

    def __init__(
        self, content: Content, needs: Needs, teacher: PreTrainedModel, device: torch.device, dtype: torch.dtype
    ) -> None:
        self._needs = needs
        self._weight: Tensor | None = None
        self._bias: Tensor | None = None
        if content.features:
            decoder: Any = teacher.get_output_embeddings()
            self._weight = decoder.weight.detach().to(device=device, dtype=dtype)
            self._bias = None if decoder.bias is None else decoder.bias.detach().to(device=device, dtype=dtype)

    def __call__(self, batch: Batch, _positions: Tensor | None) -> Signals:
        """What the teacher said about a batch; it was asked at the positions that the objective looks at."""
        states = {layer: batch[_TOLD + state_kind(layer)] for layer in self._needs.inside.states}
        return Signals(self._logits(batch) if self._needs.logits else None, Seen(states))

    def _logits(self, batch: Batch) -> Tensor | Undecoded | TopK:
        if self._weight is not None:
            return Undecoded(batch[_FEATURES].to(self._weight.dtype), self._weight, self._bias)
        if _TOLD + LOGITS in batch:
            return batch[_TOLD + LOGITS]
        return TopK(*(batch[_TOLD + name] for name in TopK._fields))


def _pad(parts: Sequence[NDArray[Any]], tokens: int) -> Tensor:
    """(batch, tokens, …) of parts (its own tokens, …), zero where there is no text."""
    padded = np.zeros((len(parts), tokens, *parts[0].shape[1:]), dtype=parts[0].dtype)
    for row, part in zip(padded, parts, strict=True):
        row[: len(part)] = part
    return torch.from_numpy(padded)
