"""Scoring the masked language model: which hidden tokens were found, and how likely the model thought them.

It reads text instead of rows, so it is no :class:`~pocketbert.tasks.base.Task`; it is scored like one. An example is
a block, so that resampling keeps the tokens of a block together.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

NAME = "masked_lm"


class BlockAnswer(NamedTuple):
    """A model's answer to one block.

    Attributes:
        ids: (masked,) the likeliest id of each hidden token.
        loss: negative log-likelihood of the true ids in nats, summed over the hidden tokens.
    """

    ids: NDArray[np.int64]
    loss: float


class MaskedTokens:
    """Scores of a masked language model; satisfies :class:`~pocketbert.tasks.base.Scoring`.

    Targets are (masked,) true ids, one array a block.
    """

    name = NAME
    labels: list[str] | None = None
    deciding = ["accuracy"]  # noqa: RUF012 - the protocol's attribute

    def score(self, predictions: Sequence[BlockAnswer], targets: Sequence[NDArray[np.int64]]) -> dict[str, float]:
        """Accuracy over all hidden tokens; loss in nats a token, and its exponential, the perplexity."""
        loss = sum(answer.loss for answer in predictions) / sum(map(len, targets))
        return {
            "accuracy": float(np.mean(np.concatenate(self._hits(predictions, targets)))),
            "loss": float(loss),
            "perplexity": float(np.exp(loss)),
        }

    def scorer(
        self, predictions: Sequence[BlockAnswer], targets: Sequence[NDArray[np.int64]]
    ) -> Callable[[NDArray[np.int64]], float]:
        """Accuracy of a resample of blocks."""
        found = np.array([hits.sum() for hits in self._hits(predictions, targets)])
        tokens = np.array([len(target) for target in targets])
        return lambda index: float(found[index].sum() / tokens[index].sum())

    def majority(self, targets: Sequence[NDArray[np.int64]]) -> list[BlockAnswer]:
        """Always the most frequent hidden token; its loss is that of the tokens' own frequencies."""
        ids, counts = np.unique(np.concatenate(list(targets)), return_counts=True)
        loss = dict(zip(ids.tolist(), -np.log(counts / counts.sum()), strict=True))
        likeliest = ids[counts.argmax()]
        return [
            BlockAnswer(np.full_like(target, likeliest), float(sum(loss[token] for token in target.tolist())))
            for target in targets
        ]

    def correct(self, predictions: Sequence[BlockAnswer], targets: Sequence[NDArray[np.int64]]) -> NDArray[np.bool_]:
        """Per hidden token whether it was found."""
        return np.concatenate(self._hits(predictions, targets))

    def agreement(self, first: Sequence[BlockAnswer], second: Sequence[BlockAnswer]) -> float:
        """Share of hidden tokens for which both give the same id."""
        return float(np.mean(np.concatenate(self._hits(first, [answer.ids for answer in second]))))

    @staticmethod
    def _hits(predictions: Sequence[BlockAnswer], targets: Sequence[NDArray[np.int64]]) -> list[NDArray[np.bool_]]:
        return [answer.ids == target for answer, target in zip(predictions, targets, strict=True)]
