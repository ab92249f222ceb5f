"""Soft targets of which the likeliest classes are told, and of all others some that were drawn."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from pocketbert.distill.losses.common import check_temperature, divisor


class TopK(NamedTuple):
    """Softened distributions, each told by its likeliest classes and by some drawn from the others.

    Attributes:
        ids: (rows, k) int64, the likeliest classes.
        logs: (rows, k) fp32, logarithms of their probabilities.
        rest: (rows,) fp32, logarithm of the probability of all other classes together.
        drawn: (rows, draws) int64, classes drawn from the others by their probabilities; one may come twice.
        drawn_logs: (rows, draws) fp32, logarithms of their probabilities.
    """

    ids: Tensor
    logs: Tensor
    rest: Tensor
    drawn: Tensor
    drawn_logs: Tensor


def top_k_targets(logits: Tensor, k: int, temperature: float, offsets: Tensor) -> TopK:
    """The likeliest classes of softened distributions, and as many drawn from the others.

    They are drawn at even distances along the others' summed probabilities (systematic sampling), so that each class
    is drawn in proportion to its own and classes of all parts of the vocabulary come.

    Args:
        logits: (rows, classes) raw, any float type; computed in fp32.
        k: classes to tell; at most all.
        temperature: softening T > 0.
        offsets: (rows,) where the drawing begins, from 0 to below 1: as a share of the distance.

    Raises:
        ValueError: temperature is not positive.
    """
    check_temperature(temperature)
    logs = functional.log_softmax(logits.float() / temperature, dim=-1)
    top, ids = logs.topk(k, dim=-1)
    ends = logs.exp().scatter(-1, ids, 0.0).cumsum(dim=-1)  # (rows, classes)
    rest = ends[:, -1:]
    steps = torch.arange(k, device=logs.device) + offsets[:, None].to(logs.dtype)
    # The last one where rounding has put a point behind it, and where there are no others.
    drawn = torch.searchsorted(ends, steps / k * rest, right=True).clamp(max=logs.shape[-1] - 1)
    return TopK(ids, top, rest[:, 0].log(), drawn, logs.gather(-1, drawn))


def top_k_soft_target_loss(
    student_logits: Tensor, teacher: TopK, temperature: float, count: Tensor | float | None = None
) -> Tensor:
    """KL divergence of softened distributions, times T², estimated where the teacher's is not told whole.

    The told classes add what they add to :func:`~pocketbert.distill.losses.soft_target_loss`. The sum over all others
    is the teacher's rest times a mean over those drawn, whose expectation over the drawing is that sum; so is its
    gradient's. With k = classes nothing is estimated.

    Args:
        student_logits: (rows, classes) raw, any float type.
        teacher: its distributions at the same temperature, no gradient.
        temperature: softening T > 0.
        count: rows to average over.

    Returns:
        Scalar: summed over classes, averaged over rows.

    Raises:
        ValueError: temperature is not positive.
    """
    check_temperature(temperature)
    total = top_k_divergences(student_logits, teacher, temperature).sum()
    return total * temperature**2 / divisor(student_logits, count)


def top_k_divergences(student_logits: Tensor, teacher: TopK, temperature: float) -> Tensor:
    """(rows,) the divergences that :func:`top_k_soft_target_loss` is made of."""
    logs = functional.log_softmax(student_logits.float() / temperature, dim=-1)
    told = teacher.logs.exp() * (teacher.logs - logs.gather(-1, teacher.ids))
    of_drawn = (teacher.drawn_logs - logs.gather(-1, teacher.drawn)).mean(dim=-1)
    return told.sum(dim=-1) + teacher.rest.exp() * of_drawn
