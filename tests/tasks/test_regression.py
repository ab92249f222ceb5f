import numpy as np
import pytest

from pocketbert.errors import DataError


def test_numbers_are_read_and_predicted(rows, make, wordpiece):
    task = make("regression", layout="stsb")
    data = rows({"text": "a", "pair": "b", "label": "2.5"}, {"text": "a", "pair": "b", "label": 4})
    task.fit(data)
    encoded = task.encode(task.examples(data), wordpiece)
    assert [feature["labels"] for feature in encoded.features] == [2.5, 4.0]
    assert task.decode([np.array([1.5], dtype=np.float32)] * 2, encoded) == [1.5, 1.5]
    assert task.majority([2.5, 4.0], encoded.examples) == [3.25, 3.25]
    assert task.model_fields()["num_labels"] == 1


@pytest.mark.parametrize("value", ["high", "nan", "inf", [1], {}])
def test_what_is_no_finite_number_is_refused(value, rows, make):
    task = make("regression", label="label")
    with pytest.raises(DataError, match=r"train.csv row 2: column 'label' (has .*not a finite number|is empty)"):
        task.examples(rows({"text": "a b", "label": 1}, {"text": "a b", "label": value}))


def test_correlations_by_hand(make):
    task = make("regression")
    scores = task.score([1.0, 2.0, 6.0], [1.0, 3.0, 2.0])
    # Deviations (-2, -1, 3) and (-1, 1, 0): covariance 1, norms √14 and √2; ranks (1, 2, 3) and (1, 3, 2).
    assert scores == {"pearson": pytest.approx(1 / 28**0.5), "spearman": pytest.approx(0.5)}
    assert task.correct([1.0], [1.0]) is None
    assert task.agreement([1.0, 2.0], [2.0, 4.0]) == pytest.approx(1.0)


@pytest.mark.parametrize("constant", [[2.0, 2.0, 2.0], [0.1 + 0.2] * 3])
def test_constant_predictions_score_zero(constant, make):
    assert make("regression").score(constant, [1.0, 2.0, 3.0]) == {"pearson": 0.0, "spearman": 0.0}


def test_the_quick_score_is_the_score(make):
    task = make("regression")
    generator = np.random.default_rng(0)
    found, true = generator.normal(size=50), generator.integers(0, 6, 50).astype(float)
    index = generator.integers(0, 50, 50)
    sample = task.score(found[index].tolist(), true[index].tolist())
    assert task.scorer(found.tolist(), true.tolist())(index) == pytest.approx(np.mean(list(sample.values())))
