"""Losses of attention: what each token of a sequence looks at, and how its parts relate to those of the others.

Queries are averaged over real tokens, and each looks at the real tokens of its sequence alone, so that padding
changes nothing.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from pocketbert.distill.losses.common import check_shapes

_OUT = -1e9
"""Score of what cannot be looked at: its probability is 0 in fp32."""


def attention_scores(queries: Tensor, keys: Tensor, heads: int) -> Tensor:
    """Products of queries and keys in each head, as they stand before the softmax.

    Args:
        queries: (batch, tokens, width), the heads side by side.
        keys: (batch, tokens, width).
        heads: how many; they divide the width.

    Returns:
        (batch, heads, tokens, tokens) fp32, divided by the root of the width of a head (Vaswani et al. 2017, eq. 1).
    """
    split_queries, split_keys = _split(queries, heads), _split(keys, heads)
    return split_queries @ split_keys.transpose(-1, -2) / math.sqrt(split_queries.shape[-1])


def attention_score_loss(
    student_scores: Tensor, teacher_scores: Tensor, real: Tensor, count: Tensor | float | None = None
) -> Tensor:
    """Squared error of attention scores before the softmax (Jiao et al. 2020, eq. 7).

    Args:
        student_scores: (batch, heads, tokens, tokens), queries before keys.
        teacher_scores: the same shape, no gradient.
        real: (batch, tokens) true where there is text.
        count: queries to average over.

    Returns:
        Scalar: averaged over the real keys of a query, over heads and over real queries.

    Raises:
        ValueError: shapes differ.
    """
    check_shapes(student_scores, teacher_scores)
    keys = real[:, None, None, :].float()
    errors = (student_scores.float() - teacher_scores.float()).square() * keys
    of_queries = errors.sum(dim=-1) / keys.sum(dim=-1)  # (batch, heads, tokens)
    return _average(of_queries, real, count)


def attention_map_loss(
    student_scores: Tensor, teacher_scores: Tensor, real: Tensor, count: Tensor | float | None = None
) -> Tensor:
    """KL divergence of what teacher and student look at (Wang et al. 2020, eq. 6; Sun et al. 2020, eq. 2).

    Args:
        student_scores: (batch, heads, tokens, tokens) before the softmax, queries before keys.
        teacher_scores: the same shape, no gradient.
        real: (batch, tokens) true where there is text.
        count: queries to average over.

    Returns:
        Scalar: summed over the real keys of a query, averaged over heads and real queries.

    Raises:
        ValueError: shapes differ.
    """
    check_shapes(student_scores, teacher_scores)
    out = ~real[:, None, None, :]
    student = functional.log_softmax(student_scores.float().masked_fill(out, _OUT), dim=-1)
    teacher = functional.log_softmax(teacher_scores.float().masked_fill(out, _OUT), dim=-1)
    of_queries = functional.kl_div(student, teacher, reduction="none", log_target=True).sum(dim=-1)
    return _average(of_queries, real, count)


def relation_loss(
    student_vectors: Tensor, teacher_vectors: Tensor, heads: int, real: Tensor, count: Tensor | float | None = None
) -> Tensor:
    """KL divergence of how the vectors of a sequence relate to one another (Wang et al. 2021, eq. 5 to 7).

    The relation of vectors is the attention that they would pay to themselves. All heads together are cut anew into
    relation heads, so that two models compare whatever their widths and heads are.

    Args:
        student_vectors: (batch, tokens, width) queries, keys or values, the heads side by side.
        teacher_vectors: (batch, tokens, another width), no gradient.
        heads: relation heads; they divide both widths.
        real: (batch, tokens) true where there is text.
        count: tokens to average over.

    Returns:
        Scalar: summed over the real tokens that a token relates to, averaged over relation heads and real tokens.
    """
    student = attention_scores(student_vectors, student_vectors, heads)
    teacher = attention_scores(teacher_vectors, teacher_vectors, heads)
    return attention_map_loss(student, teacher, real, count)


def _split(vectors: Tensor, heads: int) -> Tensor:
    # (batch, tokens, heads × size) → (batch, heads, tokens, size)
    batch, tokens, _ = vectors.shape
    return vectors.float().reshape(batch, tokens, heads, -1).transpose(1, 2)


def _average(of_queries: Tensor, real: Tensor, count: Tensor | float | None) -> Tensor:
    """Over heads and real queries, from (batch, heads, tokens)."""
    total = torch.where(real, of_queries.mean(dim=1), 0.0).sum()
    return total / (real.sum() if count is None else count)
