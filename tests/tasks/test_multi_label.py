import numpy as np
import pytest

from pocketbert.errors import DataError

ROWS = [
    {"text": "a b", "label": "4,27"},
    {"text": "a b", "label": "27"},
    {"text": "a b", "label": ""},
    {"text": "a b", "label": [4, 5]},
    {"text": "a b", "label": 5},
]


def test_labels_come_separated_or_as_lists(rows, make):
    task = make("multi_label", label="label")
    task.fit(rows(*ROWS))
    assert task.labels == ["4", "5", "27"]
    targets = [example.target for example in task.examples(rows(*ROWS))]
    assert np.array(targets).tolist() == [[1, 0, 1], [0, 0, 1], [0, 0, 0], [1, 1, 0], [0, 1, 0]]
    assert {target.dtype for target in targets} == {np.dtype("float32")}


def test_another_separator(rows, make):
    task = make("multi_label", labels=["x", "y, z"], label_separator="|")
    (example,) = task.examples(rows({"text": "a b", "label": "y, z | x"}))
    assert example.target.tolist() == [1, 1]


def test_an_unknown_label_is_named(rows, make):
    task = make("multi_label", labels=["joy", "anger"])
    with pytest.raises(DataError, match=r"dev.tsv row 2: column 'label' has 'angr'.*did you mean 'anger'\?"):
        task.examples(rows({"text": "a", "label": "joy"}, {"text": "a", "label": "joy,angr"}, file="dev.tsv"))


def test_a_label_with_one_example_is_refused(rows, make):
    with pytest.raises(DataError, match=r"train.csv row 4: the label '5' has a single example"):
        make("multi_label", label="label").fit(rows(*ROWS[:4]))


def test_encoding_and_decoding(rows, make, wordpiece):
    task = make("multi_label", labels=["x", "y"])
    encoded = task.encode(task.examples(rows({"text": "a", "label": "y"})), wordpiece)
    assert encoded.features[0]["labels"].tolist() == [0, 1]
    (prediction,) = task.decode([np.array([-0.1, 0.1], dtype=np.float32)], encoded)
    assert prediction.tolist() == [False, True]
    assert task.model_fields()["problem_type"] == "multi_label_classification"


def test_scores_by_hand(make):
    task = make("multi_label", labels=["x", "y"])
    targets = [np.array(row, dtype=np.float32) for row in ([1, 0], [1, 1], [0, 0], [0, 1])]
    predictions = [np.array(row, dtype=bool) for row in ([1, 0], [1, 0], [0, 0], [1, 0])]
    # x: 2 right of 3 predicted and 2 true; y: none right, none predicted, 2 true.
    scores = task.score(predictions, targets)
    assert scores["micro_f1"] == pytest.approx(2 * 2 / (3 + 4))
    assert scores["macro_f1"] == pytest.approx((2 * 2 / (3 + 2) + 0) / 2)
    assert scores["accuracy"] == 0.5
    assert task.correct(predictions, targets).tolist() == [True, False, True, False]
    assert task.agreement(predictions, predictions[:2] + predictions[:2]) == 0.75


def test_majority_is_the_best_set_of_frequent_labels(make):
    task = make("multi_label", labels=["rare", "often", "half"])
    targets = [[0, 1, 1], [0, 1, 0], [0, 1, 1], [1, 0, 0]]
    # {often}: 2·3 / (4 + 6); {often, half}: 2·5 / (8 + 6); all: 2·6 / (12 + 6).
    (best, _) = task.majority([np.array(row, dtype=np.float32) for row in targets], [None, None])
    assert best.tolist() == [False, True, True]
