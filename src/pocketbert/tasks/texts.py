"""What tasks on whole texts share: a text or a pair of them goes in, one row of logits comes out."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketbert.data.records import Record
from pocketbert.errors import DataError, ModelError
from pocketbert.tasks.base import Encoded, Example, Task
from pocketbert.tasks.rows import column_or_only, find_columns, read_rows, text_cell

CHUNK = 2048
"""Texts for one call of the tokenizer: enough to keep its threads busy, few enough for little memory."""


class TextTask(Task):
    """A task on a text or a pair of texts; subclasses read the label and score the answers."""

    head = "SequenceClassification"

    @abstractmethod
    def read_target(self, record: Record) -> Any:
        """The label of a row, in the task's own form.

        Raises:
            DataError: the label is missing, malformed or unknown.
        """

    @property
    @abstractmethod
    def unknown(self) -> Any:
        """The label of a text of which nobody says what is right: ``UNKNOWN``, or NaN."""

    @abstractmethod
    def predict(self, logits: NDArray[np.float32]) -> Any:
        """The prediction of one text from its logits (labels,)."""

    def examples(self, records: Iterable[Record]) -> list[Example]:
        """Understand rows; see :class:`~pocketbert.tasks.base.Task`."""
        return read_rows(self, self.find_columns(records), self._read)

    def find_columns(self, records: Iterable[Record]) -> Iterator[Record]:
        """Settle the columns; see :func:`~pocketbert.tasks.rows.find_columns`."""
        return find_columns(self, records, ("text", "pair", "label"), optional=("pair",))

    def _read(self, record: Record) -> Example:
        pair = text_cell(record, self.columns["pair"]) if "pair" in self.columns else None
        target = self.read_target(record)
        return Example(text_cell(record, self.columns["text"]), pair, target, record.where)

    def read_unlabelled(self, record: Record) -> Example:
        """Understand a row without its target; see :class:`~pocketbert.tasks.base.Task`."""
        text = self.columns["text"]
        if "pair" in self.columns:
            return Example(text_cell(record, text), text_cell(record, self.columns["pair"]), None, record.where)
        return Example(text_cell(record, column_or_only(record, text)), None, None, record.where)

    def encode(self, examples: Sequence[Example], tokenizer: Any) -> Encoded:
        """Tokenise texts, cut to ``max_length``; see :class:`~pocketbert.tasks.base.Task`."""
        encoded = Encoded([], [], [])
        for chunk in chunks(examples, CHUNK):
            texts = [example.text for example in chunk]
            pairs = [example.pair for example in chunk] if chunk[0].pair is not None else None
            batch = tokenise(self, tokenizer, texts, pairs, truncation=True)
            for row, example in enumerate(chunk):
                cut = bool(batch.encodings[row].overflowing)
                if cut and not may_cut(self, example):
                    continue
                label = self.unknown if example.target is None else example.target
                feature = model_inputs(batch, row, tokenizer) | {"labels": label}
                add_example(encoded, example, feature, cut)
        return encoded

    def decode(self, logits: Sequence[NDArray[np.float32]], encoded: Encoded) -> list[Any]:
        """One prediction for each text; see :class:`~pocketbert.tasks.base.Task`."""
        return [self.predict(row) for row, _ in zip(logits, encoded.examples, strict=True)]


def chunks(examples: Sequence[Example], size: int) -> Iterator[Sequence[Example]]:
    """Slices of at most ``size`` examples, in order."""
    return (examples[start : start + size] for start in range(0, len(examples), size))


def tokenise(task: Task, tokenizer: Any, texts: Sequence[Any], pairs: Sequence[Any] | None, **options: Any) -> Any:
    """Call a fast tokenizer on a chunk of texts.

    Raises:
        ModelError: the tokenizer is a slow one.
        DataError: ``max_length`` is more than the model takes.
    """
    if not tokenizer.is_fast:
        raise ModelError("the tokenizer is a slow one; save tokenizer.json beside the weights")
    if task.data.max_length > tokenizer.model_max_length:
        raise DataError(
            f"data.max_length: {task.data.max_length} is more than the {tokenizer.model_max_length} tokens "
            "the model takes"
        )
    return tokenizer(list(texts), pairs and list(pairs), max_length=task.data.max_length, **options)


def model_inputs(batch: Any, row: int, tokenizer: Any) -> dict[str, Any]:
    """The model's own inputs of one row of a tokenised batch."""
    return {name: batch[name][row] for name in tokenizer.model_input_names if name in batch}


def may_cut(task: Task, example: Example) -> bool:
    """Whether a text that is too long is cut; otherwise it is counted as skipped.

    Raises:
        DataError: ``too_long`` is ``fail``.
    """
    if task.data.too_long == "truncate":
        return True
    reason = f"{example.where}: the text is longer than max_length, {task.data.max_length} tokens"
    if task.data.too_long == "fail":
        raise DataError(f"{reason}; shorten it, raise max_length, or set too_long: truncate or skip")
    task.skipped.add(reason)
    return False


def add_example(encoded: Encoded, example: Example, feature: dict[str, Any], cut: bool) -> None:
    """Add an example that is one feature."""
    encoded.example_of.append(len(encoded.examples))
    encoded.examples.append(example)
    encoded.features.append(feature)
    encoded.truncated += cut
