"""The losses: pure functions of student and teacher tensors, in fp32, each saying over what it averages.

Each takes ``count``, the number to divide by when the rows at hand are only a part (a micro-batch, one rank) of those
that the average is over; the number of rows at hand when absent.
"""

import torch
from torch import Tensor
from torch.nn import functional


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
    _check_shapes(student_logits, teacher_logits)
    _check_temperature(temperature)
    student = functional.log_softmax(student_logits.float() / temperature, dim=-1)
    teacher = functional.log_softmax(teacher_logits.float() / temperature, dim=-1)
    total = functional.kl_div(student, teacher, reduction="sum", log_target=True)
    return total * temperature**2 / _count(student_logits, count)


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
    _check_shapes(student_logits, teacher_logits)
    _check_temperature(temperature)
    student, teacher = student_logits.float() / temperature, teacher_logits.float() / temperature
    yes, no = torch.sigmoid(teacher), torch.sigmoid(-teacher)
    divergence = yes * (functional.logsigmoid(teacher) - functional.logsigmoid(student))
    divergence = divergence + no * (functional.logsigmoid(-teacher) - functional.logsigmoid(-student))
    return divergence.sum() * temperature**2 / _count(student_logits, count)


def cross_entropy_loss(logits: Tensor, labels: Tensor, count: Tensor | float | None = None) -> Tensor:
    """Cross-entropy with the true class: the masked-LM loss, and the label loss of single-label tasks.

    Args:
        logits: (rows, classes) raw.
        labels: (rows,) class numbers.
        count: rows to average over.

    Returns:
        Scalar: averaged over rows.
    """
    return functional.cross_entropy(logits.float(), labels, reduction="sum") / _count(logits, count)


def binary_cross_entropy_loss(logits: Tensor, labels: Tensor, count: Tensor | float | None = None) -> Tensor:
    """Cross-entropy of independent yes/no labels.

    Args:
        logits: (rows, labels) raw.
        labels: (rows, labels) 0 or 1.
        count: rows to average over.

    Returns:
        Scalar: averaged over labels and rows.
    """
    total = functional.binary_cross_entropy_with_logits(logits.float(), labels.float(), reduction="sum")
    return total / (_count(logits, count) * logits.shape[-1])


def squared_error_loss(values: Tensor, targets: Tensor, count: Tensor | float | None = None) -> Tensor:
    """Mean squared error: regression on true values, or on the teacher's logits (Ba and Caruana 2014).

    Args:
        values: (rows, columns).
        targets: (rows, columns).
        count: rows to average over.

    Returns:
        Scalar: averaged over columns and rows.

    Raises:
        ValueError: shapes differ.
    """
    _check_shapes(values, targets)
    total = functional.mse_loss(values.float(), targets.float(), reduction="sum")
    return total / (_count(values, count) * values.shape[-1])


def cosine_loss(student_hidden: Tensor, teacher_hidden: Tensor, count: Tensor | float | None = None) -> Tensor:
    """One minus the cosine between hidden states (Sanh et al. 2019, section 2).

    Args:
        student_hidden: (tokens, width).
        teacher_hidden: (tokens, width), no gradient.
        count: tokens to average over.

    Returns:
        Scalar between 0 and 2: averaged over tokens.

    Raises:
        ValueError: shapes differ.
    """
    _check_shapes(student_hidden, teacher_hidden)
    cosine = functional.cosine_similarity(student_hidden.float(), teacher_hidden.float(), dim=-1)
    return (1 - cosine).sum() / _count(student_hidden, count)


def _count(rows: Tensor, count: Tensor | float | None) -> Tensor | float:
    return max(rows.shape[0], 1) if count is None else count


def _check_shapes(student: Tensor, teacher: Tensor) -> None:
    if student.shape != teacher.shape:
        raise ValueError(f"student {tuple(student.shape)} and teacher {tuple(teacher.shape)} differ in shape")


def _check_temperature(temperature: float) -> None:
    if temperature <= 0:
        raise ValueError(f"temperature is {temperature}; it has to be positive")
