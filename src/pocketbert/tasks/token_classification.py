"""Token classification: a tag for each word, such as named entities, slots or parts of speech."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketbert.data.records import IGNORED, UNKNOWN, Record
from pocketbert.errors import DataError
from pocketbert.recipe import Data
from pocketbert.tasks import tags
from pocketbert.tasks.base import Encoded, Example, Task
from pocketbert.tasks.labels import known_labels, label_fields, label_name, unknown_label
from pocketbert.tasks.rows import REMEDY, column_or_only, find_columns, read_rows, readable, words_cell
from pocketbert.tasks.texts import CHUNK, add_example, chunks, may_cut, model_inputs, tokenise
from pocketbert.tasks.words import first_tokens, mark_word_starts

Tags = Sequence[str]


class TokenClassification(Task):
    """A tag for each word; the first token of a word carries it, the others are not counted.

    Targets and predictions are lists of tags, one a word. Words beyond ``max_length``, and words of which the
    tokenizer keeps nothing, are predicted as ``O`` and scored like all others.

    Attributes:
        scheme: of the tags as read; None before rows were seen. IOB1 becomes IOB2, and BILOU becomes IOBES.
    """

    name = "token_classification"
    head = "TokenClassification"
    metrics = ("span_f1", "accuracy")
    usual = ("span_f1",)

    def __init__(self, data: Data) -> None:
        super().__init__(data)
        self.scheme: tags.Scheme | None = None

    def fit(self, records: Iterable[Record]) -> None:
        """Find columns, the scheme, and the tags where the recipe names none.

        Raises:
            DataError: a column is missing or cannot be guessed, a row is wrong, or schemes are mixed.
        """
        records = find_columns(self, records, ("tokens", "tags"))
        examples = list(readable(self, records, self._read))
        self._learn_scheme(examples)
        if self.labels is None:
            found = set(chain.from_iterable(self._converted(example).target for example in examples))
            declared = self.classes.get(self.columns["tags"], ())
            self.labels = list(declared) if found <= set(declared) else tags.order_tags(found)
        if self.scheme == "plain" and tags.OUTSIDE not in self.labels:
            self.usual = ("accuracy",)  # where every word has a tag, spans say little

    def examples(self, records: Iterable[Record]) -> list[Example]:
        """Understand rows; see :class:`~pocketbert.tasks.base.Task`."""
        examples = read_rows(self, find_columns(self, records, ("tokens", "tags")), self._read)
        if self.scheme is None and examples:
            self._learn_scheme(examples)
        return read_rows(self, examples, self._check)

    def _read(self, record: Record) -> Example:
        words = _read_words(record, self.columns["tokens"])
        return Example(words, None, self._read_tags(record, len(words)), record.where)

    def read_unlabelled(self, record: Record) -> Example:
        """Understand a row without its tags; see :class:`~pocketbert.tasks.base.Task`."""
        words = _read_words(record, column_or_only(record, self.columns["tokens"]))
        return Example(words, None, None, record.where)

    def _read_tags(self, record: Record, words: int) -> list[str]:
        found = words_cell(record, self.columns["tags"])
        if len(found) != words:
            raise DataError(f"{record.where}: {words} words but {len(found)} tags; {REMEDY}")
        names = self.data.labels
        if names and all(isinstance(tag, int) and 0 <= tag < len(names) for tag in found):
            return [names[tag] for tag in found]
        return [label_name(tag) for tag in found]

    def _learn_scheme(self, examples: Sequence[Example]) -> None:
        seen = {tag: example.where for example in reversed(examples) for tag in example.target}
        self.scheme = tags.detect_scheme([example.target for example in examples], seen)
        if self.scheme in tags.TARGET_SCHEME:
            read, learnt = self.scheme.upper(), self._target_scheme.upper()
            self.notes.append(f"the tags follow {read}; they are turned into {learnt}")

    @property
    def _target_scheme(self) -> tags.Scheme:
        scheme = self.scheme or "iob2"
        return tags.TARGET_SCHEME.get(scheme, scheme)

    def _converted(self, example: Example) -> Example:
        return replace(example, target=tags.convert_tags(example.target, self.scheme or "iob2"))

    def _check(self, example: Example) -> Example:
        """Turn tags into the target scheme; a tag is known when its type is, whatever its prefix."""
        example = self._converted(example)
        labels = known_labels(self)
        if unknown := tags.unknown_tags(example.target, labels, self._target_scheme):
            raise unknown_label(unknown[0], labels, example.where, self.columns["tags"])
        return example

    def encode(self, examples: Sequence[Example], tokenizer: Any) -> Encoded:
        """Tokenise words; see :class:`~pocketbert.tasks.base.Task`.

        A byte-level tokenizer is set to put a space before every word, as in running text; it stays so set,
        and says so in the files it is saved to.
        """
        mark_word_starts(tokenizer)
        encoded = Encoded([], [], [])
        index = {tag: number for number, tag in enumerate(known_labels(self))}
        for chunk in chunks(examples, CHUNK):
            words = [example.text for example in chunk]
            batch = tokenise(self, tokenizer, words, None, truncation=True, is_split_into_words=True)
            for row, example in enumerate(chunk):
                cut = bool(batch.encodings[row].overflowing)
                if cut and not may_cut(self, example):
                    continue
                places = first_tokens(batch.word_ids(row), len(example.text))
                feature = model_inputs(batch, row, tokenizer)
                feature["labels"] = _token_labels(example.target, places, len(feature["input_ids"]), index)
                add_example(encoded, example, feature, cut)
                encoded.places.append(places)
        return encoded

    def decode(self, logits: Sequence[NDArray[np.float32]], encoded: Encoded) -> list[list[str]]:
        """The best tag of each word's first token; ``O`` for words without one."""
        names = np.array([*known_labels(self), tags.OUTSIDE], dtype=object)
        predictions = []
        for row, places in zip(logits, encoded.places, strict=True):
            best = np.append(row.argmax(axis=-1), -1)  # (tokens + 1,): words without a token find the last name
            predictions.append(list(names[best[places]]))
        return predictions

    def score(self, predictions: Sequence[Tags], targets: Sequence[Tags]) -> dict[str, float]:
        """Precision, recall and F1 of spans, as in seqeval, and the share of right tags (``accuracy``)."""
        return tags.span_scores(predictions, targets, self._target_scheme)

    def scorer(self, predictions: Sequence[Tags], targets: Sequence[Tags]) -> Callable[[NDArray[np.int64]], float]:
        """The deciding score of a resample, from counts for each sentence."""
        spans = tags.span_counts(predictions, targets, self._target_scheme)
        pairs = list(zip(predictions, targets, strict=True))
        words = np.array([(_same(found, true), len(true)) for found, true in pairs])

        def score_sample(index: NDArray[np.int64]) -> float:
            right, total = words[index].sum(axis=0)
            scores = {"span_f1": tags.f1_of_counts(spans[index].sum(axis=0)), "accuracy": right / total}
            return float(np.mean([scores[name] for name in self.deciding]))

        return score_sample

    def majority(self, train_targets: Sequence[Tags], examples: Sequence[Example]) -> list[list[str]]:
        """The most frequent tag, for every word."""
        tag = Counter(chain.from_iterable(train_targets)).most_common(1)[0][0]
        return [[tag] * len(example.text) for example in examples]

    def correct(self, predictions: Sequence[Tags], targets: Sequence[Tags]) -> NDArray[np.bool_]:
        """Per sentence whether all tags are right."""
        return np.array([list(found) == list(true) for found, true in zip(predictions, targets, strict=True)])

    def agreement(self, first: Sequence[Tags], second: Sequence[Tags]) -> float:
        """Share of words with the same tag."""
        same = sum(_same(one, other) for one, other in zip(first, second, strict=True))
        return same / max(sum(map(len, first)), 1)

    def model_fields(self) -> dict[str, Any]:
        """Tags and their order."""
        return label_fields(self)


def _read_words(record: Record, column: str) -> list[str]:
    words = words_cell(record, column)
    if odd := [word for word in words if not isinstance(word, str)]:
        raise DataError(f"{record.where}: column {column!r} has {odd[0]!r}, which is no word; {REMEDY}")
    return words


def _same(first: Tags, second: Tags) -> int:
    return sum(one == other for one, other in zip(first, second, strict=True))


def _token_labels(target: Tags | None, places: NDArray[np.int32], tokens: int, index: dict[str, int]) -> list[int]:
    labels = [IGNORED] * tokens
    numbers = [UNKNOWN] * len(places) if target is None else [index.get(tag, IGNORED) for tag in target]
    for number, place in zip(numbers, places.tolist(), strict=True):
        if place >= 0:
            labels[place] = number
    return labels
