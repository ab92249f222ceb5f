"""Classification: one label for a text or a pair of texts."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketbert.data.records import UNKNOWN, Record
from pocketbert.errors import PocketBertError
from pocketbert.tasks.base import Example
from pocketbert.tasks.labels import collect_labels, find_label, known_labels, label_fields, label_name
from pocketbert.tasks.metrics import FROM_CONFUSION, class_f1, classification_scores, confusion
from pocketbert.tasks.rows import filled_cell
from pocketbert.tasks.texts import TextTask


class Classification(TextTask):
    """One label for each text: a target is its index, a prediction the index of the largest logit."""

    name = "classification"
    problem_type = "single_label_classification"
    metrics = ("accuracy", "f1", "macro_f1", "matthews")
    usual = ("accuracy",)
    positive: str | None = None
    """The label of two whose F1 counts: the second as the data has them, wherever a teacher's order puts it."""

    def fit(self, records: Iterable[Record]) -> None:
        """Find columns, and the labels where neither recipe nor layout names them.

        Raises:
            DataError: a column is missing or cannot be guessed; a label is empty or has a single example.
            PocketBertError: the deciding metric does not suit the labels.
        """
        records = self.find_columns(records)
        if self.labels is None:
            self.labels = collect_labels(self, records, lambda record: [self._label(record)])
        self.positive = self.labels[1] if len(self.labels) == 2 else None
        self.check_choices()

    def check_choices(self) -> None:
        """Refuse F1 of one class where there are not two; see :class:`~pocketbert.tasks.base.Task`."""
        super().check_choices()
        if "f1" in self.deciding and self.labels is not None and len(self.labels) != 2:
            raise PocketBertError(
                f"data.metric: f1 is of the second of two labels, not of {len(self.labels)}; set macro_f1"
            )

    def _label(self, record: Record) -> str:
        return label_name(filled_cell(record, self.columns["label"]))

    def read_target(self, record: Record) -> int:
        """Index of the row's label; see :class:`~pocketbert.tasks.texts.TextTask`."""
        return find_label(self, self._label(record), record)

    @property
    def unknown(self) -> int:
        """``UNKNOWN``; see :class:`~pocketbert.tasks.texts.TextTask`."""
        return UNKNOWN

    def predict(self, logits: NDArray[np.float32]) -> int:
        """Index of the largest logit."""
        return int(logits.argmax())

    def score(self, predictions: Sequence[int], targets: Sequence[int]) -> dict[str, float]:
        """Accuracy, macro F1, Matthews' correlation; F1 of the positive label where there are two."""
        return classification_scores(predictions, targets, self._positive())

    def scorer(self, predictions: Sequence[int], targets: Sequence[int]) -> Callable[[NDArray[np.int64]], float]:
        """The deciding score of a resample, from its confusion matrix."""
        classes, positive = len(known_labels(self)), self._positive()
        found, true = np.asarray(predictions, dtype=np.int64), np.asarray(targets, dtype=np.int64)

        def score_sample(index: NDArray[np.int64]) -> float:
            matrix = confusion(found[index], true[index], classes)
            scores = [FROM_CONFUSION[name](matrix) for name in self.deciding if name != "f1"]
            if "f1" in self.deciding and positive is not None:
                scores.append(class_f1(matrix, positive))
            return float(np.mean(scores))

        return score_sample

    def _positive(self) -> int | None:
        labels = known_labels(self)
        if len(labels) != 2:
            return None
        return 1 if self.positive is None else labels.index(self.positive)

    def majority(self, train_targets: Sequence[int], examples: Sequence[Example]) -> list[int]:
        """The most frequent label."""
        return [Counter(train_targets).most_common(1)[0][0]] * len(examples)

    def correct(self, predictions: Sequence[int], targets: Sequence[int]) -> NDArray[np.bool_]:
        """Per text whether the label is right."""
        right: NDArray[np.bool_] = np.asarray(predictions) == np.asarray(targets)
        return right

    def agreement(self, first: Sequence[int], second: Sequence[int]) -> float:
        """Share of texts with the same label."""
        return float(np.mean(np.asarray(first) == np.asarray(second)))

    def model_fields(self) -> dict[str, Any]:
        """Label names and their order."""
        return label_fields(self)
