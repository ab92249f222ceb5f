import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pocketbert.tasks.windows import (
    CLASSIFIER,
    LONGEST_ANSWER,
    OUTSIDE,
    answer_tokens,
    best_span,
    classifier_position,
    context_places,
)

# [CLS] who [SEP] the cat sat [SEP], of "the cat sat"
PLACES = np.array([[-2, -2], [-1, -1], [-1, -1], [0, 3], [4, 7], [8, 11], [-1, -1]], dtype=np.int32)


def test_places_of_tokens(wordpiece):
    encoding = wordpiece(["who"], ["the cat sat"]).encodings[0]
    assert context_places(encoding, wordpiece.cls_token_id).tolist() == PLACES.tolist()
    assert (CLASSIFIER, OUTSIDE) == (-2, -1)


def test_the_classifier_token_is_looked_up(classifier_last):
    encoding = classifier_last(["who"], ["the cat"]).encodings[0]
    assert classifier_position(context_places(encoding, classifier_last.cls_token_id)) == 5
    assert classifier_position(context_places(encoding, None)) == 0


@pytest.mark.parametrize(
    ("start", "end", "tokens"),
    [
        (0, 3, (3, 3)),
        (4, 11, (4, 5)),
        (5, 6, (4, 4)),
        (0, 11, (3, 5)),
        (4, 12, None),
    ],
)
def test_tokens_of_an_answer(start, end, tokens):
    assert answer_tokens(PLACES, start, end) == tokens


def test_an_answer_before_the_window_is_not_in_it():
    window = PLACES.copy()
    window[3] = -1
    assert answer_tokens(window, 0, 7) is None
    assert answer_tokens(window, 4, 7) == (4, 4)
    assert answer_tokens(np.full((4, 2), -1, dtype=np.int32), 0, 3) is None


def test_several_tokens_of_one_character():
    places = np.array([[-2, -2], [0, 1], [0, 1], [0, 1], [1, 3]], dtype=np.int32)
    assert answer_tokens(places, 0, 1) == (1, 3)


def test_the_best_span_lies_in_the_context_and_runs_forward():
    logits = np.array([[9, 9], [9, 9], [0, 0], [1, 5], [3, 1], [0, 2], [9, 9]], dtype=np.float32)
    # Starts 1, 3, 0 and ends 5, 1, 2 of the three words: the to the 6, cat to sat 5.
    assert best_span(logits, PLACES) == (6.0, 0, 3)


def test_no_context_no_span():
    assert best_span(np.ones((2, 2), dtype=np.float32), np.full((2, 2), -1, dtype=np.int32))[0] == -np.inf


@settings(max_examples=60, deadline=None)
@given(
    logits=arrays(np.float32, st.tuples(st.integers(2, 70), st.just(2)), elements=st.integers(-40, 40)),
    question=st.integers(0, 3),
)
def test_the_best_span_is_the_best_of_all(logits, question):
    tokens = len(logits)
    places = np.array([[3 * token, 3 * token + 2] for token in range(tokens)], dtype=np.int32)
    places[:question] = -1
    sums = [
        logits[first, 0] + logits[last, 1]
        for first in range(question, tokens)
        for last in range(first, min(first + LONGEST_ANSWER, tokens))
    ]
    score, start, end = best_span(logits, places)
    assert score == max(sums, default=-np.inf)
    if sums:
        assert score == logits[start // 3, 0] + logits[(end - 2) // 3, 1]
        assert start < end
