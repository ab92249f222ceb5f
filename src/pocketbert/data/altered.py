"""Pairs that plain text gives for nothing: a sentence, an altered copy of it, and how much of it is left.

A model that has read packed text only has never seen two texts at once, and a few thousand labelled pairs are too few
to learn what there is to compare. Rows of this kind are as many as there are sentences, and teach that first.
"""

import itertools
import random
import re
from collections.abc import Iterable, Iterator, Sequence

from pocketbert.data.records import Record
from pocketbert.errors import DataError

SHORTEST, LONGEST = 6, 25
"""Words of the sentences that are taken."""
CHUNK = 1000
"""Sentences that lend each other their words."""
MOST = 5.0
"""The label of an untouched copy; that of another sentence altogether is 0, as in STS-B."""
UNRELATED = 0.15
"""Share of the rows whose second text is another sentence."""
TURNED = 0.5
"""Share of the altered copies that begin in the middle: order alone takes nothing away."""
BORROWED = {1: 0.6, 0: 0.3, 2: 0.1}
"""How many words of other sentences stand in for one that is not left, and how often."""

SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


def altered_pairs(texts: Iterable[str], place: str) -> Iterator[Record]:
    """Rows of ``text``, ``pair`` and ``label``, one for each sentence of 6 to 25 words, in constant memory.

    How much of a copy is left is drawn anew for each sentence, evenly from none to all. The same texts always give
    the same rows.

    Args:
        texts: documents.
        place: what to call them in messages.

    Raises:
        DataError: there are not two such sentences.
    """
    sentences = (words for text in texts for words in _sentences(text))
    rng = random.Random(0)  # noqa: S311 (no secret: the rows have to repeat)
    row = 0
    for chunk in _chunks(sentences):
        for index in range(len(chunk)):
            row += 1
            yield Record(_pair(chunk, index, rng), f"{place} row {row}")
    if not row:
        raise DataError(f"{place}: no two sentences of {SHORTEST} to {LONGEST} words to make pairs of")


def _sentences(text: str) -> Iterator[list[str]]:
    for sentence in SENTENCE_END.split(text):
        words = sentence.split()
        if SHORTEST <= len(words) <= LONGEST:
            yield words


def _chunks(sentences: Iterator[list[str]]) -> Iterator[list[list[str]]]:
    """Parts of the stream; a single sentence at its end has none to borrow words from and is left out."""
    while len(chunk := list(itertools.islice(sentences, CHUNK))) > 1:
        yield chunk


def _pair(chunk: Sequence[list[str]], index: int, rng: random.Random) -> dict[str, str | float]:
    words = chunk[index]
    if rng.random() < UNRELATED:
        other, left = _another(chunk, index, rng), 0
    else:
        other, left = _alter(chunk, index, rng)
    texts = [" ".join(words), " ".join(other)]
    rng.shuffle(texts)
    return {"text": texts[0], "pair": texts[1], "label": round(MOST * left / len(words), 3)}


def _alter(chunk: Sequence[list[str]], index: int, rng: random.Random) -> tuple[list[str], int]:
    """A copy with some words altered, and how many are left."""
    share = rng.random()
    copy: list[str] = []
    left = 0
    for word in chunk[index]:
        if rng.random() >= share:
            copy.append(word)
            left += 1
            continue
        (borrowed,) = rng.choices(list(BORROWED), list(BORROWED.values()))
        copy += [rng.choice(_another(chunk, index, rng)) for _ in range(borrowed)]
    if rng.random() < TURNED:
        start = rng.randrange(len(copy) + 1)
        copy = copy[start:] + copy[:start]
    return copy or _another(chunk, index, rng), left


def _another(chunk: Sequence[list[str]], index: int, rng: random.Random) -> list[str]:
    return chunk[(index + rng.randrange(1, len(chunk))) % len(chunk)]
