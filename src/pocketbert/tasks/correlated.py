"""What tasks share whose predictions and targets are numbers that should go up and down together."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from pocketbert.tasks.base import Task
from pocketbert.tasks.metrics import correlations


class Correlated(Task):
    """A task that is scored by the correlation of its predictions with the targets, floats both.

    Where predictions (or targets) are all the same it is not defined and counts as 0.
    """

    metrics = ("pearson", "spearman")

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

    def correct(self, predictions: Sequence[float], targets: Sequence[float]) -> None:
        """A number is neither right nor wrong."""

    def agreement(self, first: Sequence[float], second: Sequence[float]) -> float:
        """Pearson's correlation of both."""
        return correlations(first, second)["pearson"]
