"""Rows of which nobody says what is right: what they need, and how their features are marked."""

import numpy as np
import pytest

from pocketbert.data.records import IGNORED, UNKNOWN
from pocketbert.errors import DataError
from pocketbert.tasks.base import collate, join
from pocketbert.tasks.rows import read_unlabelled

TEXTS = ({"review": "the cat sat", "stars": "1"}, {"review": "a dog ran", "stars": "2"}) * 2
PAIRS = tuple({"text": "the cat", "pair": "a dog", "label": name} for name in "abab")
TAGGED = {"tokens": ["Rexa", "ran"], "tags": ["B-PER", "O"]}
QUESTION = {"question": "who ran ?", "context": "rex ran away", "answers": "rex"}


def encode(task, known, unlabelled, tokenizer):
    """Features of rows without a target, after the task has seen others with one."""
    task.fit(known)
    return task.encode(read_unlabelled(task, unlabelled), tokenizer)


def test_a_text_without_a_label_is_marked(rows, make, wordpiece):
    task = make("classification", text="review", label="stars")
    encoded = encode(task, rows(*TEXTS), rows({"review": "a cat ran"}, {"review": "a cat", "stars": "9"}), wordpiece)
    assert [feature["labels"] for feature in encoded.features] == [UNKNOWN, UNKNOWN]
    assert [example.target for example in encoded.examples] == [None, None]


def test_a_row_of_a_single_column_is_a_text_whatever_its_name(rows, make, wordpiece):
    task = make("classification", text="review", label="stars")
    encoded = encode(task, rows(*TEXTS), rows({"text": "a cat ran"}), wordpiece)
    assert encoded.examples[0].text == "a cat ran"
    with pytest.raises(DataError, match=r"more.csv row 1: no column 'review'; the row has text, id"):
        read_unlabelled(task, rows({"text": "a cat ran", "id": "7"}, file="more.csv"))


def test_floats_are_marked_by_nan(rows, make, wordpiece):
    known = rows(*TEXTS)
    number = encode(make("regression", text="review", label="stars"), known, known, wordpiece)
    assert np.isnan(collate(number.features, 0)["labels"]).all()
    several = encode(make("multi_label", text="review", label="stars"), known, known, wordpiece)
    labels = collate(several.features, 0)["labels"]
    assert labels.shape == (4, 2) and labels.dtype == np.float32 and np.isnan(labels).all()


def test_pairs_need_both_texts(rows, make, wordpiece):
    task = make("classification")
    encoded = encode(task, rows(*PAIRS), rows({"text": "a cat", "pair": "the dog"}), wordpiece)
    assert encoded.features[0]["labels"] == UNKNOWN and encoded.examples[0].pair == "the dog"
    with pytest.raises(DataError, match=r"train.csv row 1: no column 'pair'; the row has text"):
        read_unlabelled(task, rows({"text": "a cat"}))


@pytest.mark.parametrize("row", [{"tokens": ["rexa", "sat"]}, {"text": "rexa sat"}])
def test_the_first_piece_of_a_word_without_a_tag_is_marked(row, rows, make, wordpiece):
    encoded = encode(make("token_classification"), rows(TAGGED), rows(row), wordpiece)
    assert wordpiece.convert_ids_to_tokens(encoded.features[0]["input_ids"]) == ["[CLS]", "rex", "##a", "sat", "[SEP]"]
    assert encoded.features[0]["labels"] == [IGNORED, UNKNOWN, IGNORED, UNKNOWN, IGNORED]


def test_a_question_without_answers_is_not_one_that_has_none(rows, make, wordpiece):
    task = make("question_answering")
    encoded = encode(task, rows(QUESTION), rows({**QUESTION, "answers": None}), wordpiece)
    assert encoded.features[0]["labels"].tolist() == [UNKNOWN, UNKNOWN]
    assert not task.unanswerable
    with pytest.raises(DataError, match="no column 'question'; the row has text"):
        read_unlabelled(task, rows({"text": "rex ran away"}))


def test_bad_rows_go_by_the_policy(rows, make):
    task = make("classification", text="review", label="stars", on_error="skip")
    task.fit(rows(*TEXTS))
    found = read_unlabelled(task, rows({"review": ""}, {"review": "a cat"}))
    assert [example.text for example in found] == ["a cat"] and task.skipped.count == 1


def test_joined_rows_keep_their_examples(rows, make, wordpiece):
    task = make("question_answering", max_length=16, stride=2)
    long = {"question": "who ?", "context": "rex ran away . " * 8, "answers": "rex"}
    task.fit(rows(long))
    first, second = (task.encode(task.examples(rows(row)), wordpiece) for row in (long, QUESTION))
    both = join(first, second)
    assert len(both) == len(first) + 1 == len(both.places)
    assert both.example_of == [0] * len(first) + [1]
    assert [example.text for example in both.examples] == ["who ?", "who ran ?"]
