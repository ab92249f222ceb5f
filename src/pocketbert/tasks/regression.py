"""Regression: a number for a text or a pair of texts."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketbert.data.records import Record
from pocketbert.tasks.base import Example
from pocketbert.tasks.metrics import correlations
from pocketbert.tasks.rows import number_cell
from pocketbert.tasks.texts import TextTask


class Regression(TextTask):
    """A number for each text: targets and predictions are floats.

    Correlations decide; where predictions (or targets) are all the same they are not defined and count as 0.
    """

    name = "regression"
    problem_type = "regression"
    metrics = ("pearson", "spearman")
    usual = ("pearson", "spearman")

    def fit(self, records: Iterable[Record]) -> None:
        """Find columns.

        Raises:
            DataError: a column is missing or cannot be guessed.
        """
        self.find_columns(records)

    def read_target(self, record: Record) -> float:
        """The row's number; see :class:`~pocketbert.tasks.texts.TextTask`."""
        return number_cell(record, self.columns["label"])

    @property
    def unknown(self) -> float:
        """NaN; see :class:`~pocketbert.tasks.texts.TextTask`."""
        return math.nan

    def predict(self, logits: NDArray[np.float32]) -> float:
        """The single logit."""
        return float(logits[0])

    def score(self, predictions: Sequence[float], targets: Sequence[float]) -> dict[str, float]:
        """Pearson's and Spearman's correlation."""
        return correlations(predictions, targets)

    def scorer(self, predictions: Sequence[float], targets: Sequence[float]) -> Callable[[NDArray[np.int64]], float]:
        """The deciding score of a resample."""
        found, true = np.asarray(predictions, dtype=np.float64), np.asarray(targets, dtype=np.float64)

        def score_sample(index: NDArray[np.int64]) -> float:
            scores = correlations(found[index], true[index])
            return float(np.mean([scores[name] for name in self.deciding]))

        return score_sample

    def majority(self, train_targets: Sequence[float], examples: Sequence[Example]) -> list[float]:
        """The mean of the training targets."""
        return [float(np.mean(train_targets))] * len(examples)

    def correct(self, predictions: Sequence[float], targets: Sequence[float]) -> None:
        """A number is neither right nor wrong."""

    def agreement(self, first: Sequence[float], second: Sequence[float]) -> float:
        """Pearson's correlation of both."""
        return correlations(first, second)["pearson"]

    def model_fields(self) -> dict[str, Any]:
        """One output, trained by the squared error."""
        names: dict[str, Any] = {"id2label": {0: "value"}, "label2id": {"value": 0}}
        return {"num_labels": 1, "problem_type": self.problem_type, **names}
