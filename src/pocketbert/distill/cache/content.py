"""What of the teacher's word a cache keeps, and how many bytes it takes.

The logits of a vocabulary are many. They are kept as the features that the head's last layer makes them of, in 8 bits;
or as the likeliest classes of their softened distribution, the probability of all others together, and as many of
these, drawn by their probabilities. The logits of a task are few and kept as they are, hidden states in fp16.
"""

from typing import Any

import numpy as np
from pydantic import BaseModel

LOGITS = "logits"
MASKED, ALL = "masked", "all"
"""Positions where logits of a vocabulary are kept: those of hidden tokens, or of all."""


class Content(BaseModel, frozen=True):
    """What a cache keeps.

    Attributes:
        classes: of the logits; 0 where none are kept.
        features: width of what the logits of a vocabulary are made of, where that is kept.
        top_k: how many of the likeliest classes of a vocabulary are kept, and as many drawn of the others.
        temperature: of the distribution that these are kept of.
        positions: where logits are kept: ``masked`` or ``all`` tokens, each ``token``, or once for each ``text``.
        states: layers whose outputs are kept, for every token.
        width: of these.
    """

    classes: int = 0
    features: int = 0
    top_k: int | None = None
    temperature: float | None = None
    positions: str = "text"
    states: tuple[int, ...] = ()
    width: int = 0

    @property
    def of_vocabulary(self) -> bool:
        """Whether the logits are those of a vocabulary."""
        return self.positions in (MASKED, ALL)

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
        elif self.features:
            logits = f"all pieces of {self.positions} positions"
        elif self.top_k is None:
            logits = "all logits"
        else:
            logits = f"top {self.top_k} of {self.positions} positions at temperature {self.temperature:g}"
        return f"{logits}, the outputs of layers {list(self.states)}" if self.states else logits

    def _logits(self) -> np.dtype[Any]:
        if self.features:
            return np.dtype([*in_steps(self.features), ("scale", "<f4")])
        if self.top_k is None:
            return np.dtype(("<f4", (self.classes,)))
        ids = "<u2" if self.classes <= 2**16 else "<u4"
        part = np.dtype([("ids", ids, (self.top_k,)), *in_steps(self.top_k)])
        return np.dtype([("told", part), ("drawn", part), ("rest", "<f4")])


def state_kind(layer: int) -> str:
    """The kind of records that hold the outputs of a layer."""
    return f"layer{layer}"


def in_steps(count: int) -> list[tuple[Any, ...]]:
    """The fields of a record that keeps some numbers in steps between the highest and the lowest of them."""
    return [("steps", "u1", (count,)), ("high", "<f4"), ("low", "<f4")]
