"""Soft targets of which only the likeliest classes are told, and how much is left for all others."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from pocketbert.distill.losses.common import check_temperature, divisor

_OUT = -1e9
"""Logarithm of no probability: 0 in fp32 once exponentiated, and finite, so that its gradient is a number."""


class TopK(NamedTuple):
    """Softened distributions, each told by its likeliest classes.

    Attributes:
        ids: (rows, k) int64, classes.
        logs: (rows, k) fp32, logarithms of their probabilities.
        rest: (rows,) fp32, logarithm of the probability of all other classes together.
    """

    ids: Tensor
    logs: Tensor
    rest: Tensor


def top_k_targets(logits: Tensor, k: int, temperature: float) -> TopK:
    """The likeliest classes of softened distributions.

    Args:
        logits: (rows, classes) raw, any float type; computed in fp32.
        k: classes to tell; at most all.
        temperature: softening T > 0.

    Raises:
        ValueError: temperature is not positive.
    """
    check_temperature(temperature)
    logs = functional.log_softmax(logits.float() / temperature, dim=-1)
    top, ids = logs.topk(k, dim=-1)
    return TopK(ids, top, _rest(logs, ids))


def top_k_soft_target_loss(
    student_logits: Tensor, teacher: TopK, temperature: float, count: Tensor | float | None = None
) -> Tensor:
    """KL divergence of softened distributions whose untold classes count as one, times T².

    It is never above :func:`~pocketbert.distill.losses.soft_target_loss`. What it lacks is T² times the teacher's rest
    times the KL divergence between the two rests, each scaled to a distribution of its own (chain rule of the KL
    divergence); with k = classes it lacks nothing.

    Args:
        student_logits: (rows, classes) raw, any float type.
        teacher: its distributions at the same temperature, no gradient.
        temperature: softening T > 0.
        count: rows to average over.

    Returns:
        Scalar: summed over the told classes and the rest, averaged over rows.

    Raises:
        ValueError: temperature is not positive.
    """
    check_temperature(temperature)
    logs = functional.log_softmax(student_logits.float() / temperature, dim=-1)
    student = torch.cat([logs.gather(-1, teacher.ids), _rest(logs, teacher.ids)[:, None]], dim=-1)  # (rows, k + 1)
    targets = torch.cat([teacher.logs, teacher.rest[:, None]], dim=-1)
    total = functional.kl_div(student, targets, reduction="sum", log_target=True)
    return total * temperature**2 / divisor(student_logits, count)


def _rest(logs: Tensor, ids: Tensor) -> Tensor:
    """(rows,) logarithm of what all classes but some hold; summed, for one minus the others would cancel."""
    return logs.scatter(-1, ids, _OUT).logsumexp(dim=-1)
