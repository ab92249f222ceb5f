"""What a masked language model puts in the place of words: drawn among the likeliest, for many texts at once."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pocketbert.data.augmentation import Draft, Words, core_of
from pocketbert.data.masking import continuations
from pocketbert.distill.places import find_places
from pocketbert.engines.batching import batches_by_length
from pocketbert.models.loading import load_for_use, max_positions
from pocketbert.models.projection import Projection, accepted_inputs
from pocketbert.tasks.base import Feature, collate

TOKENS_PER_BATCH = 4096


class Proposals:
    """A masked language model that fills drafts.

    A word of several pieces has one mask in its place, and what is proposed is a word of a single piece: never a
    special token, a piece of a word, a sign, or the word that stood there.

    Args:
        source: a model directory or hub name, with its masked-LM head.
        candidates: how many of the likeliest words a replacement is drawn among.
        dtype: in which type the model computes.

    Raises:
        ModelError: the model cannot be used.
    """

    def __init__(self, source: str, candidates: int, dtype: torch.dtype) -> None:
        loaded = load_for_use(source, "MaskedLM")
        self._model, self._tokenizer = loaded.model.to(dtype), loaded.tokenizer
        self._candidates = candidates
        self._projection, self._accepted = Projection(self._model), accepted_inputs(self._model)
        self._words = _whole_words(self._tokenizer)
        self._barred = torch.tensor([not word for word in self._words], device=self._model.device)

    def fill(self, drafts: Sequence[Draft]) -> list[Words]:
        """The words of each draft, replacements included; words that the model has no room for stay as they are."""
        mask = str(self._tokenizer.mask_token)
        # A text that has the mask in it already would be taken for one with more places.
        able = [number for number, draft in enumerate(drafts) if draft.places and mask not in " ".join(draft.words)]
        features = self._features([drafts[number].masked(mask) for number in able])
        filled = [list(draft.words) for draft in drafts]
        for batch in batches_by_length([len(feature["input_ids"]) for feature in features], TOKENS_PER_BATCH):
            found = self._likeliest([features[row] for row in batch])
            for row, (ids, logits) in zip(batch, found, strict=True):
                draft = drafts[able[row]]
                filled[able[row]] = draft.filled(self._replacements(draft, ids, logits))
        return filled

    def _features(self, texts: Sequence[str]) -> list[Feature]:
        if not texts:
            return []
        limit = min(max_positions(self._model.config), self._tokenizer.model_max_length)
        batch = self._tokenizer(list(texts), truncation=True, max_length=limit)
        names = [name for name in self._accepted if name in batch]
        return [{name: batch[name][row] for name in names} for row in range(len(texts))]

    @torch.inference_mode()
    def _likeliest(self, features: Sequence[Feature]) -> list[tuple[NDArray[np.int64], NDArray[np.float64]]]:
        """For each text the ids and logits of the words proposed for its masks: (masks, candidates + 1) each."""
        arrays = collate(features, self._tokenizer.pad_token_id)
        inputs = {name: torch.from_numpy(values).to(self._model.device) for name, values in arrays.items()}
        masked = inputs["input_ids"] == self._tokenizer.mask_token_id  # (batch, tokens)
        logits = self._projection.choose(inputs, find_places(masked)).logits.decode()[:, : len(self._words)].float()
        best = logits.masked_fill(self._barred, -torch.inf).topk(min(self._candidates + 1, len(self._words)))
        # (masks of the batch, candidates + 1) → one part a text
        ends = masked.sum(dim=1).cumsum(0).tolist()[:-1]
        ids, values = best.indices.cpu().numpy(), best.values.double().cpu().numpy()
        return list(zip(np.split(ids, ends), np.split(values, ends), strict=True))

    def _replacements(self, draft: Draft, ids: NDArray[np.int64], logits: NDArray[np.float64]) -> list[str | None]:
        new: list[str | None] = [None] * len(draft.places)
        # Masks that the model has no room for are the last ones.
        for number, (row, values) in enumerate(zip(ids, logits, strict=True)):
            old = core_of(draft.words[draft.places[number]])[1].lower()
            new[number] = self._draw(row, values, old, draft.draws[number])
        return new

    def _draw(self, ids: NDArray[np.int64], logits: NDArray[np.float64], old: str, draw: float) -> str | None:
        """One of the words, by their probabilities among each other; None where there is none but the old one."""
        other = [place for place, number in enumerate(ids.tolist()) if self._words[number].lower() != old]
        chosen = other[: self._candidates]
        weights = np.exp(logits[chosen] - logits[chosen].max(initial=-np.inf))
        if not np.isfinite(weights).all() or not len(chosen):
            return None
        sums = weights.cumsum()
        return self._words[int(ids[chosen[np.searchsorted(sums, draw * sums[-1], side="right")]])]


def _whole_words(tokenizer: Any) -> list[str]:
    """Of each id the word that it is by itself; empty for special tokens, pieces inside words, and signs."""
    pieces = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    inside, special = continuations(pieces), set(tokenizer.all_special_ids)
    words = [tokenizer.convert_tokens_to_string([piece]).strip() for piece in pieces]
    return [
        word if core_of(word)[1] == word and number not in special and not inside[number] else ""
        for number, word in enumerate(words)
    ]
