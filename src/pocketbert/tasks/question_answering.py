"""Extractive question answering: the span of a context that answers a question, or none."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketbert.data.records import UNKNOWN, Record
from pocketbert.errors import DataError
from pocketbert.recipe import Data
from pocketbert.tasks.answers import Answer, answer_f1, exact_match, normalise_answer, read_answers
from pocketbert.tasks.base import Encoded, Example, Task
from pocketbert.tasks.rows import cell, find_columns, read_rows, readable, text_cell
from pocketbert.tasks.texts import chunks, model_inputs, tokenise
from pocketbert.tasks.windows import answer_tokens, best_span, classifier_position, context_places

CHUNK = 256
"""Questions for one call of the tokenizer; each may become many windows."""


class QuestionAnswering(Task):
    """A span of the context for each question.

    A long context is read in windows of ``max_length`` tokens that overlap by ``stride``; the best span of
    all windows, of at most 30 tokens, is the answer. A target is the list of right answers, empty where the
    context has none; a prediction is an :class:`~pocketbert.tasks.answers.Answer`.

    Attributes:
        unanswerable: whether rows without an answer were seen. Only then may a prediction be empty: where
            the two logits of the classifier token, in the window where their sum is least, sum up to more
            than those of the best span.
    """

    name = "question_answering"
    head = "QuestionAnswering"
    metrics = ("exact_match", "answer_f1")
    usual = ("answer_f1",)

    def __init__(self, data: Data) -> None:
        super().__init__(data)
        self.unanswerable = False

    def fit(self, records: Iterable[Record]) -> None:
        """Find columns, and whether questions may have no answer.

        Raises:
            DataError: a column is missing or cannot be guessed, or a row is wrong.
        """
        records = find_columns(self, records, ("question", "context", "answers"))
        for example in readable(self, records, self._read):
            self.unanswerable |= not example.target

    def examples(self, records: Iterable[Record]) -> list[Example]:
        """Understand rows; see :class:`~pocketbert.tasks.base.Task`."""
        records = find_columns(self, records, ("question", "context", "answers"))
        examples = read_rows(self, records, self._read)
        self.unanswerable |= any(not example.target for example in examples)
        return examples

    def _read(self, record: Record) -> Example:
        question = text_cell(record, self.columns["question"])
        context = text_cell(record, self.columns["context"])
        column = self.columns["answers"]
        target = read_answers(cell(record, column), context, record.where, column)
        return Example(question, context, target, record.where)

    def read_unlabelled(self, record: Record) -> Example:
        """Understand a row without its answers; see :class:`~pocketbert.tasks.base.Task`."""
        question = text_cell(record, self.columns["question"])
        return Example(question, text_cell(record, self.columns["context"]), None, record.where)

    def encode(self, examples: Sequence[Example], tokenizer: Any) -> Encoded:
        """Turn each question and its context into windows; see :class:`~pocketbert.tasks.base.Task`.

        No context is cut, so ``truncated`` stays 0. The first right answer is what a window learns; windows
        that do not hold all of it learn "no answer".

        Raises:
            DataError: a question leaves too little room for its context, and ``too_long`` is not ``skip``.
        """
        encoded = Encoded([], [], [])
        for chunk in chunks(examples, CHUNK):
            fitting = self._with_room(chunk, tokenizer)
            if fitting:
                self._add_windows(encoded, fitting, tokenizer)
        return encoded

    def _with_room(self, examples: Sequence[Example], tokenizer: Any) -> list[Example]:
        """The examples whose question leaves room for windows."""
        questions = [example.text for example in examples]
        batch = tokenise(self, tokenizer, questions, None, truncation=False, add_special_tokens=False)
        room = self.data.max_length - tokenizer.num_special_tokens_to_add(pair=True)
        fitting = []
        for example, tokens in zip(examples, batch["input_ids"], strict=True):
            if room - len(tokens) > self.data.stride:
                fitting.append(example)
            else:
                self._leave_out(example, max(room - len(tokens), 0))
        return fitting

    def _leave_out(self, example: Example, left: int) -> None:
        reason = (
            f"{example.where}: the question leaves {left} of max_length {self.data.max_length} tokens to the "
            f"context; it must leave more than stride, {self.data.stride}"
        )
        if self.data.too_long != "skip":
            raise DataError(f"{reason}; shorten it, raise max_length, lower stride, or set too_long: skip")
        self.skipped.add(reason)

    def _add_windows(self, encoded: Encoded, examples: Sequence[Example], tokenizer: Any) -> None:
        questions, contexts = zip(*[(example.text, example.pair) for example in examples], strict=True)
        options = {"truncation": "only_second", "stride": self.data.stride, "return_overflowing_tokens": True}
        batch = tokenise(self, tokenizer, questions, contexts, **options)
        offset = len(encoded.examples)
        encoded.examples.extend(examples)
        for window, number in enumerate(batch["overflow_to_sample_mapping"]):
            places = context_places(batch.encodings[window], tokenizer.cls_token_id)
            feature = model_inputs(batch, window, tokenizer)
            feature["labels"] = np.array(_answer_labels(examples[number].target, places), dtype=np.int64)
            encoded.features.append(feature)
            encoded.places.append(places)
            encoded.example_of.append(offset + number)

    def decode(self, logits: Sequence[NDArray[np.float32]], encoded: Encoded) -> list[Answer]:
        """The best span of all windows of each question, or no answer."""
        best = [(-np.inf, 0, 0)] * len(encoded.examples)
        nothing = [np.inf] * len(encoded.examples)
        for window, (row, places) in enumerate(zip(logits, encoded.places, strict=True)):
            number = encoded.example_of[window]
            best[number] = max(best[number], best_span(row, places), key=lambda span: span[0])
            nothing[number] = min(nothing[number], float(row[classifier_position(places)].sum()))
        return list(map(self._answer, best, nothing, encoded.examples))

    def _answer(self, span: tuple[float, int, int], nothing: float, example: Example) -> Answer:
        score, start, end = span
        if score == -np.inf or (self.unanswerable and nothing > score):
            return Answer("", 0, 0, nothing)
        found = (example.pair or "")[start:end]
        text = found.strip()  # some tokenizers count the space before a word in
        start += found.index(text)
        return Answer(text, start, start + len(text), score)

    def score(self, predictions: Sequence[Answer], targets: Sequence[Sequence[Answer]]) -> dict[str, float]:
        """Exact match and F1 of words: for each question the best over its right answers, then the mean."""
        matches, f1 = _grades(predictions, targets).mean(axis=0)
        return {"exact_match": float(matches), "answer_f1": float(f1)}

    def scorer(
        self, predictions: Sequence[Answer], targets: Sequence[Sequence[Answer]]
    ) -> Callable[[NDArray[np.int64]], float]:
        """The deciding score of a resample, from the grades of each question."""
        columns = [self.metrics.index(name) for name in self.deciding]
        grades = _grades(predictions, targets)[:, columns].mean(axis=1)
        return lambda index: float(grades[index].mean())

    def majority(self, train_targets: Sequence[Sequence[Answer]], examples: Sequence[Example]) -> list[Answer]:
        """The most frequent of the first right answers, which is none where most questions have none."""
        texts = Counter(normalise_answer(target[0].text) if target else "" for target in train_targets)
        return [Answer(texts.most_common(1)[0][0], 0, 0)] * len(examples)

    def correct(self, predictions: Sequence[Answer], targets: Sequence[Sequence[Answer]]) -> NDArray[np.bool_]:
        """Per question whether the answer matches exactly."""
        matches: NDArray[np.bool_] = _grades(predictions, targets)[:, 0] == 1
        return matches

    def agreement(self, first: Sequence[Answer], second: Sequence[Answer]) -> float:
        """Share of questions with the same answer after normalising."""
        same = [normalise_answer(a.text) == normalise_answer(b.text) for a, b in zip(first, second, strict=True)]
        return float(np.mean(same))

    def model_fields(self) -> dict[str, Any]:
        """Two logits a token: start and end."""
        return {"num_labels": 2, "id2label": {0: "start", 1: "end"}, "label2id": {"start": 0, "end": 1}}


def _answer_labels(target: Sequence[Answer] | None, places: NDArray[np.int32]) -> tuple[int, int]:
    """Where the first right answer begins and ends in a window, of places (tokens, 2)."""
    if target is None:
        return UNKNOWN, UNKNOWN
    found = answer_tokens(places, target[0].start, target[0].end) if target else None
    nowhere = classifier_position(places)
    return found or (nowhere, nowhere)


def _grades(predictions: Sequence[Answer], targets: Sequence[Sequence[Answer]]) -> NDArray[np.float64]:
    """Exact match and F1 of each question: (questions, 2)."""
    rows = []
    for found, target in zip(predictions, targets, strict=True):
        texts = [answer.text for answer in target]
        rows.append((exact_match(found.text, texts), answer_f1(found.text, texts)))
    return np.array(rows)
