"""Altered copies of texts: mixed with another text, words left out, words for a model to replace.

A copy is a function of (seed, row, copy), by a counter-based generator: the same whatever else is altered beside it.
Texts are lists of words here; what a masked language model puts in the place of a word is asked for elsewhere.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pocketbert.recipe import Augment

Words = list[str]

CORE = re.compile(r"([\W_]*)([^\W_]+(?:['’-][^\W_]+)*)([\W_]*)")
"""A word with signs before and behind it: the word is replaced, the signs stay."""
MIDDLE = (0.25, 0.75)
"""Between which shares of both texts a mix is cut, so that there is something of each."""


@dataclass(frozen=True)
class Draft:
    """An altered text of which some words are still to be replaced.

    Attributes:
        words: of the text.
        places: which words are to be replaced, ascending; no two are neighbours.
        draws: (places,) even between 0 and 1: they choose among what is proposed.
    """

    words: Words
    places: Sequence[int] = ()
    draws: Sequence[float] = ()

    def masked(self, mask: str) -> str:
        """The text with a mask in the place of each word that is to be replaced, whatever pieces it has."""
        words = list(self.words)
        for place in self.places:
            before, _, behind = core_of(words[place])
            words[place] = f"{before}{mask}{behind}"
        return " ".join(words)

    def filled(self, replacements: Sequence[str | None]) -> Words:
        """The words with replacements in their places; None leaves a word as it is.

        Args:
            replacements: one for each of the places.
        """
        words = list(self.words)
        for place, new in zip(self.places, replacements, strict=True):
            if new is not None:
                before, old, behind = core_of(words[place])
                words[place] = f"{before}{in_case(new, old)}{behind}"
        return words


def core_of(word: str) -> tuple[str, str, str]:
    """Signs before a word, the word and signs behind it; all empty where it is no single word."""
    found = CORE.fullmatch(word)
    return (found[1], found[2], found[3]) if found else ("", "", "")


def in_case(word: str, like: str) -> str:
    """A word in lower case written as another one is: with a capital, or in capitals."""
    if not word.islower() or not like[0].isupper():
        return word
    return word.upper() if len(like) > 1 and like.isupper() else word.capitalize()


def alter(texts: Sequence[Sequence[Words]], row: int, copy: int, options: Augment, seed: int) -> list[Draft]:
    """One altered copy of a row.

    Args:
        texts: (sides, rows) the words of every row: one side for single texts, two for pairs.
        row: which row.
        copy: number of the copy.
        options: what is altered, and how much of it.
        seed: of the run.

    Returns:
        A draft for each side; of a pair one side may be untouched.
    """
    generator = np.random.Generator(np.random.Philox(key=[seed, 0x6175676D], counter=[0, copy, row, 0]))
    touched = 1 + generator.integers(2 ** len(texts) - 1)  # a bit for each side, one at least
    mixed = len(texts[0]) > 1 and generator.random() < options.mix
    other = int((row + generator.integers(1, max(len(texts[0]), 2))) % len(texts[0]))
    drafts = []
    for number, side in enumerate(texts):
        words = list(side[row])
        if not touched >> number & 1:
            drafts.append(Draft(words))
            continue
        if mixed:
            words = _mix(words, side[other], generator)
        drafts.append(_choose_words(_delete(words, options.delete, generator), options.replaced, generator))
    return drafts


def _mix(first: Words, second: Words, generator: np.random.Generator) -> Words:
    """The beginning of one text and the end of another, cut at the same share: no longer than the longer one."""
    share = generator.uniform(*MIDDLE)
    return first[: max(1, round(share * len(first)))] + second[round(share * len(second)) :]


def _delete(words: Words, share: float, generator: np.random.Generator) -> Words:
    count = min(_count(share, len(words)), len(words) - 1)
    gone = set(generator.choice(len(words), size=count, replace=False).tolist()) if count else set()
    return [word for number, word in enumerate(words) if number not in gone]


def _choose_words(words: Words, share: float, generator: np.random.Generator) -> Draft:
    able = np.array([number for number, word in enumerate(words) if core_of(word)[1]], dtype=np.int64)
    places = _apart(generator.permutation(able), _count(share, len(words)))
    return Draft(words, places, generator.random(len(places)).tolist())


def _apart(order: NDArray[np.int64], count: int) -> list[int]:
    """The first so many numbers of an order of which no two are neighbours: a mask beside a mask knows too little."""
    chosen: set[int] = set()
    for number in order.tolist():
        if len(chosen) == count:
            break
        if not chosen & {number - 1, number + 1}:
            chosen.add(number)
    return sorted(chosen)


def _count(share: float, words: int) -> int:
    """How many of so many words a share is: at least one, where it is not zero."""
    return max(1, round(share * words)) if share else 0
