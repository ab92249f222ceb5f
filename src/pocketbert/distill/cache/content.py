"""What of the teacher's word a cache keeps, and how many bytes it takes.

The logits of a vocabulary are kept as the likeliest classes of their softened distribution, the probability of all
others together, and as many of these, drawn by their probabilities; logarithms in steps of 8 bits between the likeliest
and the least likely. The logits of a task are few and kept as they are, hidden states in fp16.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel
from torch import Tensor

from pocketbert.distill.losses import TopK

LOGITS = "logits"
ALL = "all"
"""Positions: those of all tokens."""
STEPS = 255
"""Between the likeliest and the least likely class."""
_LARGEST = float(np.finfo(np.float16).max)


class Content(BaseModel, frozen=True):
    """What a cache keeps.

    Attributes:
        classes: of the logits; 0 where none are kept.
        top_k: how many of the likeliest are kept, and as many drawn of the others; None for all of them.
        temperature: of the distribution that they are kept of; None where all are kept.
        positions: where logits are kept: ``masked`` or ``all`` tokens, or once for each ``text``.
        states: layers whose outputs are kept, for every token.
        width: of these.
    """

    classes: int = 0
    top_k: int | None = None
    temperature: float | None = None
    positions: str = "text"
    states: tuple[int, ...] = ()
    width: int = 0

    @property
    def kinds(self) -> dict[str, np.dtype[Any]]:
        """The type of one record of each kind: logits of a position, or the state of a token in a layer."""
        kinds: dict[str, np.dtype[Any]] = {}
        if self.classes:
            kinds[LOGITS] = self._logits()
        return kinds | {state_kind(layer): np.dtype(("<f2", (self.width,))) for layer in self.states}

    def covers(self, other: "Content") -> bool:
        """Whether all that another content has is in this one."""
        logits = {"states": (), "width": 0}
        same = self.model_copy(update=logits) == other.model_copy(update=logits)
        return (same or not other.classes) and set(other.states) <= set(self.states)

    def describe(self) -> str:
        """In words, for messages."""
        if not self.classes:
            logits = "no logits"
        elif self.top_k is None:
            logits = "all logits"
        else:
            logits = f"top {self.top_k} of {self.positions} positions at temperature {self.temperature:g}"
        return f"{logits}, the outputs of layers {list(self.states)}" if self.states else logits

    def _logits(self) -> np.dtype[Any]:
        if self.top_k is None:
            return np.dtype(("<f4", (self.classes,)))
        ids = "<u2" if self.classes <= 2**16 else "<u4"
        part = np.dtype([("ids", ids, (self.top_k,)), ("steps", "u1", (self.top_k,)), ("high", "<f4"), ("low", "<f4")])
        return np.dtype([("told", part), ("drawn", part), ("rest", "<f4")])


def state_kind(layer: int) -> str:
    """The kind of records that hold the outputs of a layer."""
    return f"layer{layer}"


def pack_top_k(targets: TopK, kind: np.dtype[Any]) -> NDArray[Any]:
    """Records of distributions, (rows,)."""
    records = np.empty(len(targets.ids), dtype=kind)
    records["rest"] = targets.rest.cpu().numpy()
    for part, ids, logs in (("told", targets.ids, targets.logs), ("drawn", targets.drawn, targets.drawn_logs)):
        values = logs.cpu().numpy()
        high, low = values.max(axis=1), values.min(axis=1)
        span = np.maximum(high - low, np.finfo(np.float32).tiny)
        records[part]["ids"], records[part]["high"], records[part]["low"] = ids.cpu().numpy(), high, low
        records[part]["steps"] = np.rint((high[:, None] - values) / span[:, None] * STEPS)
    return records


def unpack_top_k(records: NDArray[Any]) -> TopK:
    """What was packed; the told probabilities and the rest add up to 1 again, whatever the rounding did."""
    (ids, logs), (drawn, drawn_logs) = (_unpack(records[part]) for part in ("told", "drawn"))
    rest = torch.from_numpy(records["rest"].copy())
    total = torch.logaddexp(logs.logsumexp(dim=-1), rest)
    return TopK(ids, logs - total[:, None], rest - total, drawn, drawn_logs)


def _unpack(part: NDArray[Any]) -> tuple[Tensor, Tensor]:
    high, low = part["high"][:, None], part["low"][:, None]
    logs = high - part["steps"] * ((high - low) / np.float32(STEPS))
    return torch.from_numpy(part["ids"].astype(np.int64)), torch.from_numpy(logs)


def pack_states(states: Tensor) -> NDArray[np.float16]:
    """(tokens, width) in fp16; what it cannot hold becomes the largest that it can."""
    packed: NDArray[np.float16] = states.float().clamp(-_LARGEST, _LARGEST).half().cpu().numpy()
    return packed
