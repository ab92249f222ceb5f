"""Logits over a vocabulary before they are made: the widest tensors of a masked language model, made in parts."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional


class Undecoded(NamedTuple):
    """What the last layer of a masked-LM head makes logits of.

    Attributes:
        features: (positions, width).
        weight: (vocabulary, width) in the same type.
        bias: (vocabulary,) or None.
    """

    features: Tensor
    weight: Tensor
    bias: Tensor | None

    @classmethod
    def of(cls, features: Tensor, weight: Tensor, bias: Tensor | None) -> "Undecoded":
        """All in the type that a layer would compute in here."""
        device = features.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else features.dtype
        return cls(features.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype))

    def __len__(self) -> int:
        return len(self.features)

    def decode(self, rows: slice = slice(None)) -> Tensor:
        """Logits of some positions, (positions, vocabulary)."""
        return functional.linear(self.features[rows], self.weight, self.bias)
