import math

import numpy as np
import pytest
from scipy.stats import norm

from pocketbert.errors import DataError
from pocketbert.measure.results import TaskComparison
from pocketbert.measure.scores import compare_predictions, draw_scores, kept, run_mcnemar
from pocketbert.recipe import Data
from pocketbert.tasks.classification import Classification
from pocketbert.tasks.regression import Regression

BINARY = ["no", "yes"]


def classification(labels=BINARY, metric=None) -> Classification:
    return Classification(Data(task="classification", labels=list(labels), metric=metric))


def compare(targets, teacher, student, majority=None, alone=None, task=None, **options) -> TaskComparison:
    majority = np.zeros(len(targets), dtype=int) if majority is None else majority
    return compare_predictions(
        task or classification(), targets, teacher, student, alone, majority, resamples=300, **options
    )


def mean_of(values):
    return lambda index: float(np.mean(values[index]))


def test_kept_is_a_ratio_above_a_floor():
    assert kept(0.8, 0.6) == pytest.approx(0.75)
    assert kept(0.8, 0.6, floor=0.5) == pytest.approx(1 / 3)


@pytest.mark.parametrize(("teacher", "floor"), [(0.0, 0.0), (-0.1, 0.0), (0.5, 0.5), (0.4, 0.5)])
def test_kept_has_no_meaning_without_a_lead(teacher, floor):
    assert kept(teacher, 0.6, floor) is None


def test_interval_of_an_accuracy_is_the_normal_one():
    right = np.random.default_rng(0).random(1000) < 0.8
    draws = draw_scores({"teacher": mean_of(right)}, 1000, 2000, seed=1)["teacher"]
    share = right.mean()
    half = norm.ppf(0.975) * math.sqrt(share * (1 - share) / 1000)
    low, high = np.quantile(draws, [0.025, 0.975])
    assert low == pytest.approx(share - half, abs=0.003)
    assert high == pytest.approx(share + half, abs=0.003)


def test_interval_of_kept_is_that_of_the_delta_method():
    generator = np.random.default_rng(3)
    targets = generator.integers(0, 2, 2000)
    teacher = np.where(generator.random(2000) < 0.9, targets, 1 - targets)
    # The student copies the teacher on most examples, so that pairing matters.
    student = np.where(generator.random(2000) < 0.95, teacher, 1 - teacher)
    found = compare_predictions(
        classification(), targets, teacher, student, None, np.zeros(2000, dtype=int), resamples=2000
    ).kept
    t, s = (teacher == targets).astype(float), (student == targets).astype(float)
    ratio = s.mean() / t.mean()
    half = norm.ppf(0.975) * np.std(s - ratio * t) / t.mean() / math.sqrt(2000)
    assert found.value == pytest.approx(ratio)
    assert found.interval.low == pytest.approx(ratio - half, abs=0.002)
    assert found.interval.high == pytest.approx(ratio + half, abs=0.002)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    covered = 0
    for trial in range(200):
        values = np.random.default_rng(trial).random(120) < 0.7
        draws = draw_scores({"student": mean_of(values)}, 120, 200, seed=trial)["student"]
        low, high = np.quantile(draws, [0.025, 0.975])
        covered += low <= 0.7 <= high
    assert 0.90 <= covered / 200 <= 0.99


def test_identical_answers_keep_exactly_everything():
    targets = np.array([0, 1] * 50)
    teacher = targets.copy()
    teacher[:10] = 1 - teacher[:10]
    found = compare(targets, teacher, teacher)
    for ratio in (found.kept, found.kept_above_majority):
        assert (ratio.value, ratio.interval.low, ratio.interval.high) == (1.0, 1.0, 1.0)
    assert found.agreement == 1.0
    assert found.mcnemar.p_value == 1.0


def test_the_seed_decides_the_intervals():
    targets = np.array([0, 1] * 50)
    teacher, student = targets.copy(), targets.copy()
    teacher[:8], student[4:20] = 1 - teacher[:8], 1 - student[4:20]
    assert compare(targets, teacher, student, seed=4) == compare(targets, teacher, student, seed=4)
    assert compare(targets, teacher, student, seed=4).kept != compare(targets, teacher, student, seed=5).kept


def test_above_majority_rescores_the_majority_on_each_resample():
    # Half of the labels are the majority's: with its score held still at one half, a teacher that is always
    # right would lead by exactly one half on every resample, and a student's share would not move with it.
    targets = np.array([0] * 50 + [1] * 50)
    student = np.where(np.arange(100) < 75, targets, 0)
    found = compare(targets, targets, student)
    assert found.kept_above_majority.value == pytest.approx(0.5)
    generator = np.random.default_rng(0)
    expected = []
    for _ in range(300):
        index = generator.integers(0, 100, 100)
        floor = np.mean(targets[index] == 0)
        expected.append((np.mean(student[index] == targets[index]) - floor) / (1 - floor))
    low, high = np.quantile(expected, [0.025, 0.975])
    assert found.kept_above_majority.interval.low == pytest.approx(low)
    assert found.kept_above_majority.interval.high == pytest.approx(high)


@pytest.mark.parametrize("teacher_right", [0, 60])
def test_a_teacher_no_better_than_the_majority_says_so(teacher_right):
    targets = np.array([0] * 60 + [1] * 40)
    teacher = np.where(np.arange(100) < teacher_right, targets, 0 if teacher_right else 1 - targets)
    found = compare(targets, teacher, targets)
    assert found.kept_above_majority.value is None
    assert found.kept_above_majority.interval is None
    assert found.kept_above_majority.reason == "the teacher is not better than the majority class"
    assert "NaN" not in found.model_dump_json()


def test_a_lead_within_noise_gets_a_value_but_no_interval():
    targets = np.array([0] * 60 + [1] * 40)
    teacher = np.zeros(100, dtype=int)
    teacher[60:62], teacher[0] = 1, 1
    found = compare(targets, teacher, targets).kept_above_majority
    assert found.value == pytest.approx(40.0)
    assert found.interval is None
    assert "of the resamples the teacher is not better than the majority class" in found.reason


def test_a_teacher_without_correlation_keeps_nothing_to_compare():
    task = classification(metric=["matthews"])
    targets = np.array([0, 1] * 20)
    found = compare(targets, np.zeros(40, dtype=int), targets, task=task)
    assert found.kept.value is None
    assert found.kept.reason == "the teacher's score is not above zero"


@pytest.mark.parametrize(
    ("teacher_only", "student_only", "p_value"),
    # Two-sided sums of binomial coefficients by hand: 2·(C(10,0)+C(10,1)+C(10,2))/2^10, and 2·1/2^6.
    [(8, 2, 2 * (1 + 10 + 45) / 1024), (0, 6, 2 / 64), (3, 3, 1.0), (0, 0, 1.0)],
)
def test_mcnemar_against_numbers_by_hand(teacher_only, student_only, p_value):
    teacher = np.array([True] * teacher_only + [False] * student_only + [True, False])
    student = np.array([False] * teacher_only + [True] * student_only + [True, False])
    found = run_mcnemar(teacher, student)
    assert (found.teacher_only, found.student_only) == (teacher_only, student_only)
    assert found.p_value == pytest.approx(p_value)


def test_a_comparison_names_every_model_and_metric():
    targets = np.array([0, 1, 1, 0] * 10)
    student = np.array([0, 1, 0, 0] * 10)
    found = compare(targets, targets, student, alone=np.ones(40, dtype=int), name="mine")
    assert (found.name, found.task, found.examples, found.deciding) == (
        "mine",
        "classification",
        40,
        ["accuracy"],
    )
    assert list(found.models) == ["teacher", "student", "without_teacher", "majority"]
    assert found.models["student"].metrics["accuracy"] == found.models["student"].score == pytest.approx(0.75)
    assert found.models["student"].metrics["f1"] == pytest.approx(2 / 3)
    assert found.gain.value == pytest.approx(0.25)
    assert found.gain.interval.low < 0.25 < found.gain.interval.high
    assert found.confusion == {"teacher": [[20, 0], [0, 20]], "student": [[20, 0], [10, 10]]}
    assert TaskComparison.model_validate_json(found.model_dump_json()) == found


def test_without_a_second_student_there_is_no_gain():
    targets = np.array([0, 1] * 10)
    found = compare(targets, targets, targets)
    assert found.gain is None
    assert "without_teacher" not in found.models


def test_no_confusion_of_many_labels():
    targets = np.arange(31)
    found = compare(targets, targets, targets, task=classification([str(n) for n in range(31)]))
    assert found.confusion == {}


def test_regression_has_no_mcnemar_and_correlates():
    targets = np.random.default_rng(0).normal(size=80)
    teacher, student = targets + 0.1, 2 * targets
    task = Regression(Data(task="regression"))
    found = compare_predictions(task, targets, teacher, student, None, np.zeros(80), resamples=50)
    assert found.mcnemar is None
    assert found.agreement == pytest.approx(1.0)
    assert found.kept.value == pytest.approx(1.0)
    assert found.kept_above_majority.value == pytest.approx(1.0)


def test_nothing_to_compare_is_an_error():
    with pytest.raises(DataError, match="no example"):
        compare([], [], [])


def test_each_target_needs_an_answer():
    with pytest.raises(ValueError, match="student: 2 predictions for 3 targets"):
        compare([0, 1, 0], [0, 1, 0], [0, 1])
