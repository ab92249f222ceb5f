"""Scoring the masked language model: which hidden tokens were found, and how likely the model thought them.

It reads text instead of rows, so it is no :class:`~pocketbert.tasks.base.Task`; it is scored like one. An example is
a block, so that resampling keeps the tokens of a block together.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

NAME = "masked_lm"


class BlockAnswer(NamedTuple):
    """A model's answer to one block.

    Attributes:
        ids: (masked,) the likeliest id of each hidden token.
        loss: negative log-likelihood of the true ids in nats, summed over the hidden tokens; None for an answer
            that comes without probabilities.
    """

    ids: NDArray[np.int64]
    loss: float | None


class MaskedTokens:
    """Scores of a masked language model; satisfies :class:`~pocketbert.tasks.base.Scoring`.

    Targets are (masked,) true ids, one array a block.
    """

    name = NAME
    labels: list[str] | None = None
    deciding = ["accuracy"]  # noqa: RUF012 - the protocol's attribute

    def score(self, predictions: Sequence[BlockAnswer], targets: Sequence[NDArray[np.int64]]) -> dict[str, float]:
        """Accuracy over all hidden tokens; loss in nats a token, and its exponential, the perplexity."""
        scores = {"accuracy": float(np.mean(np.concatenate(self._hits(predictions, targets))))}
        losses = [answer.loss for answer in predictions if answer.loss is not None]
        if len(losses) == len(predictions):
            loss = sum(losses) / sum(map(len, targets))
            scores |= {"loss": loss, "perplexity": math.exp(loss)}
        return scores

    def scorer(
        self, predictions: Sequence[BlockAnswer], targets: Sequence[NDArray[np.int64]]
    ) -> Callable[[NDArray[np.int64]], float]:
        """Accuracy of a resample of blocks."""
        found = np.array([hits.sum() for hits in self._hits(predictions, targets)])
        tokens = np.array([len(target) for target in targets])
        return lambda index: float(found[index].sum() / tokens[index].sum())

    def majority(self, targets: Sequence[NDArray[np.int64]]) -> list[BlockAnswer]:
        """Always the most frequent hidden token."""
        ids, counts = np.unique(np.concatenate(list(targets)), return_counts=True)
        return [BlockAnswer(np.full_like(target, ids[counts.argmax()]), None) for target in targets]

    def correct(self, predictions: Sequence[BlockAnswer], targets: Sequence[NDArray[np.int64]]) -> NDArray[np.bool_]:
        """Per hidden token whether it was found."""
        return np.concatenate(self._hits(predictions, targets))

    def agreement(self, first: Sequence[BlockAnswer], second: Sequence[BlockAnswer]) -> float:
        """Share of hidden tokens for which both give the same id."""
        return float(np.mean(np.concatenate(self._hits(first, [answer.ids for answer in second]))))

    @staticmethod
    def _hits(predictions: Sequence[BlockAnswer], targets: Sequence[NDArray[np.int64]]) -> list[NDArray[np.bool_]]:
        return [answer.ids == target for answer, target in zip(predictions, targets, strict=True)]
