"""The losses: pure functions of student and teacher tensors, in fp32, each saying over what it averages.

Each takes ``count``, the number to divide by when the rows at hand are only a part (a micro-batch, one rank) of those
that the average is over; the number of rows at hand when absent.
"""

from pocketbert.distill.losses.attention import (
    attention_map_loss,
    attention_score_loss,
    attention_scores,
    relation_loss,
)
from pocketbert.distill.losses.states import contrastive_loss, cosine_loss, patience_loss, similarity_loss
from pocketbert.distill.losses.targets import (
    binary_cross_entropy_loss,
    binary_soft_target_loss,
    cross_entropy_loss,
    soft_target_divergences,
    soft_target_loss,
    squared_error_loss,
    value_loss,
)
from pocketbert.distill.losses.top_k import TopK, top_k_divergences, top_k_soft_target_loss, top_k_targets

__all__ = [
    "TopK",
    "attention_map_loss",
    "attention_score_loss",
    "attention_scores",
    "binary_cross_entropy_loss",
    "binary_soft_target_loss",
    "contrastive_loss",
    "cosine_loss",
    "cross_entropy_loss",
    "patience_loss",
    "relation_loss",
    "similarity_loss",
    "soft_target_divergences",
    "soft_target_loss",
    "squared_error_loss",
    "top_k_divergences",
    "top_k_soft_target_loss",
    "top_k_targets",
    "value_loss",
]
