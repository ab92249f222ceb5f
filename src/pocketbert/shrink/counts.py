"""How often the pieces of a vocabulary occur, and which of those that did not may be missed in the next text."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketbert.errors import DataError
from pocketbert.shrink.coverage import Texts, reader

_PLACEHOLDER = re.compile(r"\[unused\d+\]")
"""Pieces of BERT that no text has."""


@dataclass
class Counts:
    """Occurrences of pieces in texts.

    Attributes:
        occurrences: (ids,) how often each occurs, special tokens around texts included.
        in_texts: (ids,) how many texts have it.
        last: (ids,) number of the last text that has it.
        texts: how many there were.
    """

    occurrences: NDArray[np.int64]
    in_texts: NDArray[np.int64] = field(init=False)
    last: NDArray[np.int64] = field(init=False)
    texts: int = 0

    def __post_init__(self) -> None:
        self.in_texts, self.last = np.zeros_like(self.occurrences), np.zeros_like(self.occurrences)

    def add(self, ids: Sequence[int]) -> None:
        """Count a text."""
        found, occurrences = np.unique(np.asarray(ids, dtype=np.int64), return_counts=True)
        self.occurrences[found] += occurrences
        self.in_texts[found] += 1
        self.last[found] = self.texts
        self.texts += 1

    def changes(self, kept: Collection[int]) -> NDArray[np.int64]:
        """Texts that would be read in other pieces, had the vocabulary been chosen without them.

        This is what to expect of the next text: of each of these, a piece occurs in no other text.

        Args:
            kept: ids of pieces that stay though they may not occur.

        Returns:
            (texts,) the largest id of such a piece.
        """
        once = np.setdiff1d(np.flatnonzero(self.in_texts == 1), list(kept))
        latest = np.full(self.texts, -1, dtype=np.int64)
        np.maximum.at(latest, self.last[once], once)
        return latest[latest >= 0]


def count_pieces(texts: Sequence[Texts], tokenizer: Any) -> Counts:
    """Count the pieces of whole texts, whatever a task cuts off.

    Args:
        texts: read once, in constant memory.
        tokenizer: a fast one.

    Raises:
        DataError: an origin has no text.
    """
    ids = max(tokenizer.get_vocab().values()) + 1
    counts = Counts(np.zeros(ids, dtype=np.int64))
    for origin in texts:
        before = counts.texts
        for batch in origin.batches():
            # The fast form leaves out words and offsets, which only a comparison needs.
            encodings = reader(tokenizer).encode_batch_fast(list(batch), is_pretokenized=not isinstance(batch[0], str))
            for encoding in encodings:
                counts.add(encoding.ids)
        if counts.texts == before:
            raise DataError(f"{origin.name}: no text to read; is the file empty?")
    return counts


def common_pieces(counts: Counts, kept: Collection[int], changed: float, pieces: Mapping[int, str]) -> set[int]:
    """Pieces to keep for the texts to come: the first of the vocabulary, for it lists common pieces first.

    Args:
        counts: of the texts that were read.
        kept: ids of pieces that stay anyhow, such as single characters.
        changed: share of the texts to come that may be read in other pieces.
        pieces: by id.

    Returns:
        Their ids: as few as hold the share by :meth:`Counts.changes`.
    """
    largest = np.sort(counts.changes(kept))[::-1]
    allowed = int(changed * counts.texts)
    last = -1 if len(largest) <= allowed else int(largest[allowed])
    return {number for number, piece in pieces.items() if number <= last and not _PLACEHOLDER.fullmatch(piece)}
