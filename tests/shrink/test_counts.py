"""Counted pieces, and what they tell of texts to come."""

import random

import numpy as np
import pytest

import tiny
from pocketbert.errors import DataError
from pocketbert.shrink.counts import Counts, common_pieces, count_pieces
from pocketbert.shrink.coverage import Texts


def texts(*batches, name="texts"):
    return Texts(name, lambda: batches)


def counted(pieces, *rows):
    counts = Counts(np.zeros(pieces, dtype=np.int64))
    for row in rows:
        counts.add(row)
    return counts


def test_pieces_are_counted_with_the_special_tokens():
    tokenizer = tiny.make_tokenizer("bert")
    tokenizer.backend_tokenizer.enable_truncation(4)  # a file may ask for it
    counts = count_pieces([texts(["the cat and the dog", "a cat"], ["the owl"])], tokenizer)
    found = dict(zip(tokenizer.convert_ids_to_tokens(range(len(tokenizer))), counts.occurrences, strict=True))
    once = ["and", "dog", "a", "owl"]
    assert {piece: count for piece, count in found.items() if count} == {
        "[CLS]": 3, "[SEP]": 3, "the": 3, "cat": 2, **dict.fromkeys(once, 1)
    }  # fmt: skip
    assert counts.in_texts[tokenizer.convert_tokens_to_ids("the")] == 2 and counts.texts == 3


def test_words_that_are_split_already_are_read_as_such():
    tokenizer = tiny.make_tokenizer("bert")
    counts = count_pieces([texts([["the", "cat"], ["a"]])], tokenizer)
    assert counts.texts == 2 and counts.occurrences.sum() == 7


def test_an_origin_without_text_is_refused():
    with pytest.raises(DataError, match=r"mine\.txt: no text to read"):
        count_pieces([texts(["the"]), texts(name="mine.txt")], tiny.make_tokenizer("bert"))


@pytest.mark.parametrize("seed", range(5))
def test_what_to_expect_is_what_leaving_each_text_out_shows(seed):
    random_ = random.Random(seed)
    rows = [[int(30 * random_.random() ** 3) for _ in range(4)] for _ in range(25)]
    stay = set(random_.sample(range(30), 5))
    changed = []
    for number, row in enumerate(rows):
        others = {piece for other in rows[:number] + rows[number + 1 :] for piece in other}
        changed += [max(missing)] if (missing := set(row) - others - stay) else []
    assert sorted(counted(30, *rows).changes(stay)) == sorted(changed) != []


def test_as_few_common_pieces_stay_as_hold_the_share():
    # Pieces 5, 3, 7 and 8 are in one text each, of ten.
    counts = counted(10, [0, 5], [0, 3], [0, 7], [0, 8], *[[0, 1]] * 6)
    pieces = dict(enumerate(["x", "y", "[unused1]", *"abcdefg"]))
    assert common_pieces(counts, {0}, 1.0, pieces) == set()
    assert common_pieces(counts, {0}, 0.2, pieces) == {0, 1, 3, 4, 5}
    assert common_pieces(counts, {0}, 0.29, pieces) == {0, 1, 3, 4, 5}
    assert common_pieces(counts, {0}, 0.3, pieces) == {0, 1, 3}
    assert common_pieces(counts, {8}, 0.1, pieces) == {0, 1, 3, 4, 5}
    assert common_pieces(counts, set(), 0.05, pieces) == {0, 1, 3, 4, 5, 6, 7, 8}
