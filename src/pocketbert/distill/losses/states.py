"""Losses of hidden states: vectors of tokens, or one of each sequence."""

import torch
from torch import Tensor
from torch.nn import functional

from pocketbert.distill.losses.common import check_shapes, check_temperature, divisor


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
    check_shapes(student_hidden, teacher_hidden)
    cosine = functional.cosine_similarity(student_hidden.float(), teacher_hidden.float(), dim=-1)
    return (1 - cosine).sum() / divisor(student_hidden, count)


def patience_loss(student_hidden: Tensor, teacher_hidden: Tensor, count: Tensor | float | None = None) -> Tensor:
    """Squared distance between hidden states of length one (Sun et al. 2019, eq. 7).

    Args:
        student_hidden: (rows, width), the first token of each sequence in one layer.
        teacher_hidden: (rows, width), no gradient.
        count: rows to average over.

    Returns:
        Scalar between 0 and 4: summed over the width, averaged over rows.

    Raises:
        ValueError: shapes differ.
    """
    check_shapes(student_hidden, teacher_hidden)
    student = functional.normalize(student_hidden.float(), dim=-1)
    teacher = functional.normalize(teacher_hidden.float(), dim=-1)
    return (student - teacher).square().sum() / divisor(student_hidden, count)


def contrastive_loss(
    student_vectors: Tensor, teacher_vectors: Tensor, temperature: float, count: Tensor | float | None = None
) -> Tensor:
    """Cross-entropy of finding one's own teacher vector among those of all rows (van den Oord et al. 2018, eq. 4).

    Args:
        student_vectors: (rows, width), one of each text.
        teacher_vectors: (rows, width), no gradient; those of the other rows are the wrong answers.
        temperature: divides the cosines; positive.
        count: rows to average over.

    Returns:
        Scalar: averaged over rows; 0 of a single row, which has no wrong answer.

    Raises:
        ValueError: shapes differ, or temperature is not positive.
    """
    check_shapes(student_vectors, teacher_vectors)
    check_temperature(temperature)
    student = functional.normalize(student_vectors.float(), dim=-1)
    teacher = functional.normalize(teacher_vectors.float(), dim=-1)
    own = torch.arange(len(student), device=student.device)
    total = functional.cross_entropy(student @ teacher.T / temperature, own, reduction="sum")
    return total / divisor(student_vectors, count)


def similarity_loss(
    student_vectors: Tensor, teacher_vectors: Tensor, temperature: float, count: Tensor | float | None = None
) -> Tensor:
    """KL divergence of how near a row is to each of the others, for teacher and student (Koohpayegani et al. 2020).

    Each model compares its own vectors among themselves, so that they may be of any two widths.

    Args:
        student_vectors: (rows, width), one of each text.
        teacher_vectors: (rows, another width), no gradient.
        temperature: divides the cosines before the softmax over the other rows; positive.
        count: rows to average over.

    Returns:
        Scalar: summed over the other rows, averaged over rows; 0 of fewer than three rows.

    Raises:
        ValueError: one model has more rows than the other, or temperature is not positive.
    """
    check_shapes(student_vectors[:, :0], teacher_vectors[:, :0])
    check_temperature(temperature)
    student, teacher = (_log_nearness(vectors, temperature) for vectors in (student_vectors, teacher_vectors))
    return functional.kl_div(student, teacher, reduction="sum", log_target=True) / divisor(student_vectors, count)


def _log_nearness(vectors: Tensor, temperature: float) -> Tensor:
    """(rows, rows - 1) log-probabilities over the other rows: a row is as near to itself in every model."""
    directions = functional.normalize(vectors.float(), dim=-1)
    return functional.log_softmax(_off_diagonal(directions @ directions.T) / temperature, dim=-1)


def _off_diagonal(square: Tensor) -> Tensor:
    """(rows, rows - 1) all but the diagonal, by its distance: a mask would have a GPU say how many it leaves."""
    rows = len(square)
    if rows < 2:
        return square[:, :0]
    return square.flatten()[1:].view(rows - 1, rows + 1)[:, :-1].reshape(rows, rows - 1)
