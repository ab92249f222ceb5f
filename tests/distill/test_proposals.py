"""Replacements by a masked language model: what may be proposed, how it is drawn, and that batches change nothing."""

import numpy as np
import pytest
import torch

import tiny
from pocketbert.data.augmentation import Draft
from pocketbert.distill import proposals
from pocketbert.distill.proposals import Proposals
from pocketbert.errors import ModelError

WORDS = {*tiny.OTHER, *tiny.ANIMALS, *tiny.GOOD[:2], *tiny.BAD[:2], *"abcdefghijklmnopqrstuvwxyz"}
"""Whole words of the tiny WordPiece vocabulary."""


def load(tmp_path, family="bert", candidates=5):
    source = tiny.make_checkpoint(tmp_path / family, family)
    return Proposals(str(source), candidates, torch.float32)


def drafts(draws=(0.1, 0.9)):
    texts = ["the cat saw a house near it .", "bright dog", "it was very cold and the horse was in the park"]
    return [Draft(text.split(), [0] if number == 1 else [1, 4], draws[: 1 if number == 1 else 2])
            for number, text in enumerate(texts)]  # fmt: skip


@pytest.mark.parametrize("family", ["bert", "roberta", "albert"])
def test_whole_words_take_the_place_of_words_of_any_number_of_pieces(tmp_path, family):
    model = load(tmp_path, family)
    for draft, words in zip(drafts(), model.fill(drafts()), strict=True):
        changed = [place for place, (old, new) in enumerate(zip(draft.words, words, strict=True)) if old != new]
        assert changed == list(draft.places)
        assert all(words[place].isalnum() for place in changed)
        if family == "bert":
            assert {words[place] for place in changed} <= WORDS


def test_the_draw_goes_by_the_probabilities_of_the_candidates(tmp_path):
    model = load(tmp_path, candidates=3)
    text = ["the", "cat", "saw", "a", "dog"]
    # Worked out without the class: logits at the mask, without what may not be proposed, and the old word.
    tokenizer, network = model._tokenizer, model._model
    ids = tokenizer("the [MASK] saw a dog", return_tensors="pt")
    logits = network(**ids).logits[0, ids["input_ids"][0].tolist().index(tokenizer.mask_token_id)]
    vocabulary = tokenizer.get_vocab()
    allowed = sorted(WORDS - {"cat"}, key=lambda word: -logits[vocabulary[word]].item())[:3]
    shares = torch.softmax(torch.stack([logits[vocabulary[word]] for word in allowed]), 0).tolist()
    draws = (np.arange(1000) + 0.5) / 1000
    found = [words[1] for words in model.fill([Draft(text, [1], [draw]) for draw in draws])]
    assert set(found) <= set(allowed)
    assert [found.count(word) / 1000 for word in allowed] == pytest.approx(shares, abs=2e-3)


def test_batches_change_nothing(tmp_path, monkeypatch):
    model = load(tmp_path)
    together = model.fill(drafts() * 3)
    monkeypatch.setattr(proposals, "TOKENS_PER_BATCH", 1)
    assert model.fill(drafts() * 3) == together
    assert [words for draft in drafts() for words in model.fill([draft])] == together[:3]


def test_what_the_model_cannot_read_stays(tmp_path):
    model = load(tmp_path)
    literal = Draft(["the", "[MASK]", "saw"], [0], [0.5])
    long = Draft(["the"] * 60, [1, 58], [0.5, 0.5])
    untouched = Draft(["a", "dog"])
    first, second, third = model.fill([literal, long, untouched])
    assert first == literal.words and third == untouched.words
    assert second[1] != "the" and second[58] == "the"


def test_a_model_without_its_head_is_refused(tmp_path):
    source = tiny.make_checkpoint(tmp_path / "classifier", head="SequenceClassification")
    with pytest.raises(ModelError, match="has no MaskedLM head"):
        Proposals(str(source), 5, torch.float32)
