"""Embedding: a vector for each text, whose cosines say how similar two texts are."""

import math
from collections.abc import Iterable, Sequence
from copy import copy
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketbert.data.records import Record
from pocketbert.errors import DataError, PocketBertError
from pocketbert.tasks.base import Encoded, Example
from pocketbert.tasks.correlated import Correlated
from pocketbert.tasks.rows import SAMPLE, column_or_only, find_columns, number_cell, read_rows, text_cell
from pocketbert.tasks.texts import CHUNK, chunks, may_cut, model_inputs, tokenise

UNLABELLED = "embedding has no labels to learn from"
SCORED = "embedding is scored on pairs of texts with a number each that says how similar they are"


class Embedding(Correlated):
    """A vector for each text: learnt from texts alone, scored on pairs of them that somebody has compared.

    A row to learn from is a text, or a pair of which each text counts by itself; it needs no label. A row to be
    scored is a pair whose target is a number; a prediction is the cosine of its vectors. Correlations decide; where
    predictions (or targets) are all the same they are not defined and count as 0.
    """

    name = "embedding"
    head = ""
    usual = ("spearman",)

    def check_choices(self) -> None:
        """Refuse a layout without similar texts; see :class:`~pocketbert.tasks.base.Task`."""
        layout, self.layout = self.layout, None
        super().check_choices()
        if layout and not (layout.task == "regression" and layout.pair):
            raise PocketBertError(f"data.layout: {self.data.layout} is of the task {layout.task}; {SCORED}, as in stsb")
        self.layout = layout

    def fit(self, records: Iterable[Record]) -> None:
        """Find the columns of the rows to learn from, which need no more than a text.

        Raises:
            DataError: there is no column of a text, or it cannot be guessed.
        """
        rows = list(records)
        names = {name for record in islice(rows, SAMPLE) for name in record.values}
        if len(names) == 1:
            # Plain text knows nothing of the names in the tables that are scored.
            self.columns = {"text": names.pop()}
            return
        optional = [role for role in ("pair", "label") if getattr(self.data, role) in {None, *names}]
        find_columns(self, rows, ("text", *optional), optional)

    def examples(self, records: Iterable[Record]) -> list[Example]:
        """Understand rows to learn from: the target is None where a row has no pair with a number."""
        return read_rows(self, records, self._read)

    def _read(self, record: Record) -> Example:
        example = self.read_unlabelled(record)
        if example.pair is None or "label" not in self.columns:
            return example
        try:
            target = number_cell(record, self.columns["label"])
        except DataError:
            target = None  # Nothing is learnt from it.
        return Example(example.text, example.pair, target, example.where)

    def scored_examples(self, records: Iterable[Record]) -> list[Example]:
        """Understand rows to be scored, whose columns may be others than those of the rows to learn from.

        Raises:
            DataError: there is no column of a pair or of a number, or a row is wrong and ``on_error`` is ``fail``.
        """
        own = copy(self)
        own.columns = {}
        rows = find_columns(own, records, ("text", "pair", "label"))
        return read_rows(self, rows, lambda record: _read_scored(record, own.columns))

    def read_unlabelled(self, record: Record) -> Example:
        """Understand a row without its target; see :class:`~pocketbert.tasks.base.Task`."""
        text = text_cell(record, column_or_only(record, self.columns["text"]))
        pair = self.columns.get("pair")
        return Example(text, text_cell(record, pair) if pair and pair in record.values else None, None, record.where)

    def encode(self, examples: Sequence[Example], tokenizer: Any) -> Encoded:
        """Tokenise each text by itself, cut to ``max_length``; a pair is two features of one example."""
        encoded = Encoded([], [], [])
        for chunk in chunks(examples, CHUNK):
            texts = [_texts(example) for example in chunk]
            batch = tokenise(self, tokenizer, [text for own in texts for text in own], None, truncation=True)
            first = 0
            for example, own in zip(chunk, texts, strict=True):
                rows = range(first, first + len(own))
                first = rows.stop
                cut = any(batch.encodings[row].overflowing for row in rows)
                if cut and not may_cut(self, example):
                    continue
                encoded.example_of += [len(encoded.examples)] * len(own)
                encoded.examples.append(example)
                # A text has no score by itself: that is its pair's.
                encoded.features += [model_inputs(batch, row, tokenizer) | {"labels": math.nan} for row in rows]
                encoded.truncated += cut
        return encoded

    def decode(self, logits: Sequence[NDArray[np.float32]], encoded: Encoded) -> list[float]:
        """The cosine of each pair; NaN of a text that stands alone.

        Args:
            logits: per feature the vector of its text, (width,), of any length.
            encoded: the features that were run.
        """
        vectors: list[list[NDArray[np.float64]]] = [[] for _ in encoded.examples]
        for number, vector in zip(encoded.example_of, logits, strict=True):
            vectors[number].append(np.asarray(vector, dtype=np.float64))
        return [_cosine(*pair) if len(pair) == 2 else math.nan for pair in vectors]

    def majority(self, train_targets: Sequence[Any], examples: Sequence[Example]) -> list[float]:  # noqa: ARG002
        """The same for every pair, whatever it is: its correlation counts as 0."""
        return [0.0] * len(examples)


def _read_scored(record: Record, columns: dict[str, str]) -> Example:
    if "pair" not in columns:
        raise DataError(f"{record.where}: {SCORED}; name the column of the second text (pair)")
    text, pair = (text_cell(record, columns[role]) for role in ("text", "pair"))
    return Example(text, pair, number_cell(record, columns["label"]), record.where)


def _texts(example: Example) -> list[str]:
    return [str(text) for text in (example.text, example.pair) if text is not None]


def _cosine(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    lengths = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(first @ second) / lengths if lengths else 0.0
