"""Extractive answers: the pieces of a context that answer a question, looked for in windows."""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketbert.engines.base import Logits
from pocketbert.errors import DataError
from pocketbert.inference.pipeline import Options, Pipeline
from pocketbert.inference.reading import Read
from pocketbert.inference.results import Answered, Span
from pocketbert.inference.texts import check_characters, check_count
from pocketbert.tasks.windows import classifier_position, context_places, ranked_spans

Question = tuple[str, str]
"""A question and its context."""

_PER_ANSWER = 20
"""Spans looked at for each answer wanted: most of the best lie within one another."""


@dataclass(frozen=True, slots=True)
class AnswerOptions(Options):
    """Of extractive answers.

    Attributes:
        top_k: how many answers to give at most.
        no_answer: whether a context may have none: ask this of a model that was trained so.
    """

    top_k: int = 1
    no_answer: bool = False

    def __post_init__(self) -> None:
        """Refuse what is no option; see :class:`~pocketbert.inference.pipeline.Options`."""
        Options.__post_init__(self)
        check_count("top_k", self.top_k)


@dataclass(frozen=True, slots=True)
class _Found:
    """A span of the context."""

    score: float
    start: int
    end: int


class AnswerPipeline(Pipeline[Question, Answered]):
    """Answers to questions, each with its context."""

    task = "question_answering"
    kind = "context"
    options = AnswerOptions()

    def check(self, given: Question) -> Hashable:
        """A question and its context, a tuple; see :meth:`~pocketbert.inference.pipeline.Pipeline.check`."""
        if isinstance(given, tuple) and len(given) == 2 and all(isinstance(part, str) for part in given):
            if not given[0].strip():
                raise DataError("the question is empty")
            return check_characters(given[0]), check_characters(given[1])
        raise DataError(f"{str(given)[:60]!r}: a question and its context (a tuple of two strings) is expected")

    def answer(
        self, inputs: Sequence[Question], reads: Sequence[Read], logits: Sequence[Logits], options: AnswerOptions
    ) -> list[Answered]:
        """See :meth:`~pocketbert.inference.pipeline.Pipeline.answer`."""
        remaining = iter(logits)
        return [
            _answered(context, read, [next(remaining) for _ in read.windows], options)
            for (_, context), read in zip(inputs, reads, strict=True)
        ]


def _answered(context: str, read: Read, logits: Sequence[Logits], options: AnswerOptions) -> Answered:
    """The best spans of all windows; scores are probabilities over all spans, and over "no answer" where it counts."""
    places = [context_places(encoding, None) for encoding in read.encodings]
    wanted = _PER_ANSWER * options.top_k
    found = [
        _Found(*span) for rows, where in zip(logits, places, strict=True) for span in ranked_spans(rows, where, wanted)
    ]
    nothing = min(float(rows[classifier_position(where)].sum()) for rows, where in zip(logits, places, strict=True))
    total = np.logaddexp.reduce([_total(rows, where) for rows, where in zip(logits, places, strict=True)])
    if options.no_answer:
        total = np.logaddexp(total, nothing)
    best = max((span.score for span in found), default=-np.inf)
    kept = [] if options.no_answer and nothing > best else list(_apart(found, options.top_k))
    answers = [_span(span, context, float(total)) for span in kept]
    no_answer = float(np.exp(nothing - total)) if options.no_answer else 0.0
    return Answered(read.truncated, read.tokens, [span for span in answers if span.text], no_answer)


def _total(logits: NDArray[np.float32], places: NDArray[np.int32]) -> Any:
    """Logarithm of the sum over all pairs of a start and an end in a window: what makes scores probabilities."""
    inside = logits[places[:, 0] >= 0]
    if not len(inside):
        return -np.inf
    return np.logaddexp.reduce(inside[:, 0]) + np.logaddexp.reduce(inside[:, 1])


def _apart(found: Sequence[_Found], count: int) -> Iterator[_Found]:
    """The best spans of which none shares a character with a better one."""
    kept: list[_Found] = []
    for span in sorted(found, key=lambda each: -each.score):
        if len(kept) < count and all(span.end <= other.start or span.start >= other.end for other in kept):
            kept.append(span)
            yield span


def _span(found: _Found, context: str, total: float) -> Span:
    piece = context[found.start : found.end]
    text = piece.strip()  # some tokenizers count the space before a word in
    start = found.start + piece.index(text)
    return Span(text, start, start + len(text), float(np.exp(found.score - total)))
