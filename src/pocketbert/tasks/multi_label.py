"""Multi-label classification: any number of labels for a text, none included."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketbert.data.records import Record
from pocketbert.tasks.base import Example
from pocketbert.tasks.labels import collect_labels, find_label, known_labels, label_fields, label_name
from pocketbert.tasks.metrics import multi_label_scores, set_scores
from pocketbert.tasks.rows import cell, is_empty
from pocketbert.tasks.texts import TextTask


class MultiLabel(TextTask):
    """A set of labels for each text.

    A target is a vector (labels,) of zeros and ones in fp32, as the loss takes it; a prediction is a vector
    (labels,) that is true where the sigmoid of the logit is at least a half.
    """

    name = "multi_label"
    problem_type = "multi_label_classification"
    metrics = ("micro_f1", "macro_f1", "accuracy")
    usual = ("micro_f1",)

    def fit(self, records: Iterable[Record]) -> None:
        """Find columns, and the labels where the recipe names none.

        Raises:
            DataError: a column is missing or cannot be guessed; a label has a single example.
        """
        records = self.find_columns(records)
        if self.labels is None:
            self.labels = collect_labels(self, records, self._names)

    def _names(self, record: Record) -> list[str]:
        value = cell(record, self.columns["label"])
        if is_empty(value):
            return []
        if isinstance(value, str):
            value = [part for part in value.split(self.data.label_separator) if part.strip()]
        elif not hasattr(value, "__len__"):
            value = [value]
        return list(dict.fromkeys(map(label_name, value)))

    def read_target(self, record: Record) -> NDArray[np.float32]:
        """Ones for the row's labels; see :class:`~pocketbert.tasks.texts.TextTask`."""
        target = np.zeros(len(known_labels(self)), dtype=np.float32)
        target[[find_label(self, name, record) for name in self._names(record)]] = 1
        return target

    @property
    def unknown(self) -> NDArray[np.float32]:
        """(labels,) of NaN; see :class:`~pocketbert.tasks.texts.TextTask`."""
        return np.full(len(known_labels(self)), np.nan, dtype=np.float32)

    def predict(self, logits: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Where the logits are at least 0, at which the sigmoid is a half."""
        return logits >= 0

    def score(self, predictions: Sequence[Any], targets: Sequence[Any]) -> dict[str, float]:
        """Micro F1, macro F1, and the share of texts whose sets are equal (``accuracy``)."""
        return multi_label_scores(_stack(predictions), _stack(targets))

    def scorer(self, predictions: Sequence[Any], targets: Sequence[Any]) -> Callable[[NDArray[np.int64]], float]:
        """The deciding score of a resample, from counts for each text and label."""
        scores = set_scores(_stack(predictions), _stack(targets))
        return lambda index: float(np.mean([scores[name](index) for name in self.deciding]))

    def majority(self, train_targets: Sequence[Any], examples: Sequence[Example]) -> list[NDArray[np.bool_]]:
        """The set that has the best micro F1 on the training targets: some of the most frequent labels."""
        counts = _stack(train_targets).sum(axis=0)
        order = np.argsort(-counts, kind="stable")
        sizes = np.arange(1, len(order) + 1)
        f1 = 2 * counts[order].cumsum() / (sizes * len(train_targets) + counts.sum())
        best = np.zeros(len(order), dtype=np.bool_)
        best[order[: f1.argmax() + 1]] = True
        return [best] * len(examples)

    def correct(self, predictions: Sequence[Any], targets: Sequence[Any]) -> NDArray[np.bool_]:
        """Per text whether the whole set is right."""
        equal: NDArray[np.bool_] = (_stack(predictions) == _stack(targets)).all(axis=1)
        return equal

    def agreement(self, first: Sequence[Any], second: Sequence[Any]) -> float:
        """Share of texts with the same set."""
        return float(self.correct(first, second).mean())

    def model_fields(self) -> dict[str, Any]:
        """Label names, their order, and that each has a sigmoid of its own."""
        return label_fields(self)


def _stack(rows: Sequence[Any]) -> NDArray[np.bool_]:
    return np.stack([np.asarray(row) > 0.5 for row in rows])
