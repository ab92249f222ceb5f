"""Masks: how many, which, and what hides them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tiny
from pocketbert.data.masking import MaskingTables, mask_block
from pocketbert.data.records import IGNORED
from pocketbert.recipe import Masking

TOKENIZER = tiny.make_tokenizer("bert")
SIZE = len(TOKENIZER)
CLS, SEP, MASK = TOKENIZER.cls_token_id, TOKENIZER.sep_token_id, TOKENIZER.mask_token_id
PLAIN = 5
"""The first id that is not special."""


def tables(masking, counts=None):
    return MaskingTables.of(TOKENIZER, masking, np.ones(SIZE, dtype=np.int64) if counts is None else counts)


def block(length=200, seed=0):
    """Random plain ids between CLS and SEP, with a separator in the middle."""
    ids = np.random.default_rng(seed).integers(PLAIN, SIZE, length)
    ids[0], ids[length // 2], ids[-1] = CLS, SEP, SEP
    return ids


def masked(masking, samples=range(200), ids=None, seed=0, epoch=0, counts=None):
    """Inputs and labels of many samples, (samples, tokens)."""
    made = tables(masking, counts)
    ids = block() if ids is None else ids
    pairs = [mask_block(ids, masking, made, seed, epoch, sample) for sample in samples]
    return np.stack([pair[0] for pair in pairs]), np.stack([pair[1] for pair in pairs])


@pytest.mark.parametrize("rate", [0.15, 0.4])
def test_exactly_the_rate_of_the_plain_tokens_is_picked(rate):
    _, labels = masked(Masking(rate=rate))
    assert set((labels != IGNORED).sum(axis=1)) == {round(rate * 197)}


def test_picked_tokens_are_hidden_80_10_10():
    ids = block()
    inputs, labels = masked(Masking(), range(1000), ids)
    picked = labels != IGNORED
    total = picked.sum()
    hidden = (inputs == MASK)[picked].sum() / total
    kept = (inputs == ids)[picked].sum() / total
    # A random token is the right one once in 69 times.
    assert hidden == pytest.approx(0.8, abs=0.01)
    assert kept == pytest.approx(0.1 + 0.1 / (SIZE - PLAIN), abs=0.01)


def test_shares_can_be_chosen():
    ids = block()
    inputs, labels = masked(Masking(mask=0.5, random=0.5), range(300), ids)
    picked = labels != IGNORED
    assert (inputs == MASK)[picked].mean() == pytest.approx(0.5, abs=0.03)
    assert (inputs == ids)[picked].mean() < 0.05


def test_labels_are_the_original_ids_and_other_tokens_stay():
    ids = block()
    inputs, labels = masked(Masking(), ids=ids)
    picked = labels != IGNORED
    assert (labels[picked] == np.broadcast_to(ids, labels.shape)[picked]).all()
    assert (inputs[~picked] == np.broadcast_to(ids, inputs.shape)[~picked]).all()


@pytest.mark.parametrize("masking", [Masking(rate=0.9), Masking(rate=0.9, whole_words=True), Masking(smoothing=0.7)])
def test_special_tokens_are_never_masked_nor_put_in(masking):
    ids = block()
    special = ids < PLAIN
    inputs, labels = masked(masking.model_copy(update={"mask": 0.0, "random": 1.0}), ids=ids)
    assert (labels[:, special] == IGNORED).all()
    assert (inputs[:, special] == ids[special]).all()
    assert (inputs[:, ~special] >= PLAIN).all()


def test_a_block_of_special_tokens_is_left_alone():
    ids = np.array([CLS, SEP, SEP])
    inputs, labels = mask_block(ids, Masking(), tables(Masking()), 0, 0, 0)
    assert inputs.tolist() == ids.tolist() and labels.tolist() == [IGNORED] * 3


def test_a_short_block_still_has_one_token_to_predict():
    _, labels = masked(Masking(), ids=np.array([CLS, 10, 11, SEP]))
    assert ((labels != IGNORED).sum(axis=1) == 1).all()


@pytest.mark.parametrize(
    ("family", "words"),
    [("bert", ["the", "grey", "barn", "was", "broken", "and", "bright"])]
    + [(family, ["the", "grey", "barn", "was", "lovely", "unlike", "horse"]) for family in ("roberta", "albert")],
)
def test_whole_words_are_picked_whole(family, words):
    tokenizer = tiny.make_tokenizer(family)
    if family == "roberta":
        encoding = tokenizer.backend_tokenizer.encode(" " + " ".join(words))
        word_of = [None if number is None else number for number in encoding.word_ids]
    else:
        encoding = tokenizer.backend_tokenizer.encode(" ".join(words))
        word_of = encoding.word_ids
    ids = np.array(encoding.ids)
    masking = Masking(rate=0.3, whole_words=True)
    made = MaskingTables.of(tokenizer, masking, np.ones(len(tokenizer), dtype=np.int64))
    assert len(ids) - 2 > len(words), "the words should come in pieces"
    seen = set()
    for sample in range(100):
        _, labels = mask_block(ids, masking, made, 0, 0, sample)
        picked = {word_of[place] for place in np.flatnonzero(labels != IGNORED)}
        for word in picked:
            pieces = [place for place, number in enumerate(word_of) if number == word]
            assert (labels[pieces] != IGNORED).all()
        seen |= picked
    assert seen == set(range(len(words)))


def test_whole_words_exceed_the_rate_by_less_than_the_last_word():
    _, labels = masked(Masking(whole_words=True))
    counts = (labels != IGNORED).sum(axis=1)
    wanted = round(0.15 * 197)
    assert counts.min() >= wanted
    # In random pieces a run of continuations is a word: about three in four ids continue one.
    assert np.median(counts) < wanted + 6


def test_smoothing_picks_rare_tokens_more_often():
    rare, common = PLAIN, PLAIN + 1
    counts = np.ones(SIZE, dtype=np.int64)
    counts[common] = 1000
    ids = np.array([CLS, *[rare, common] * 50, SEP])

    def ratio(smoothing):
        _, labels = masked(Masking(rate=0.05, smoothing=smoothing), range(2000), ids, counts=counts)
        return (labels == rare).sum() / (labels == common).sum()

    assert ratio(0.0) == pytest.approx(1.0, abs=0.1)
    # Few of many are drawn, so shares are nearly proportional to weights.
    assert ratio(0.3) == pytest.approx(1000**0.3, rel=0.15)


def test_a_token_that_the_corpus_lacks_weighs_like_one_seen_once():
    counts = np.zeros(SIZE, dtype=np.int64)
    assert set(tables(Masking(smoothing=0.7), counts).weight[PLAIN:]) == {1.0}


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 2**32), epoch=st.integers(0, 10**6), sample=st.integers(0, 10**9))
def test_masks_depend_on_seed_epoch_and_sample_alone(seed, epoch, sample):
    ids, masking = block(60), Masking()
    first = mask_block(ids, masking, tables(masking), seed, epoch, sample)
    np.random.default_rng(0).random(10)
    mask_block(ids, masking, tables(masking), seed, epoch, sample + 1)
    second = mask_block(ids, masking, tables(masking), seed, epoch, sample)
    assert all((one == other).all() for one, other in zip(first, second, strict=True))


@pytest.mark.parametrize("other", [{"seed": 1}, {"epoch": 1}, {"samples": [1]}])
def test_another_seed_epoch_or_sample_gives_another_mask(other):
    usual = {"seed": 0, "epoch": 0, "samples": [0]}
    assert (masked(Masking(), **usual)[1] != masked(Masking(), **usual | other)[1]).any()


def test_positions_are_picked_evenly():
    _, labels = masked(Masking(), range(2000))
    plain = block() >= PLAIN
    shares = (labels != IGNORED)[:, plain].mean(axis=0)
    # Standard error 0.008: all 197 positions within four of it.
    assert shares == pytest.approx(np.full(plain.sum(), 0.15), abs=0.036)
