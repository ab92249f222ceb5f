"""Losses of logits: against the truth, or against the teacher's word."""

import torch
from torch import Tensor
from torch.nn import functional

from pocketbert.data.records import IGNORED
from pocketbert.distill.losses.common import check_shapes, check_temperature, divisor


def soft_target_loss(
    student_logits: Tensor, teacher_logits: Tensor, temperature: float, count: Tensor | float | None = None
) -> Tensor:
    """KL divergence of the softened teacher and student distributions, times T².

    Args:
        student_logits: (rows, classes) raw, any float type.
        teacher_logits: (rows, classes) raw, no gradient.
        temperature: softening T > 0; 1 leaves the distributions as they are.
        count: rows to average over.

    Returns:
        Scalar: summed over classes, averaged over rows (Hinton et al. 2015, section 2).

    Raises:
        ValueError: shapes differ, or temperature is not positive.
    """
    check_shapes(student_logits, teacher_logits)
    check_temperature(temperature)
    total = soft_target_divergences(student_logits, teacher_logits, temperature).sum()
    return total * temperature**2 / divisor(student_logits, count)


def soft_target_divergences(student_logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """(rows,) the divergences that :func:`soft_target_loss` is made of."""
    student = functional.log_softmax(student_logits.float() / temperature, dim=-1)
    teacher = functional.log_softmax(teacher_logits.float() / temperature, dim=-1)
    return functional.kl_div(student, teacher, reduction="none", log_target=True).sum(dim=-1)


def binary_soft_target_loss(
    student_logits: Tensor, teacher_logits: Tensor, temperature: float, count: Tensor | float | None = None
) -> Tensor:
    """KL divergence of softened yes/no distributions, times T²: soft targets where each label stands alone.

    Args:
        student_logits: (rows, labels) raw.
        teacher_logits: (rows, labels) raw, no gradient.
        temperature: softening T > 0.
        count: rows to average over.

    Returns:
        Scalar: summed over labels, averaged over rows.

    Raises:
        ValueError: shapes differ, or temperature is not positive.
    """
    check_shapes(student_logits, teacher_logits)
    check_temperature(temperature)
    student, teacher = student_logits.float() / temperature, teacher_logits.float() / temperature
    yes, no = torch.sigmoid(teacher), torch.sigmoid(-teacher)
    divergence = yes * (functional.logsigmoid(teacher) - functional.logsigmoid(student))
    divergence = divergence + no * (functional.logsigmoid(-teacher) - functional.logsigmoid(-student))
    return divergence.sum() * temperature**2 / divisor(student_logits, count)


def cross_entropy_loss(logits: Tensor, labels: Tensor, count: Tensor | float | None = None) -> Tensor:
    """Cross-entropy with the true class: the masked-LM loss, and the label loss of single-label tasks.

    Args:
        logits: (rows, classes) raw.
        labels: (rows,) class numbers; a row with a negative one has no label and adds nothing.
        count: rows to average over.

    Returns:
        Scalar: averaged over rows.
    """
    known = torch.where(labels < 0, IGNORED, labels)
    total = functional.cross_entropy(logits.float(), known, reduction="sum", ignore_index=IGNORED)
    return total / divisor(logits, count)


def binary_cross_entropy_loss(logits: Tensor, labels: Tensor, count: Tensor | float | None = None) -> Tensor:
    """Cross-entropy of independent yes/no labels.

    Args:
        logits: (rows, labels) raw.
        labels: (rows, labels) 0 or 1; NaN where it is not known, which adds nothing.
        count: rows to average over.

    Returns:
        Scalar: summed over labels, as their soft targets are, so that weights mean the same for any number of labels;
        averaged over rows.
    """
    known = ~labels.isnan()
    target = torch.where(known, labels, 0.0).float()
    each = functional.binary_cross_entropy_with_logits(logits.float(), target, reduction="none")
    return torch.where(known, each, 0.0).sum() / divisor(logits, count)


def squared_error_loss(
    values: Tensor, targets: Tensor, count: Tensor | float | None = None, columns: Tensor | None = None
) -> Tensor:
    """Mean squared error: of the teacher's logits (Ba and Caruana 2014), its hidden states, or true values.

    Args:
        values: (rows, columns).
        targets: (rows, columns).
        count: rows to average over.
        columns: (rows,) how many a row has, where the others are padding and the same in both; all of them when absent.

    Returns:
        Scalar: averaged over columns and rows.

    Raises:
        ValueError: shapes differ.
    """
    check_shapes(values, targets)
    of_rows = functional.mse_loss(values.float(), targets.float(), reduction="none").sum(dim=-1)
    total = (of_rows / (values.shape[-1] if columns is None else columns)).sum()
    return total / divisor(values, count)


def value_loss(values: Tensor, labels: Tensor, count: Tensor | float | None = None) -> Tensor:
    """Mean squared error of true values: the label loss of regression.

    Args:
        values: (rows, columns).
        labels: (rows, columns); NaN where it is not known, which adds nothing.
        count: rows to average over.

    Returns:
        Scalar: averaged over columns and rows.

    Raises:
        ValueError: shapes differ.
    """
    # An unknown value is met already, so that neither loss nor gradient comes of it.
    return squared_error_loss(values, torch.where(labels.isnan(), values.detach(), labels), count)
