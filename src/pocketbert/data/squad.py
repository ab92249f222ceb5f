"""SQuAD 1.1 and 2.0 as rows of ``id``, ``question``, ``context``, ``answers`` and ``impossible``.

A row's ``answers`` are ``{"text": [...], "answer_start": [...]}``, empty where ``impossible`` is true.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pocketbert.data.lines import RowPolicy
from pocketbert.data.records import Record


def is_squad(value: Any) -> bool:
    """Whether a JSON value has SQuAD's nesting of articles, paragraphs and questions."""
    if not isinstance(value, dict) or not isinstance(value.get("data"), list):
        return False
    return all(isinstance(article, dict) and "paragraphs" in article for article in value["data"])


def read_squad(path: Path, value: Any, policy: RowPolicy) -> Iterator[Record]:
    """Questions of a JSON value that was loaded, in the order of the file.

    Args:
        path: where the value comes from, for messages.
        value: the whole file; see :func:`is_squad`.
        policy: what a question does whose answer does not stand where it says.

    Raises:
        DataError: a question is bad and the policy is ``fail``; the message names title, paragraph
            and question.
    """
    for article in value["data"]:
        title, paragraphs = f"{path} title {article.get('title')!r}", article["paragraphs"]
        if not isinstance(paragraphs, list):
            policy.fault(f"{title}: 'paragraphs' must be a list")
            continue
        for number, paragraph in enumerate(paragraphs, start=1):
            place = f"{title} paragraph {number}"
            try:
                context, questions = paragraph["context"], list(paragraph["qas"])
            except (KeyError, TypeError):
                policy.fault(f"{place}: a paragraph needs 'context' and a list 'qas'")
                continue
            for question in questions:
                yield from _question_records(question, context, place, policy)


def _question_records(question: Any, context: str, place: str, policy: RowPolicy) -> Iterator[Record]:
    number = question.get("id") if isinstance(question, dict) else None
    place = f"{place} question {number}"
    try:
        impossible = bool(question.get("is_impossible", False))
        # SQuAD 2.0 keeps plausible answers beside impossible questions: they are not answers.
        answers = [] if impossible else question.get("answers", [])
        values = {
            "id": question["id"],
            "question": question["question"],
            "context": context,
            "answers": {key: [answer[key] for answer in answers] for key in ("text", "answer_start")},
        }
    except (KeyError, TypeError, AttributeError):
        policy.fault(f"{place}: a question needs 'id', 'question' and answers of 'text' and 'answer_start'")
        return
    yield from _checked(values, impossible, place, policy)


def read_flat(records: Iterator[Record], policy: RowPolicy) -> Iterator[Record]:
    """Rows of a flat copy of SQuAD (a question each, as on the hub) in the same form, and as strictly.

    Raises:
        DataError: a row is bad and the policy is ``fail``.
    """
    for record in records:
        values = record.values
        missing = [key for key in ("question", "context") if key not in values]
        if missing:
            policy.fault(f"{record.where}: layout squad needs a column {missing[0]!r}")
            continue
        answers = values.get("answers") or {"text": [], "answer_start": []}
        kept = {
            "id": values.get("id", record.where),
            "question": values["question"],
            "context": values["context"],
            "answers": answers,
        }
        without = isinstance(answers, dict) and not answers.get("text")
        impossible = bool(values.get("impossible", without))
        yield from _checked(kept, impossible, record.where, policy)


def _checked(values: dict[str, Any], impossible: bool, place: str, policy: RowPolicy) -> Iterator[Record]:
    fault = _fault(values)
    if fault:
        policy.fault(f"{place}: {fault}")
    else:
        yield Record({**values, "impossible": impossible}, place)


def _fault(values: Mapping[str, Any]) -> str | None:
    context, answers = values["context"], values["answers"]
    if not isinstance(context, str) or not isinstance(values["question"], str):
        return "question and context must be strings"
    try:
        spans = list(zip(answers["text"], answers["answer_start"], strict=True))
    except (KeyError, TypeError, ValueError):
        return "answers must hold as many entries in 'text' as in 'answer_start'"
    for text, start in spans:
        if not isinstance(text, str) or not text:
            return "an answer is empty"
        if not isinstance(start, int) or start < 0:
            return f"answer_start {start!r} is not a position in the context"
        found = context[start : start + len(text)]
        if found != text:
            return f"the answer {text!r} is not at answer_start {start}; {found!r} stands there"
    return None
