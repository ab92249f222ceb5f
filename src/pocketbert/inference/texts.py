"""Whole texts and pairs of them: classification, multi-label, regression, embeddings."""

from abc import abstractmethod
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from pocketbert.engines.base import Logits
from pocketbert.errors import DataError, PocketBertError
from pocketbert.inference.pipeline import Options, Pipeline
from pocketbert.inference.reading import Read
from pocketbert.inference.results import Classified, Embedded, MultiLabelled, Regressed, Result, Score

Text = str | tuple[str, str]
"""A text, or a pair of texts."""

Answer = TypeVar("Answer", bound=Result)


def check_text(given: Any, pairs: bool = True) -> Text:
    """Refuse what is neither a text nor, where pairs are read, a pair of texts.

    Raises:
        DataError: what it is, and what it should be.
    """
    if isinstance(given, tuple) and pairs and len(given) == 2 and all(isinstance(part, str) for part in given):
        return check_characters(given[0]), check_characters(given[1])
    if not isinstance(given, str):
        wanted = "a text (a string) or a pair of texts (a tuple of two)" if pairs else "a text (a string)"
        raise DataError(f"{str(given)[:60]!r} is of type {type(given).__name__}; {wanted} is expected")
    return check_characters(given)


def check_characters(text: str) -> str:
    """Refuse what is no text in Unicode, which no tokenizer takes.

    Raises:
        DataError: where it is wrong.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"a text holds half a character (a lone surrogate) at {error.start}; take it out or replace it"
        ) from None
    return text


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probabilities along the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    shares: NDArray[np.float32] = powers / powers.sum(axis=-1, keepdims=True)
    return shares


def sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """A probability for each logit by itself; the tangent does not overflow."""
    return np.asarray((1 + np.tanh(logits / 2)) / 2, dtype=np.float32)


def pool_windows(reads: Sequence[Read], logits: Sequence[Logits]) -> NDArray[np.float32]:
    """(texts, labels): of each text the mean over its windows, each counted by its tokens."""
    rows, start = [], 0
    for read in reads:
        parts = logits[start : start + len(read.windows)]
        start += len(parts)
        sizes = [len(window.ids) for window in read.windows]
        rows.append(parts[0] if len(parts) == 1 else np.average(parts, axis=0, weights=sizes))
    return np.stack(rows).astype(np.float32, copy=False)


def rank(labels: Sequence[str], shares: NDArray[np.float32], top_k: int | None) -> list[Score]:
    """The likeliest labels of one text, from their probabilities (labels,)."""
    order = np.argsort(-shares, kind="stable")[:top_k].tolist()
    found = shares.tolist()
    return [Score(labels[number], found[number]) for number in order]


class TextPipeline(Pipeline[Text, Answer]):
    """A text or a pair goes in, one row of logits comes out; subclasses say what it means."""

    def check(self, given: Text) -> Hashable:
        """A string, or a tuple of two; see :meth:`~pocketbert.inference.pipeline.Pipeline.check`."""
        return check_text(given)

    def answer(
        self, inputs: Sequence[Text], reads: Sequence[Read], logits: Sequence[Logits], options: Any
    ) -> list[Answer]:
        """See :meth:`~pocketbert.inference.pipeline.Pipeline.answer`."""
        return self.understand(pool_windows(reads, logits), reads, options)

    @abstractmethod
    def understand(self, rows: NDArray[np.float32], reads: Sequence[Read], options: Any) -> list[Answer]:
        """Answers from one row of logits a text: (texts, labels) or (texts, width)."""


@dataclass(frozen=True, slots=True)
class LabelOptions(Options):
    """Of pipelines that give labels.

    Attributes:
        top_k: how many scores to give; all when None.
    """

    top_k: int | None = None

    def __post_init__(self) -> None:
        """Refuse what is no option; see :class:`~pocketbert.inference.pipeline.Options`."""
        Options.__post_init__(self)
        check_count("top_k", self.top_k)


def check_count(name: str, value: int | None) -> None:
    """Refuse a count below 1.

    Raises:
        PocketBertError: it is one.
    """
    if value is not None and (not isinstance(value, int) or value < 1):
        raise PocketBertError(f"{name}: {value!r}: a whole number from 1 on is expected")


class ClassificationPipeline(TextPipeline[Classified]):
    """One label for each text or pair, by softmax."""

    task = "classification"
    options = LabelOptions()

    def understand(self, rows: NDArray[np.float32], reads: Sequence[Read], options: LabelOptions) -> list[Classified]:
        """See :class:`TextPipeline`."""
        ranked = [rank(self.labels, shares, options.top_k) for shares in softmax(rows)]
        return [
            Classified(read.truncated, read.tokens, scores[0].label, scores[0].score, scores)
            for read, scores in zip(reads, ranked, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class MultiLabelOptions(LabelOptions):
    """Of multi-label pipelines.

    Attributes:
        threshold: from which score on a label is given.
    """

    threshold: float = 0.5

    def __post_init__(self) -> None:
        """Refuse what is no option; see :class:`~pocketbert.inference.pipeline.Options`."""
        LabelOptions.__post_init__(self)
        if not 0 <= self.threshold <= 1:
            raise PocketBertError(f"threshold: {self.threshold!r}: a number from 0 to 1 is expected")


class MultiLabelPipeline(TextPipeline[MultiLabelled]):
    """Any number of labels for each text, each by a sigmoid of its own."""

    task = "multi_label"
    options = MultiLabelOptions()

    def understand(
        self, rows: NDArray[np.float32], reads: Sequence[Read], options: MultiLabelOptions
    ) -> list[MultiLabelled]:
        """See :class:`TextPipeline`."""
        answers = []
        for read, shares in zip(reads, sigmoid(rows), strict=True):
            scores = rank(self.labels, shares, None)
            reached = [each.label for each in scores if each.score >= options.threshold]
            answers.append(MultiLabelled(read.truncated, read.tokens, reached, scores[: options.top_k]))
        return answers


class RegressionPipeline(TextPipeline[Regressed]):
    """A number for each text or pair."""

    task = "regression"

    def understand(self, rows: NDArray[np.float32], reads: Sequence[Read], options: Options) -> list[Regressed]:
        """See :class:`TextPipeline`."""
        return [Regressed(read.truncated, read.tokens, float(row[0])) for read, row in zip(reads, rows, strict=True)]


@dataclass(frozen=True, slots=True)
class EmbeddingOptions(Options):
    """Of embeddings.

    Attributes:
        normalise: whether vectors are scaled to length 1, so that their product is the cosine.
    """

    normalise: bool = True


class EmbeddingPipeline(TextPipeline[Embedded]):
    """A vector for each text."""

    task = "embedding"
    options = EmbeddingOptions()

    def check(self, given: Text) -> Hashable:
        """A string; see :meth:`~pocketbert.inference.pipeline.Pipeline.check`."""
        return check_text(given, pairs=False)

    def understand(self, rows: NDArray[np.float32], reads: Sequence[Read], options: EmbeddingOptions) -> list[Embedded]:
        """See :class:`TextPipeline`."""
        if options.normalise:
            rows = rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12)
        return [Embedded(read.truncated, read.tokens, row) for read, row in zip(reads, rows, strict=True)]
