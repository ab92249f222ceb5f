"""Answers of question answering: how they are read from rows, compared and scored."""

import re
import string
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pocketbert.errors import DataError
from pocketbert.tasks.rows import is_empty

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")


@dataclass(frozen=True, slots=True)
class Answer:
    """A span of a context.

    Attributes:
        text: the words of the context from start to end; empty for "the context has no answer".
        start: its first character in the context.
        end: one past its last character.
        score: start logit plus end logit of a prediction; 0 for an answer that a row says is right.
    """

    text: str
    start: int
    end: int
    score: float = 0.0


def read_answers(value: Any, context: str, where: str, column: str) -> list[Answer]:
    """Read the right answers of a row.

    Args:
        value: ``{"text": [...], "answer_start": [...]}``, a list of ``{"text": …, "answer_start": …}``, or
            a text that is looked up in the context; an empty value for a question without an answer.
        context: the text that the answers are spans of.
        where: file and row, for messages.
        column: the column's name, for messages.

    Returns:
        The answers in order; empty where the context has none.

    Raises:
        DataError: a value of another form, or an answer that is not where the row says.
    """
    return [_place(text, start, context, where, column) for text, start in _pairs(value, where, column)]


def _pairs(value: Any, where: str, column: str) -> list[tuple[str, int | None]]:
    if is_empty(value):
        return []
    if isinstance(value, str):
        return [(value, None)]
    try:
        if isinstance(value, Mapping):
            texts, starts = value["text"], value["answer_start"]
            if isinstance(texts, str):
                return [(texts, int(starts))]
            return [(str(text), int(start)) for text, start in zip(texts, starts, strict=True)]
        return [(str(answer["text"]), int(answer["answer_start"])) for answer in value]
    except (KeyError, TypeError, ValueError, IndexError):
        raise DataError(
            f"{where}: column {column!r} is not a list of answers; write "
            '[{"text": "the words", "answer_start": 17}], or [] for a question without an answer'
        ) from None


def _place(text: str, start: int | None, context: str, where: str, column: str) -> Answer:
    stripped = text.strip()
    if not stripped:
        raise DataError(f"{where}: column {column!r} has an empty answer; write [] where there is none")
    found = context.find(stripped) if start is None else start + text.index(stripped)
    if found < 0 or context[found : found + len(stripped)] != stripped:
        place = "in the context" if start is None else f"at character {start} of the context"
        raise DataError(f"{where}: the answer {stripped!r} is not {place}; mend the row (characters count, not bytes)")
    return Answer(stripped, found, found + len(stripped))


def normalise_answer(text: str) -> str:
    """Lower-case, drop punctuation and articles, and squeeze spaces, as the SQuAD evaluation does."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(prediction: str, answers: Sequence[str]) -> float:
    """1 where the prediction equals a right answer after normalising, else 0.

    Args:
        prediction: the predicted words; empty for no answer.
        answers: the right answers; where there are none, only an empty prediction is right.
    """
    normal = normalise_answer(prediction)
    return float(any(normal == normalise_answer(answer) for answer in answers or [""]))


def answer_f1(prediction: str, answers: Sequence[str]) -> float:
    """Best F1 of the prediction's words against those of a right answer, after normalising.

    Args:
        prediction: the predicted words; empty for no answer.
        answers: the right answers; where there are none, only an empty prediction is right.
    """
    words = normalise_answer(prediction).split()
    return max(_words_f1(words, normalise_answer(answer).split()) for answer in answers or [""])


def _words_f1(found: Sequence[str], true: Sequence[str]) -> float:
    if not found or not true:
        return float(found == true)
    common = (Counter(found) & Counter(true)).total()
    return 2 * common / (len(found) + len(true))
