"""What every task type answers: which columns, how rows become features, and how answers are scored."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from pocketbert.data.glue import LAYOUTS
from pocketbert.data.records import IGNORED, Record, Skipped
from pocketbert.errors import PocketBertError
from pocketbert.recipe import Data

Feature = dict[str, Any]
"""One model input: ``input_ids`` and friends as lists with a value per token, and ``labels``: such a list for
tokens, else a number or an array."""


@dataclass(frozen=True, slots=True)
class Example:
    """One row, understood by its task.

    Attributes:
        text: the text; the words of a token-classification row; the question of question answering.
        pair: the second text, the context of question answering, or None.
        target: what the row says is right, in the task's own form; None where nobody says so.
        where: file and row, for error messages.
    """

    text: str | list[str]
    pair: str | None
    target: Any
    where: str


@dataclass(slots=True)
class Encoded:
    """Rows as model inputs.

    Attributes:
        features: model inputs; one an example, or several windows of it (question answering).
        examples: the examples, in order.
        example_of: for each feature the index of its example.
        truncated: how many examples lost text to ``max_length``.
        places: for each feature where its tokens stand in the row, for tasks whose answers are places in it:
            the first token of each word (words,), -1 for none; or the characters of each token (tokens, 2),
            negative outside the context. Empty for other tasks.
    """

    features: list[Feature]
    examples: list[Example]
    example_of: list[int]
    truncated: int = 0
    places: list[NDArray[np.int32]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.features)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each feature."""
        return np.array([len(feature["input_ids"]) for feature in self.features], dtype=np.int64)


class Scoring(Protocol):
    """What a comparison asks of a task; see :class:`Task` for what each does."""

    labels: list[str] | None

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def deciding(self) -> list[str]: ...  # noqa: D102

    def score(self, predictions: Any, targets: Any) -> dict[str, float]: ...  # noqa: D102

    def scorer(self, predictions: Any, targets: Any) -> Callable[[NDArray[np.int64]], float]: ...  # noqa: D102

    def correct(self, predictions: Any, targets: Any) -> NDArray[np.bool_] | None: ...  # noqa: D102

    def agreement(self, first: Any, second: Any) -> float: ...  # noqa: D102


class Task(ABC):
    """A task type, bound to the data section of a recipe.

    Args:
        data: which columns, which labels, how long.

    Attributes:
        name: the task's name in recipes.
        head: the suffix of the ``transformers`` auto class, ``AutoModelFor<head>``; empty for a model without a head.
        problem_type: what ``config.json`` calls a model of the task; None for tasks that it has no word for.
        metrics: names a recipe may choose to decide by.
        usual: the metrics that decide where neither recipe nor layout says.
        columns: the column of each role (text, pair, label, …), once rows were seen.
        classes: by column the names of its classes in order, where the source of the rows declares them.
        labels: label names in the order of the logits; None where there are none, or before they are known.
        layout: the published layout of the rows, where the recipe names one of GLUE's.
        skipped: rows left out so far.
        notes: what was guessed or changed, a sentence each, for the user to read.
    """

    name: ClassVar[str]
    head: ClassVar[str]
    problem_type: ClassVar[str | None] = None
    metrics: ClassVar[tuple[str, ...]]
    usual: tuple[str, ...]

    def __init__(self, data: Data) -> None:
        self.data = data
        self.layout = LAYOUTS.get(data.layout or "")
        labels = data.labels or (self.layout and self.layout.labels)
        self.labels: list[str] | None = list(labels) if labels else None
        self.columns: dict[str, str] = {}
        self.classes: Mapping[str, Sequence[str]] = {}
        self.skipped = Skipped()
        self.notes: list[str] = []
        self.check_choices()

    def check_choices(self) -> None:
        """Refuse a layout of another task, and metrics that the task does not have.

        Raises:
            PocketBertError: what does not fit, and what would.
        """
        if self.layout and self.layout.task != self.name:
            raise PocketBertError(f"data.layout: {self.data.layout} is of the task {self.layout.task}, not {self.name}")
        wrong = [metric for metric in self.deciding if metric not in self.metrics]
        if wrong:
            known = ", ".join(self.metrics)
            raise PocketBertError(f"data.metric: {self.name} has no {wrong[0]}; choose among {known}")

    @abstractmethod
    def fit(self, records: Iterable[Record]) -> None:
        """Learn from training rows what the recipe leaves open: columns and labels.

        Raises:
            DataError: a column is missing or cannot be guessed; a label is empty or has a single example.
        """

    @abstractmethod
    def examples(self, records: Iterable[Record]) -> list[Example]:
        """Understand rows, under the policy ``on_error`` of the data section.

        Args:
            records: rows as read; every one must have a target, but for an embedding.

        Raises:
            DataError: a row is wrong and ``on_error`` is ``fail``; the message starts with its place.
        """

    def scored_examples(self, records: Iterable[Record]) -> list[Example]:
        """Understand rows to be scored; every task but embedding is scored on such rows as it learns from.

        Raises:
            DataError: as :meth:`examples`.
        """
        return self.examples(records)

    @abstractmethod
    def read_unlabelled(self, record: Record) -> Example:
        """Understand a row of which nobody says what is right: its target is None.

        Args:
            record: a row with the columns of the training rows, that of the label alone may be missing; or with a
                single column of another name, where the task reads one.

        Raises:
            DataError: a column is missing or empty.
        """

    @abstractmethod
    def encode(self, examples: Sequence[Example], tokenizer: Any) -> Encoded:
        """Turn examples into features with a fast ``transformers`` tokenizer.

        Without a target the labels are ``UNKNOWN``, or NaN where they are floats, at every place where a target
        would put one.

        Raises:
            DataError: a text is longer than ``max_length`` and ``too_long`` is ``fail``.
        """

    @abstractmethod
    def decode(self, logits: Sequence[NDArray[np.float32]], encoded: Encoded) -> list[Any]:
        """Turn the logits of each feature into one prediction an example.

        Args:
            logits: per feature, without padding: (labels,) for whole texts, (tokens, labels) for tokens,
                (tokens, 2) start and end for question answering, (width,) for embeddings.
            encoded: the features that were run.
        """

    @abstractmethod
    def score(self, predictions: Sequence[Any], targets: Sequence[Any]) -> dict[str, float]:
        """All metrics of the task by name, each between -1 and 1."""

    @property
    def deciding(self) -> list[str]:
        """Names of the metrics whose mean is *the* score: the recipe's, the layout's, or the task's usual."""
        return list(self.data.metric or (self.layout and self.layout.metrics) or self.usual)

    def scorer(self, predictions: Sequence[Any], targets: Sequence[Any]) -> Callable[[NDArray[np.int64]], float]:
        """The deciding score of a resample, as a function of example indices; quick, for the bootstrap."""

        def score_sample(index: NDArray[np.int64]) -> float:
            sample = self.score([predictions[i] for i in index], [targets[i] for i in index])
            return float(np.mean([sample[name] for name in self.deciding]))

        return score_sample

    @abstractmethod
    def majority(self, train_targets: Sequence[Any], examples: Sequence[Example]) -> list[Any]:
        """The best constant answer, seen from the training targets, once for each of the examples."""

    @abstractmethod
    def correct(self, predictions: Sequence[Any], targets: Sequence[Any]) -> NDArray[np.bool_] | None:
        """Per example whether the answer is right, for McNemar's test; None for regression."""

    @abstractmethod
    def agreement(self, first: Sequence[Any], second: Sequence[Any]) -> float:
        """Share of examples with the same answer; for regression the correlation of both."""

    def model_fields(self) -> dict[str, Any]:
        """Configuration of a model with this head: label names and kind of problem."""
        return {}


def join(first: Encoded, second: Encoded) -> Encoded:
    """The features of two sets of rows, those of the second after those of the first."""
    offset = len(first.examples)
    return Encoded(
        features=first.features + second.features,
        examples=first.examples + second.examples,
        example_of=first.example_of + [offset + number for number in second.example_of],
        truncated=first.truncated + second.truncated,
        places=first.places + second.places,
    )


def collate(features: Sequence[Feature], pad_token_id: int) -> dict[str, NDArray[Any]]:
    """Pad features to the longest of them.

    Args:
        features: model inputs; lists have a value per token and are padded, numbers and arrays are stacked.
        pad_token_id: what fills ``input_ids``.

    Returns:
        Arrays of shape (features, tokens); ``labels`` (features,), (features, k) or (features, tokens).
    """
    length = max(len(feature["input_ids"]) for feature in features)
    fill = {"input_ids": pad_token_id, "attention_mask": 0, "token_type_ids": 0, "labels": IGNORED}
    batch: dict[str, NDArray[Any]] = {}
    for key in features[0]:
        values = [feature[key] for feature in features]
        if isinstance(values[0], list):
            rows = np.full((len(values), length), fill[key], dtype=np.int64)
            for row, value in zip(rows, values, strict=True):
                row[: len(value)] = value
            batch[key] = rows
        else:
            batch[key] = np.asarray(values)
    return batch
