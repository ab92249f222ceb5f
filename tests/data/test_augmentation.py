"""Altered copies: what is changed, how much of it, and that it depends on nothing but seed, row and copy."""

import numpy as np
import pytest

from pocketbert.data.augmentation import Draft, alter, core_of, in_case
from pocketbert.recipe import Augment

TEXTS = [[f"{letter}{number}" for number in range(20)] for letter in "abcde"]
MODEL = "somewhere"


def drafts(options, texts=(TEXTS,), rows=5, copies=40, seed=0):
    return [alter(texts, row, copy, options, seed) for row in range(rows) for copy in range(copies)]


@pytest.mark.parametrize(
    ("word", "parts"),
    [
        ("cat", ("", "cat", "")),
        ("(cat),", ("(", "cat", "),")),
        ("don't", ("", "don't", "")),
        ("well-known.", ("", "well-known", ".")),
        ("Ärger!", ("", "Ärger", "!")),
        ("and/or", ("", "", "")),
        ("...", ("", "", "")),
    ],
)
def test_signs_around_a_word_are_not_the_word(word, parts):
    assert core_of(word) == parts


def test_a_replacement_is_written_as_the_word_was():
    assert [in_case("dog", like) for like in ("cat", "Cat", "CAT", "I")] == ["dog", "Dog", "DOG", "Dog"]
    assert in_case("USA", "Cat") == "USA"


def test_a_draft_is_masked_and_filled():
    draft = Draft(["The", "(Cat)", "sat."], [1, 2], [0.5, 0.5])
    assert draft.masked("<mask>") == "The (<mask>) <mask>."
    assert draft.filled(["dog", None]) == ["The", "(Dog)", "sat."]


def test_a_share_of_the_words_is_left_out():
    for (draft,) in drafts(Augment(delete=0.15)):
        assert len(draft.words) == 17 and not draft.places
        assert draft.words == sorted(draft.words, key=lambda word: int(word[1:]))
    # Every word has the same chance.
    left = [word[1:] for (draft,) in drafts(Augment(delete=0.15), copies=400) for word in draft.words]
    counts = np.unique(left, return_counts=True)[1]
    assert len(counts) == 20 and abs(counts / 2000 - 0.85).max() < 0.04


def test_something_is_altered_but_not_all_left_out():
    texts = [[["one"], ["one", "two"]]]
    options = Augment(delete=0.9)
    assert [draft.words for draft in alter(texts, 0, 0, options, 0)] == [["one"]]
    assert {len(draft.words) for copy in range(9) for draft in alter(texts, 1, copy, options, 0)} == {1}
    few = Augment(delete=0.01)
    assert {len(draft.words) for (draft,) in drafts(few)} == {19}


def test_no_two_neighbours_are_replaced():
    for (draft,) in drafts(Augment(delete=0, model=MODEL, replace=0.3)):
        assert len(draft.places) == len(draft.draws) == 6
        assert min(np.diff(draft.places)) > 1
    # Half of the words cannot always be had: a gap of two may stay.
    for (draft,) in drafts(Augment(delete=0, model=MODEL, replace=0.5)):
        assert 7 <= len(draft.places) <= 10 and min(np.diff(draft.places)) > 1


def test_signs_are_not_replaced():
    (draft,) = alter([[["...", "cat", "!", "and/or"]]], 0, 0, Augment(delete=0, model=MODEL, replace=0.5), 0)
    assert draft.places == [1]


def test_a_mix_has_the_beginning_of_one_text_and_the_end_of_another():
    found = drafts(Augment(delete=0, mix=1.0))
    others = set()
    for number, (draft,) in enumerate(found):
        own = "abcde"[number // 40]
        letters = [word[0] for word in draft.words]
        assert letters[0] == own and letters[-1] != own and len(set(letters)) == 2
        cut = letters.index(letters[-1])
        assert draft.words == TEXTS[number // 40][:cut] + TEXTS["abcde".index(letters[-1])][cut:]
        assert 5 <= cut <= 15
        others.add((own, letters[-1]))
    assert len(others) == 20


def test_a_share_of_the_copies_is_mixed():
    mixed = [len({word[0] for word in draft.words}) == 2 for (draft,) in drafts(Augment(mix=0.25), copies=200)]
    assert 0.2 < np.mean(mixed) < 0.3
    assert alter([[["alone", "here"]]], 0, 0, Augment(delete=0, mix=1.0), 0)[0].words == ["alone", "here"]


def test_of_a_pair_one_text_or_both_are_altered():
    pairs = ([list("abcdef")] * 3, [list("uvwxyz")] * 3)
    touched = [tuple(len(draft.words) < 6 for draft in found) for found in drafts(Augment(), pairs, rows=3)]
    shares = {which: touched.count(which) / len(touched) for which in set(touched)}
    assert set(shares) == {(True, False), (False, True), (True, True)} and min(shares.values()) > 0.2


def test_a_copy_depends_on_seed_row_and_number_alone():
    options = Augment(mix=0.5, model=MODEL)
    one = alter((TEXTS,), 3, 7, options, 1)
    assert one == alter((TEXTS,), 3, 7, options, 1)
    others = [alter((TEXTS,), row, copy, options, seed) for row, copy, seed in ((2, 7, 1), (3, 6, 1), (3, 7, 2))]
    assert all(other != one for other in others)
