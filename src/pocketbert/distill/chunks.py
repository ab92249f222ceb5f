"""Losses of a vocabulary's logits, a chunk of positions at a time.

The (positions × vocabulary) logits of student and teacher, their softened distributions and the gradients of all of
these never exist whole: each chunk's losses are differentiated as soon as they are known, and only the gradients of
features and weights are kept. This is possible because the weights of the losses, and what they average over, are
known before the backward pass.

Products of matrices want many positions, and what is done to each logit wants few, which stay in a processor's cache.
So a chunk's logits are made at once, and compared a piece at a time.

Made on the way forward, the gradients do not know of the factor that a loss in fp16 is scaled by, and fp16 holds no
number as small as they are. So they stay in fp32 there, and are brought to a largest of 1 for the products.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pocketbert.distill.losses import TopK
from pocketbert.models.undecoded import Undecoded

Theirs = Tensor | Undecoded | TopK | None
"""What the teacher says of positions."""
Losses = Callable[[Tensor, Tensor | TopK | None, slice], tuple[Tensor, dict[str, Tensor]]]
"""Of the logits of some positions in fp32, what the teacher says of them, and which they are: the weighted sum of the
losses, and each of them."""


class Sizes(NamedTuple):
    """How many logits are made, and compared, at once.

    Attributes:
        chunk: that one product of matrices makes.
        piece: that the losses look at.
    """

    chunk: int
    piece: int


ON_CPU = Sizes(2**24, 2**19)
ON_GPU = Sizes(2**26, 2**26)
"""A GPU wants long rows for everything: 256 MiB in fp32."""


def sum_losses(student: Undecoded, teacher: Theirs, of_piece: Losses) -> tuple[Tensor, dict[str, Tensor]]:
    """The losses of all positions.

    Args:
        student: what its logits are made of.
        teacher: what it says of the same positions.
        of_piece: gives shares of averages, which add up over pieces.

    Returns:
        The weighted sum, which alone has a gradient, and each loss by name.
    """
    parts: dict[str, Tensor] = {}

    def add(logits: Tensor, theirs: Tensor | TopK | None, rows: slice) -> Tensor:
        total, found = of_piece(logits, theirs, rows)
        for name, value in found.items():
            parts[name] = parts.get(name, 0) + value.detach()
        return total

    total: Tensor = _InChunks.apply(student.features, student.weight, student.bias, teacher, add)  # type: ignore[no-untyped-call]
    return total, parts


class _InChunks(torch.autograd.Function):
    """The weighted sum over chunks; the gradients are made on the way forward."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, bias: Tensor | None, teacher: Theirs, add: Any) -> Tensor:
        student = Undecoded(features, weight, bias)
        ctx.dtype = weight.dtype
        gradients = _Gradients(student) if any(ctx.needs_input_grad) else None
        sizes = ON_GPU if features.is_cuda else ON_CPU
        total = torch.zeros((), device=features.device)
        for rows in _slices(len(student), sizes.chunk // len(weight)):
            logits = _with_room(student.decode(rows))
            theirs = None if teacher is None else take(teacher, rows)
            for piece in _slices(len(logits), sizes.piece // len(weight)):
                where = slice(rows.start + piece.start, rows.start + piece.stop)
                own = logits[piece].float().requires_grad_(gradients is not None)
                with torch.set_grad_enabled(gradients is not None):
                    share = add(own, None if theirs is None else take(theirs, piece), where)
                total += share.detach()
                if gradients:
                    # They are not looked at again, and leave their place to their gradients.
                    logits[piece] = torch.autograd.grad(share, own)[0]
            if gradients:
                gradients.add(logits, rows)
        if gradients:
            ctx.save_for_backward(*gradients.all())
        return total

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor | None, ...]:
        (scale,) = outputs
        features, weight, bias = (
            None if saved is None else (saved * scale).to(ctx.dtype) for saved in ctx.saved_tensors
        )
        return features, weight, bias, None, None


def _slices(length: int, size: int) -> Iterator[slice]:
    """One after the other; at least one, so that without any position the losses are still there, and nothing."""
    size = max(1, size)
    for start in range(0, max(length, 1), size):
        yield slice(start, min(start + size, length))


def take(theirs: Tensor | Undecoded | TopK, rows: slice) -> Tensor | TopK:
    """What is said of some positions; of a vocabulary's logits, these."""
    if isinstance(theirs, Undecoded):
        return theirs.decode(rows)
    if isinstance(theirs, TopK):
        return TopK(*(values[rows] for values in theirs))
    return theirs[rows]


def _with_room(logits: Tensor) -> Tensor:
    """Logits in a type that their gradients fit into."""
    return logits.float() if logits.dtype == torch.float16 else logits


class _Gradients:
    """Of features, weight and bias, summed over chunks in fp32."""

    def __init__(self, student: Undecoded) -> None:
        self._student = student
        self._features = _with_room(torch.empty_like(student.features))
        self._weight: Tensor | None = None
        self._bias: Tensor | None = None

    def add(self, of_logits: Tensor, rows: slice) -> None:
        """Take the gradient of some positions' logits, (positions, vocabulary)."""
        short, largest = of_logits, None
        if of_logits.dtype != self._student.weight.dtype:
            largest = of_logits.abs().amax().clamp(min=torch.finfo(torch.float32).tiny)
            short = (of_logits / largest).to(self._student.weight.dtype)
        of_features, of_weight = short @ self._student.weight, short.T @ self._student.features[rows]
        if largest is not None:
            of_features, of_weight = of_features.float() * largest, of_weight.float() * largest
        of_bias = of_logits.sum(dim=0, dtype=torch.float32)
        self._features[rows] = of_features
        # One chunk is the usual case, and needs no sum.
        self._weight = of_weight if self._weight is None else self._weight.float().add_(of_weight)
        self._bias = of_bias if self._bias is None else self._bias.add_(of_bias)

    def all(self) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """What is to be multiplied by the gradient of the sum."""
        dtype = self._features.dtype
        weight = None if self._weight is None else self._weight.to(dtype)
        bias = None if self._bias is None or self._student.bias is None else self._bias.to(dtype)
        return self._features, weight, bias
