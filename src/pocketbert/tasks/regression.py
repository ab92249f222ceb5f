"""Regression: a number for a text or a pair of texts."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketbert.data.records import Record
from pocketbert.tasks.base import Example
from pocketbert.tasks.correlated import Correlated
from pocketbert.tasks.rows import number_cell
from pocketbert.tasks.texts import TextTask


class Regression(Correlated, TextTask):
    """A number for each text: targets and predictions are floats.

    Correlations decide; where predictions (or targets) are all the same they are not defined and count as 0.
    """

    name = "regression"
    problem_type = "regression"
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

    def majority(self, train_targets: Sequence[float], examples: Sequence[Example]) -> list[float]:
        """The mean of the training targets."""
        return [float(np.mean(train_targets))] * len(examples)

    def model_fields(self) -> dict[str, Any]:
        """One output, trained by the squared error."""
        names: dict[str, Any] = {"id2label": {0: "value"}, "label2id": {"value": 0}}
        return {"num_labels": 1, "problem_type": self.problem_type, **names}
