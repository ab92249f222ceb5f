"""Token classification: a tag for each word of a text, and the entities that neighbouring tags make."""

from collections.abc import Hashable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketbert.engines.base import Engine, Logits
from pocketbert.errors import DataError
from pocketbert.inference.pipeline import Options, Pipeline
from pocketbert.inference.reading import Read, WordSplitter
from pocketbert.inference.results import Entity, Tagged, Word
from pocketbert.inference.texts import check_characters, softmax

Text = str | list[str]
"""A running text, or its words."""

OUTSIDE = "O"
_PREFIXES = ("B-", "I-", "E-", "S-")


class TokenPipeline(Pipeline[Text, Tagged]):
    """Tags of words and the entities they make. A running text is parted into words as the browser page parts it."""

    task = "token_classification"
    kind = "words"

    def __init__(self, folder: Path, path: str, engine: Engine, streams: int = 1) -> None:
        super().__init__(folder, path, engine, streams)
        self._split = WordSplitter()
        self._prefixed = all(label == OUTSIDE or label.startswith(_PREFIXES) for label in self.labels)

    def check(self, given: Text) -> Hashable:
        """A string, or a list of words; see :meth:`~pocketbert.inference.pipeline.Pipeline.check`."""
        if isinstance(given, str):
            return check_characters(given)
        if isinstance(given, list) and all(isinstance(word, str) and word for word in given):
            return tuple(map(check_characters, given))
        raise DataError(
            f"{str(given)[:60]!r}: a text (a string) or its words (a list of strings, none empty) is expected"
        )

    def read(self, inputs: Sequence[Text], options: Options) -> list[Read]:
        """Words as windows; see :class:`~pocketbert.inference.reading.Reader`."""
        words = [[word for word, _ in self._split(each)] if isinstance(each, str) else each for each in inputs]
        return self.reader.read(words, options.too_long)

    def answer(
        self,
        inputs: Sequence[Text],
        reads: Sequence[Read],
        logits: Sequence[Logits],
        options: Options,
    ) -> list[Tagged]:
        """See :meth:`~pocketbert.inference.pipeline.Pipeline.answer`."""
        remaining = iter(logits)
        return [
            self._tagged(given, read, [next(remaining) for _ in read.windows])
            for given, read in zip(inputs, reads, strict=True)
        ]

    def _tagged(self, given: Text, read: Read, logits: Sequence[Logits]) -> Tagged:
        placed = self._split(given) if isinstance(given, str) else list(_joined(given))
        shares = _of_words(read, logits, len(placed))
        best = [self._best(shares.get(number)) for number in range(len(placed))]
        words = [Word(word, *place, *found) for (word, place), found in zip(placed, best, strict=True)]
        text = given if isinstance(given, str) else " ".join(given)
        return Tagged(read.truncated, read.tokens, list(self._entities(words, text)), words)

    def _best(self, shares: NDArray[np.float32] | None) -> tuple[str, float]:
        if shares is None:
            return OUTSIDE, 0.0
        best = int(shares.argmax())
        return self.labels[best], float(shares[best])

    def _entities(self, words: Sequence[Word], text: str) -> Iterator[Entity]:
        """Runs of one type: a prefix B or S begins another; tags without prefixes go on while they are the same."""
        runs, previous = [], OUTSIDE
        run = 0
        for word in words:
            begins = self._type(word.tag) != self._type(previous) or (self._prefixed and word.tag[0] in "BS")
            run += begins
            runs.append(run)
            previous = word.tag
        for _, group in groupby(zip(words, runs, strict=True), key=lambda pair: pair[1]):
            members = [word for word, _ in group]
            if members[0].tag != OUTSIDE:
                start, end = members[0].start, members[-1].end
                score = float(np.mean([word.score for word in members]))
                yield Entity(self._type(members[0].tag), text[start:end], start, end, score)

    def _type(self, tag: str) -> str:
        return tag[2:] if self._prefixed and tag != OUTSIDE else tag


def _joined(words: Sequence[str]) -> Iterator[tuple[str, tuple[int, int]]]:
    """Words and their places when a space parts them."""
    start = 0
    for word in words:
        yield word, (start, start + len(word))
        start += len(word) + 1


def _of_words(read: Read, logits: Sequence[Any], count: int) -> dict[int, NDArray[np.float32]]:
    """By number of the word the probabilities (labels,) of its first token, where most is seen around it."""
    found: dict[int, NDArray[np.float32]] = {}
    margins = np.full(count, -1)
    for encoding, rows in zip(read.encodings, logits, strict=True):
        shares = softmax(rows)
        seen: set[int] = set()
        for position, word in enumerate(encoding.word_ids):
            if word is None or word in seen:
                continue
            seen.add(word)
            margin = min(position, len(rows) - 1 - position)
            if margin > margins[word]:
                margins[word] = margin
                found[word] = shares[position]
    return found
