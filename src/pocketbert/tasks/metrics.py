"""Scores of predictions: by scikit-learn and scipy for reports; from counts, quickly, for the bootstrap."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from sklearn import metrics

Counts = NDArray[np.int64]


def classification_scores(predictions: Sequence[int], targets: Sequence[int], positive: int | None) -> dict[str, float]:
    """Accuracy, macro F1 and Matthews' correlation; with two classes also F1 of one of them.

    Args:
        predictions: a class index for each example.
        targets: the right class index for each example.
        positive: the class of two whose F1 counts; None where there are not two.

    Returns:
        Scores by name. Macro F1 averages over the classes that occur in predictions or targets.
    """
    scores = {
        "accuracy": metrics.accuracy_score(targets, predictions),
        "macro_f1": metrics.f1_score(targets, predictions, average="macro", zero_division=0),
        "matthews": _scikit_matthews(predictions, targets),
    }
    if positive is not None:
        scores["f1"] = metrics.f1_score(targets, predictions, pos_label=positive, average="binary", zero_division=0)
    return {name: float(score) for name, score in scores.items()}


def _scikit_matthews(predictions: Sequence[int], targets: Sequence[int]) -> float:
    with warnings.catch_warnings():
        # With one class in all of them the correlation is 0 by definition; nobody has to be warned.
        warnings.filterwarnings("ignore", "A single label was found")
        return float(metrics.matthews_corrcoef(targets, predictions))


def multi_label_scores(predictions: NDArray[np.bool_], targets: NDArray[np.bool_]) -> dict[str, float]:
    """Micro F1, macro F1, and the share of examples whose label sets are equal (``accuracy``).

    Args:
        predictions: (examples, labels) which labels were given.
        targets: (examples, labels) which labels are right.
    """
    return {
        "micro_f1": float(metrics.f1_score(targets, predictions, average="micro", zero_division=0)),
        "macro_f1": float(metrics.f1_score(targets, predictions, average="macro", zero_division=0)),
        "accuracy": float(metrics.accuracy_score(targets, predictions)),
    }


def correlations(first: ArrayLike, second: ArrayLike) -> dict[str, float]:
    """Pearson's and Spearman's correlation; 0 where one side is constant, for which they are not defined."""
    x, y = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    return {"pearson": pearson(x, y), "spearman": pearson(stats.rankdata(x), stats.rankdata(y))}


def pearson(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Pearson's correlation of two arrays (examples,); 0 where one of them is constant."""
    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return 0.0
    return float(stats.pearsonr(x, y).statistic)


def confusion(predictions: NDArray[np.int64], targets: NDArray[np.int64], classes: int) -> Counts:
    """How often each class (row) was taken for each class (column): (classes, classes)."""
    cells = np.bincount(targets * classes + predictions, minlength=classes * classes)
    return cells.reshape(classes, classes)


def _accuracy(matrix: Counts) -> float:
    return float(np.trace(matrix) / matrix.sum())


def _class_f1(hits: Counts, found: Counts, true: Counts) -> NDArray[np.float64]:
    """F1 of each class from its counts; 0 where the class occurs nowhere."""
    f1: NDArray[np.float64] = 2 * hits / np.maximum(found + true, 1)
    return f1


def _macro_f1(matrix: Counts) -> float:
    found, true = matrix.sum(axis=0), matrix.sum(axis=1)
    f1 = _class_f1(np.diagonal(matrix), found, true)
    return float(f1[found + true > 0].mean())


def class_f1(matrix: Counts, number: int) -> float:
    """F1 of one class of a confusion matrix (classes, classes)."""
    return float(_class_f1(np.diagonal(matrix), matrix.sum(axis=0), matrix.sum(axis=1))[number])


def _matthews(matrix: Counts) -> float:
    found, true, total = matrix.sum(axis=0), matrix.sum(axis=1), matrix.sum()
    covariance = float(np.trace(matrix) * total - found @ true)
    spread = float(total**2 - found @ found) * float(total**2 - true @ true)
    return covariance / spread**0.5 if spread else 0.0


FROM_CONFUSION: dict[str, Callable[[Counts], float]] = {
    "accuracy": _accuracy,
    "macro_f1": _macro_f1,
    "matthews": _matthews,
}
"""Scores of a confusion matrix (classes, classes) that treat all classes alike."""


def set_scores(predictions: NDArray[np.bool_], targets: NDArray[np.bool_]) -> dict[str, Callable[[Any], float]]:
    """Multi-label scores of a resample, as functions of the indices of its examples.

    Args:
        predictions: (examples, labels) which labels were given.
        targets: (examples, labels) which labels are right.
    """
    both = predictions & targets
    equal = (predictions == targets).all(axis=1)

    def counts(index: Any) -> tuple[Counts, Counts, Counts]:
        return both[index].sum(axis=0), predictions[index].sum(axis=0), targets[index].sum(axis=0)

    def micro(index: Any) -> float:
        hits, found, true = (count.sum(keepdims=True) for count in counts(index))
        return float(_class_f1(hits, found, true)[0])

    return {
        "micro_f1": micro,
        "macro_f1": lambda index: float(_class_f1(*counts(index)).mean()),
        "accuracy": lambda index: float(equal[index].mean()),
    }
