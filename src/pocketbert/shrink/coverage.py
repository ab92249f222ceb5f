"""How texts are read in pieces, with all of a vocabulary and with what is left of it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from pocketbert.data.corpus import batch_texts
from pocketbert.data.sources import read_texts
from pocketbert.errors import DataError
from pocketbert.tasks.base import Example
from pocketbert.tasks.texts import CHUNK, chunks

NOTICEABLE_CHANGE = 0.05
"""Share of texts that are read in other pieces than before: more of them are worth a warning."""
NOTICEABLE_RISE = 0.001
"""Share of words that have become unknown: more of them are worth a warning."""
NOTICEABLE_RATE = 0.01
"""Share of words that are unknown, be it that they always were: more of them are worth a warning."""


@dataclass(frozen=True)
class Texts:
    """Texts of one origin, read anew each time.

    Attributes:
        name: of the origin, for tables and messages.
        batches: gives the texts, or lists of words where a task has its texts in words.
    """

    name: str
    batches: Callable[[], Iterable[Sequence[Any]]]


@dataclass
class Coverage:
    """How texts are read before and after; pairs are (before, after).

    Attributes:
        name: where the texts come from.
        texts: how many.
        unchanged: how many of them are in the same pieces after as before.
        words: how many, as the tokenizer parts them.
        pieces: in all texts.
        unknown: words with a piece for the unknown.
        broken: a text that is not unchanged though all its pieces are there; empty where the tokenizer is sound. An
            unknown word is no piece: without the piece that led WordPiece astray, others may spell it.
    """

    name: str
    texts: int = 0
    unchanged: int = 0
    words: int = 0
    pieces: tuple[int, int] = (0, 0)
    unknown: tuple[int, int] = (0, 0)
    broken: str = ""

    @property
    def changed_share(self) -> float:
        """Share of the texts that are read in other pieces."""
        return (self.texts - self.unchanged) / self.texts

    @property
    def pieces_per_word(self) -> tuple[float, float]:
        """Before and after."""
        return self.pieces[0] / self.words, self.pieces[1] / self.words

    @property
    def unknown_rate(self) -> tuple[float, float]:
        """Share of the words that have an unknown part, before and after."""
        return self.unknown[0] / self.words, self.unknown[1] / self.words

    def add(self, same: bool, words: int, pieces: tuple[int, int], unknown: tuple[int, int]) -> None:
        """Count a text; see the attributes."""
        self.texts += 1
        self.unchanged += same
        self.words += words
        self.pieces = self.pieces[0] + pieces[0], self.pieces[1] + pieces[1]
        self.unknown = self.unknown[0] + unknown[0], self.unknown[1] + unknown[1]

    def measured(self) -> dict[str, Any]:
        """For the manifest."""
        shares = {"pieces_per_word": self.pieces_per_word, "unknown_rate": self.unknown_rate}
        return {
            "texts": self.texts,
            "words": self.words,
            "unchanged": self.unchanged / self.texts,
            **{name: {"before": before, "after": after} for name, (before, after) in shares.items()},
        }

    def warnings(self) -> list[str]:
        """A sentence where more has changed, or is unknown, than a user may expect."""
        before, after = self.unknown_rate
        rise = (self.unknown[1] - self.unknown[0]) / self.words
        changed = self.changed_share > NOTICEABLE_CHANGE or rise > NOTICEABLE_RISE
        if not changed and after <= NOTICEABLE_RATE:
            return []
        one, other = self.pieces_per_word
        advice = "; answers on it may differ: name such text as corpus or keep if the model is to read it"
        return [
            f"{self.name}: {after:.2%} of the words are unknown (before {before:.2%}), and {self.changed_share:.1%} of "
            f"the texts are read in other pieces than before ({other:.3f} a word, before {one:.3f})"
            + (advice if changed else "")
        ]


@dataclass(frozen=True, slots=True)
class _Reading:
    """A text in pieces: their ids, and the number of the word that each is of."""

    ids: list[int]
    words: list[int]

    def unknown_words(self, unknown: int | None) -> int:
        if unknown not in self.ids:
            return 0
        return len({word for word, number in zip(self.words, self.ids, strict=True) if number == unknown})


def row_texts(name: str, examples: Sequence[Example]) -> Texts:
    """The texts of a task's rows, both of a pair; a text that several rows share, such as a context, comes once."""
    texts = {
        text if isinstance(text, str) else tuple(text): text
        for example in examples
        for text in (example.text, example.pair)
        if text is not None
    }
    return Texts(name, partial(chunks, list(texts.values()), CHUNK))  # type: ignore[arg-type]


def source_texts(name: str, sources: Sequence[str], text_column: str | None, notes: list[str]) -> Texts:
    """Documents, in constant memory.

    Args:
        name: for tables and messages.
        sources: where they are.
        text_column: of tables; guessed when None.
        notes: get what was guessed.
    """
    return Texts(name, lambda: batch_texts(read_texts(sources, text_column, notes=notes)))


def compare_readings(texts: Texts, before: Any, after: Any, numbers: Mapping[int, int]) -> Coverage:
    """Read whole texts with two tokenizers.

    Args:
        texts: what is read.
        before: a fast tokenizer.
        after: one with some of its pieces.
        numbers: old id to new id of these pieces.

    Raises:
        DataError: there is no text.
    """
    coverage = Coverage(texts.name)
    for batch in texts.batches():
        options = {"is_pretokenized": not isinstance(batch[0], str), "add_special_tokens": False}
        old = reader(before).encode_batch(list(batch), **options)
        new = reader(after).encode_batch(list(batch), **options)
        for text, *encodings in zip(batch, old, new, strict=True):
            first, second = (_Reading(encoding.ids, encoding.word_ids) for encoding in encodings)
            expected = [numbers.get(number) for number in first.ids]
            same = expected == second.ids
            unknown = first.unknown_words(before.unk_token_id), second.unknown_words(after.unk_token_id)
            coverage.add(same, len(set(first.words)), (len(first.ids), len(second.ids)), unknown)
            if not same and None not in expected and not unknown[0]:
                coverage.broken = text if isinstance(text, str) else " ".join(text)
    if not coverage.words:
        raise DataError(f"{texts.name}: no text to read; is the file empty?")
    return coverage


def reader(tokenizer: Any) -> Any:
    """The part of a tokenizer that reads whole texts: files may ask it to cut or to fill them."""
    reader = tokenizer.backend_tokenizer
    reader.no_truncation()
    reader.no_padding()
    return reader
