"""Losses of a vocabulary's logits, a chunk of positions at a time.

The (positions × vocabulary) logits of student and teacher, their softened distributions and the gradients of all of
these never exist whole: each chunk's losses are differentiated as soon as they are known, and only the gradients of
features and weights are kept. This is possible because the weights of the losses, and what they average over, are
known before the backward pass.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pocketbert.models.undecoded import Undecoded

CPU_LOGITS = 2**24
"""Logits of a chunk: 64 MiB in fp32."""
GPU_LOGITS = 2**26
"""The same where kernels want long rows: 256 MiB."""
Losses = Callable[[Tensor, slice], tuple[Tensor, dict[str, Tensor]]]
"""Of the logits of a chunk, and which positions it has: the weighted sum of the losses, and each of them."""


def sum_losses(student: Undecoded, of_chunk: Losses) -> tuple[Tensor, dict[str, Tensor]]:
    """The losses of all positions.

    Args:
        student: what its logits are made of.
        of_chunk: gives shares of averages, which add up over chunks.

    Returns:
        The weighted sum, which alone has a gradient, and each loss by name.
    """
    parts: dict[str, Tensor] = {}

    def add(logits: Tensor, rows: slice) -> Tensor:
        total, found = of_chunk(logits, rows)
        for name, value in found.items():
            parts[name] = parts.get(name, 0) + value.detach()
        return total

    total: Tensor = _InChunks.apply(student.features, student.weight, student.bias, add)  # type: ignore[no-untyped-call]
    return total, parts


class _InChunks(torch.autograd.Function):
    """The weighted sum over chunks; the gradients are made on the way forward."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, bias: Tensor | None, add: Any) -> Tensor:
        student = Undecoded(features, weight, bias)
        wanted = any(ctx.needs_input_grad)
        size = max(1, (GPU_LOGITS if features.is_cuda else CPU_LOGITS) // len(weight))
        # At least once: without any position the losses are still there, and nothing.
        starts = range(0, max(len(student), 1), size)
        gradients = _Gradients(student) if wanted else None
        total = torch.zeros((), device=features.device)
        for start in starts:
            rows = slice(start, start + size)
            logits = student.decode(rows).float().requires_grad_(wanted)
            with torch.set_grad_enabled(wanted):
                share = add(logits, rows)
            total += share.detach()
            if gradients:
                gradients.add(torch.autograd.grad(share, logits)[0], rows)
        if gradients:
            ctx.save_for_backward(*gradients.all())
        return total

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor | None, ...]:
        features, weight, bias = ctx.saved_tensors
        (scale,) = outputs
        return features * scale, weight * scale, None if bias is None else bias * scale, None


class _Gradients:
    """Of features, weight and bias, summed over chunks in fp32."""

    def __init__(self, student: Undecoded) -> None:
        self._student = student
        self._features = torch.empty_like(student.features)
        self._weight: Tensor | None = None
        self._bias: Tensor | None = None

    def add(self, of_logits: Tensor, rows: slice) -> None:
        short = of_logits.to(self._student.weight.dtype)
        self._features[rows] = short @ self._student.weight
        of_weight, of_bias = short.T @ self._student.features[rows], of_logits.sum(dim=0)
        # One chunk is the usual case, and needs no sum.
        self._weight = of_weight if self._weight is None else self._weight.float().add_(of_weight)
        self._bias = of_bias if self._bias is None else self._bias.add_(of_bias)

    def all(self) -> tuple[Tensor, Tensor | None, Tensor | None]:
        dtype = self._student.weight.dtype
        weight = None if self._weight is None else self._weight.to(dtype)
        bias = None if self._bias is None or self._student.bias is None else self._bias.to(dtype)
        return self._features, weight, bias
