"""From inputs to windows: what is kept of them, what is cut, and what is no text."""

import random
import time
from dataclasses import replace

import numpy as np
import pytest

import pocketbert
from exported import exported
from pocketbert.engines.encoding import load_tokenizer
from pocketbert.errors import DataError
from pocketbert.inference.running import collate_windows, run_batch


def test_of_a_masked_language_model_only_the_gaps_are_kept():
    pipeline = pocketbert.load(exported("masked_lm"))
    (read,) = pipeline.read(["the [MASK] saw a [MASK]"], pipeline.options)
    (window,) = read.windows
    (kept,) = run_batch(pipeline.engine, [window])
    whole = pipeline.engine.run(collate_windows([replace(window, wanted=None)], pipeline.engine))
    assert window.wanted == [2, 5] and np.array_equal(kept, whole[0, [2, 5]])


WORDS = ["the", "cat", "dogs", "fine", "horse!", "barn.", "near", "unheard-of", "\u00e9t\u00e9", "x" * 120]


@pytest.mark.parametrize("family", ["bert", "roberta", "albert"])
def test_long_pairs_are_cut_as_the_tokenizer_cuts_them(family):
    pipeline = pocketbert.load(exported("classification", family))
    plain = load_tokenizer(exported("classification", family))
    plain.enable_truncation(pipeline.reader.max_length, strategy="longest_first")
    chosen = random.Random(0)
    for lengths in [(2, 90), (90, 2), (90, 90), (40, 200), (200, 200), (200, 15)]:
        pair = tuple("  ".join(chosen.choices(WORDS, k=length)) for length in lengths)
        (read,) = pipeline.read([pair], pipeline.options)
        expected = plain.encode(*pair)
        assert [window.ids for window in read.windows] == [expected.ids] and read.truncated
        assert read.windows[0].types == expected.type_ids


def test_very_long_pairs_take_no_more_than_their_length():
    pipeline = pocketbert.load(exported("classification"))
    text = "the cat sat " * 20_000  # 60,000 tokens: two of them have a million and a half of combinations
    started = time.monotonic()
    assert pipeline((text, text)).truncated
    assert pipeline((" " * 200_000, text)).truncated
    assert time.monotonic() - started < 30  # all combinations would not fit into memory


@pytest.mark.parametrize(
    ("task", "given"),
    [
        ("classification", "the \ud800 cat"),
        ("classification", ("the cat", "\udfff")),
        ("embedding", "the \ud800 cat"),
        ("masked_lm", "the [MASK] \ud800"),
        ("token_classification", "the \ud800 cat"),
        ("token_classification", ["the", "\ud800"]),
        ("question_answering", ("the \ud800?", "the cat")),
        ("question_answering", ("the cat?", "the \ud800")),
    ],
)
def test_half_a_character_is_no_text(task, given):
    with pytest.raises(DataError, match="half a character"):
        pocketbert.load(exported(task))(given)
