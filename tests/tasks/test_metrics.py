import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketbert.recipe import Data
from pocketbert.tasks.registry import make_task

CLASSES = 4
METRICS = ["accuracy", "macro_f1", "matthews"]


@st.composite
def labellings(draw, classes):
    size = draw(st.integers(1, 25))
    column = st.lists(st.integers(0, classes - 1), min_size=size, max_size=size)
    index = st.lists(st.integers(0, size - 1), min_size=1, max_size=30)
    return draw(column), draw(column), np.array(draw(index))


def check_sample(task, predictions, targets, index):
    sample = task.score([predictions[i] for i in index], [targets[i] for i in index])
    expected = np.mean([sample[name] for name in task.deciding])
    assert task.scorer(predictions, targets)(index) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("metric", METRICS)
@settings(max_examples=60, deadline=None)
@given(case=labellings(CLASSES))
def test_quick_classification_scores_equal_scikit_learn(metric, case):
    task = make_task(Data(task="classification", labels=list("abcd"), metric=[metric]))
    check_sample(task, *case)


@settings(max_examples=60, deadline=None)
@given(case=labellings(2))
def test_quick_binary_scores_equal_scikit_learn(case):
    task = make_task(Data(task="classification", labels=["no", "yes"], metric=["f1", "accuracy", "matthews"]))
    check_sample(task, *case)


@pytest.mark.parametrize("metric", ["micro_f1", "macro_f1", "accuracy"])
@settings(max_examples=60, deadline=None)
@given(case=labellings(8))
def test_quick_multi_label_scores_equal_scikit_learn(metric, case):
    predictions, targets, index = case
    task = make_task(Data(task="multi_label", labels=["x", "y", "z"], metric=[metric]))
    # The bits of a number below 8 are a set of three labels.
    found, true = (
        [np.array([number >> bit & 1 for bit in range(3)], dtype=np.float32) for number in numbers]
        for numbers in (predictions, targets)
    )
    check_sample(task, found, true, index)


def test_classification_scores_by_hand():
    task = make_task(Data(task="classification", labels=["no", "yes"]))
    # yes: 1 right, 2 predicted, 3 true; no: 1 right, 3 predicted, 2 true.
    scores = task.score([1, 1, 0, 0, 0], [1, 0, 1, 1, 0])
    assert scores["f1"] == pytest.approx(2 / 5)
    assert scores["macro_f1"] == pytest.approx((2 / 5 + 2 / 5) / 2)
    assert scores["matthews"] == pytest.approx((1 * 1 - 1 * 2) / (2 * 3 * 2 * 3) ** 0.5)


def test_three_classes_have_no_f1_of_one():
    task = make_task(Data(task="classification", labels=["a", "b", "c"]))
    assert set(task.score([0, 1, 2], [0, 1, 2])) == {"accuracy", "macro_f1", "matthews"}
