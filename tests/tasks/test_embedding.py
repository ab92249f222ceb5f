"""Embedding: texts to learn from, pairs to be scored on, cosines."""

import math

import numpy as np
import pytest
from scipy.spatial.distance import cosine

from pocketbert.errors import DataError, PocketBertError


def texts_of(examples):
    return [(example.text, example.pair, example.target) for example in examples]


@pytest.mark.parametrize(
    ("values", "fields", "expected"),
    [
        ({"line": "a cat"}, {}, ("a cat", None, None)),
        ({"text": "a cat", "label": "animal"}, {}, ("a cat", None, None)),
        ({"premise": "a cat", "hypothesis": "a dog", "label": "neutral"}, {}, ("a cat", "a dog", None)),
        ({"sentence1": "a cat", "sentence2": "a dog", "score": "2.5"}, {}, ("a cat", "a dog", 2.5)),
        ({"sentence1": "a cat", "sentence2": "a dog", "score": ""}, {}, ("a cat", "a dog", None)),
        # The columns of the scored rows are named; these have none of them.
        ({"text": "a cat"}, {"text": "first", "pair": "second", "label": "score"}, ("a cat", None, None)),
        ({"first": "a cat", "kind": "x"}, {"text": "first", "pair": "second", "label": "gold"}, ("a cat", None, None)),
    ],
)
def test_rows_to_learn_from_need_a_text_alone(rows, make, values, fields, expected):
    task, data = make("embedding", **fields), rows(values)
    task.fit(data)
    assert texts_of(task.examples(data)) == [expected]
    assert task.read_unlabelled(data[0]).text == "a cat"


def test_scored_rows_have_columns_of_their_own(rows, make):
    task, learnt = make("embedding"), rows({"text": "a cat"})
    scored = rows({"sentence1": "a cat", "sentence2": "a dog", "score": "4"}, file="dev.csv")
    task.fit(learnt)
    assert texts_of(task.scored_examples(scored)) == [("a cat", "a dog", 4.0)]
    assert texts_of(task.examples(learnt)) == [("a cat", None, None)]
    task.scored_examples(scored)
    assert task.notes == ["guessed columns: text='sentence1', pair='sentence2', label='score'"]


@pytest.mark.parametrize(
    ("values", "fields", "message"),
    [
        ({"text": "a cat", "label": "1"}, {}, "dev.csv: cannot tell which column is the pair; set pair: to one of"),
        ({"a": "a cat", "b": "c", "score": "1"}, {"text": "a"}, r"row 1: embedding is scored on pairs .*\(pair\)"),
        ({"sentence1": "a cat", "sentence2": "a dog", "score": "high"}, {}, "row 1: column 'score' has 'high', not a"),
        ({"sentence1": "a cat", "sentence2": "", "score": "1"}, {}, "row 1: column 'sentence2' is empty"),
    ],
)  # fmt: skip
def test_scored_rows_without_pair_or_number_are_refused(rows, make, values, fields, message):
    with pytest.raises(DataError, match=message):
        make("embedding", **fields).scored_examples(rows(values, file="dev.csv"))


def test_each_text_of_a_pair_is_read_by_itself(rows, make, wordpiece):
    task = make("embedding", max_length=8, on_error="skip")
    data = rows(
        {"text": "the cat sat", "pair": "a dog"},
        {"text": "the park", "pair": "a dog ran away from the park in paris"},
        {"text": "", "pair": "a dog"},
    )
    task.fit(data)
    encoded = task.encode(task.examples(data), wordpiece)
    own = [
        wordpiece(text, truncation=True, max_length=8)["input_ids"] for row in data[:2] for text in row.values.values()
    ]
    assert [feature["input_ids"] for feature in encoded.features] == own
    assert encoded.example_of == [0, 0, 1, 1] and encoded.truncated == 1 and task.skipped.count == 1
    assert all(math.isnan(feature["labels"]) for feature in encoded.features)


def test_a_pair_of_which_one_is_too_long_is_left_out_as_a_whole(rows, make, wordpiece):
    task = make("embedding", max_length=8, too_long="skip")
    data = rows(
        {"text": "a cat", "pair": "a dog ran away from the park in paris"}, {"text": "the mat", "pair": "a dog"}
    )
    task.fit(data)
    encoded = task.encode(task.examples(data), wordpiece)
    assert [example.text for example in encoded.examples] == ["the mat"] and encoded.example_of == [0, 0]


def test_a_prediction_is_the_cosine_of_a_pair(rows, make, wordpiece):
    task = make("embedding")
    data = rows({"text": "a cat", "pair": "a dog"}, {"text": "the mat", "pair": "the park"})
    task.fit(data)
    alone = task.read_unlabelled(rows({"text": "a cat"})[0])
    encoded = task.encode([*task.examples(data), alone], wordpiece)
    vectors = np.random.default_rng(0).normal(size=(5, 7)).astype(np.float32)
    vectors[3] = 0
    first, second, third = task.decode(list(vectors), encoded)
    assert first == pytest.approx(1 - cosine(vectors[0].astype(float), vectors[1].astype(float)))
    assert second == 0 and math.isnan(third)


def test_scores_are_correlations_and_a_constant_has_none(make):
    task = make("embedding")
    # Ranks (1, 2, 3) and (1, 3, 2).
    assert task.score([0.1, 0.2, 0.6], [1.0, 3.0, 2.0])["spearman"] == pytest.approx(0.5)
    assert task.deciding == ["spearman"]
    index = np.array([0, 2, 1])
    assert task.scorer([0.1, 0.2, 0.6], [1.0, 3.0, 2.0])(index) == pytest.approx(0.5)
    constant = task.majority([], [None] * 3)
    assert task.score(constant, [1.0, 3.0, 2.0]) == {"pearson": 0, "spearman": 0}
    assert task.correct([], []) is None and task.agreement([1, 2, 3], [2, 4, 6]) == pytest.approx(1)


def test_a_layout_of_similar_texts_is_taken_and_another_refused(make):
    assert make("embedding", layout="stsb").deciding == ["pearson", "spearman"]
    with pytest.raises(PocketBertError, match=r"sst2 is of the task classification; embedding is scored on pairs"):
        make("embedding", layout="sst2")
