"""Masks of the masked language model, as a function of (seed, epoch, sample): no state, the same on any rank.

Devlin et al. 2019, section 3.1: 15 % of the tokens are to be predicted; of these 80 % are replaced by the mask
token, 10 % by a random one, 10 % kept. The smoothing option picks rare tokens more often, as in the DistilBERT code.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketbert.data.records import IGNORED
from pocketbert.recipe import Masking


@dataclass(frozen=True)
class MaskingTables:
    """What masking has to know of a tokenizer and a corpus.

    Attributes:
        mask_token_id: the id that hides a token.
        special: (vocabulary,) true for ids that are never masked and never put in at random.
        continues: (vocabulary,) true for pieces that continue a word.
        weight: (vocabulary,) relative probability of being picked.
        random_ids: ids that may be put in at random.
    """

    mask_token_id: int
    special: NDArray[np.bool_]
    continues: NDArray[np.bool_]
    weight: NDArray[np.float64]
    random_ids: NDArray[np.int64]

    @classmethod
    def of(cls, tokenizer: Any, masking: Masking, counts: NDArray[np.int64]) -> "MaskingTables":
        """Tables for a fast tokenizer and the token counts of a corpus, (vocabulary,)."""
        pieces = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
        special = np.zeros(len(pieces), dtype=bool)
        special[tokenizer.all_special_ids] = True
        weight = np.maximum(counts, 1).astype(np.float64) ** -masking.smoothing
        return cls(
            mask_token_id=tokenizer.mask_token_id,
            special=special,
            continues=continuations(pieces),
            weight=np.where(special, 0.0, weight),
            random_ids=np.flatnonzero(~special),
        )


def mask_block(
    ids: NDArray[np.int64], masking: Masking, tables: MaskingTables, seed: int, epoch: int, sample: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Hide some tokens of one sample.

    Args:
        ids: (tokens,) with special tokens.
        masking: rate, shares and options.
        tables: see :class:`MaskingTables`.
        seed: of the run.
        epoch: of the run; each epoch has its own masks.
        sample: number of the sample in the corpus.

    Returns:
        Inputs with tokens hidden, (tokens,), and labels with the original id where one is to be predicted and
        ``IGNORED`` elsewhere, (tokens,). Exactly round(rate × non-special tokens) are picked, at least one
        where there is any; with whole words the last word may exceed it.
    """
    generator = np.random.Generator(np.random.Philox(key=[seed, 0x6D61736B], counter=[0, epoch, sample, 0]))
    labels = np.full_like(ids, IGNORED)
    candidates = np.flatnonzero(~tables.special[ids])
    if not len(candidates):
        return ids.copy(), labels
    wanted = max(1, round(masking.rate * len(candidates)))
    picked = _pick(ids, candidates, wanted, masking, tables, generator)
    labels[picked] = ids[picked]
    return _hide(ids, picked, masking, tables, generator), labels


def _pick(
    ids: NDArray[np.int64],
    candidates: NDArray[np.int64],
    wanted: int,
    masking: Masking,
    tables: MaskingTables,
    generator: np.random.Generator,
) -> NDArray[np.int64]:
    # Smallest exponential keys: weighted sampling without replacement (Efraimidis and Spirakis 2006).
    if not masking.whole_words:
        keys = generator.exponential(size=len(candidates)) / tables.weight[ids[candidates]]
        return candidates[np.argpartition(keys, wanted - 1)[:wanted]]
    starts = ~tables.continues[ids[candidates]]
    starts[0] = True
    starts[1:] |= np.diff(candidates) > 1
    word = np.cumsum(starts) - 1
    weight = np.bincount(word, tables.weight[ids[candidates]]) / np.bincount(word)
    order = np.argsort(generator.exponential(size=len(weight)) / weight, kind="stable")
    pieces = np.cumsum(np.bincount(word)[order])
    chosen = order[: int(np.searchsorted(pieces, wanted)) + 1]
    return candidates[np.isin(word, chosen)]


def _hide(
    ids: NDArray[np.int64],
    picked: NDArray[np.int64],
    masking: Masking,
    tables: MaskingTables,
    generator: np.random.Generator,
) -> NDArray[np.int64]:
    inputs = ids.copy()
    fate = generator.random(len(picked))
    inputs[picked[fate < masking.mask]] = tables.mask_token_id
    replaced = picked[(fate >= masking.mask) & (fate < masking.mask + masking.random)]
    inputs[replaced] = generator.choice(tables.random_ids, size=len(replaced))
    return inputs


def continuations(pieces: list[str]) -> NDArray[np.bool_]:
    """Which pieces continue a word: by ``##`` (WordPiece), else by the lack of ``Ġ`` or ``▁`` in front."""
    if any(piece.startswith("##") for piece in pieces):
        return np.array([piece.startswith("##") for piece in pieces])
    if any(piece.startswith(("Ġ", "▁")) for piece in pieces):
        return np.array([not piece.startswith(("Ġ", "▁")) for piece in pieces])
    return np.zeros(len(pieces), dtype=bool)
