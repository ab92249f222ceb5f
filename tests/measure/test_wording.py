import pytest

from pocketbert.measure.comparison import GateResult, Report
from pocketbert.measure.results import Interval, Ratio, Size
from pocketbert.measure.wording import (
    count,
    counted,
    describe_agreement,
    describe_examples,
    describe_gate,
    describe_mcnemar,
    describe_ratio,
    duration,
    file_size,
    promises,
)


@pytest.mark.parametrize(
    ("number", "expected"),
    [(999, "999"), (1500, "1.5 k"), (66_955_010, "67.0 M"), (2.5e9, "2.5 G"), (0, "0")],
)
def test_counts(number, expected):
    assert count(number) == expected


def test_nouns_are_in_their_number():
    assert [counted(number, "text") for number in (0, 1, 2)] == ["0 texts", "1 text", "2 texts"]


@pytest.mark.parametrize(("number", "expected"), [(12, "12 B"), (1200, "1.2 kB"), (267_832_312, "267.8 MB")])
def test_file_sizes(number, expected):
    assert file_size(number) == expected


@pytest.mark.parametrize(("seconds", "expected"), [(42.4, "42 s"), (372, "6 min 12 s"), (7320, "2 h 2 min")])
def test_durations(seconds, expected):
    assert duration(seconds) == expected


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [
        (Ratio(value=0.978, interval=Interval(low=0.961, high=1.0)), "97.8 % [96.1, 100.0]"),
        (Ratio(value=0.978, reason="few examples"), "97.8 % (few examples)"),
        (Ratio(reason="no lead"), "no value: no lead"),
    ],
)
def test_ratios(ratio, expected):
    assert describe_ratio(ratio) == expected


def test_a_larger_student_is_said_to_have_more_bytes():
    sizes = {"teacher": Size(parameters=1, bytes=100), "student": Size(parameters=2, bytes=150)}
    (promise,) = promises(Report(name="x", sizes=sizes))
    assert (promise.value, promise.meaning) == ("50.0 %", "more bytes than the teacher")


def test_numbers_agree_by_correlation(report):
    task = report.tasks[0].model_copy(update={"task": "regression", "agreement": 0.9812})
    assert describe_agreement(task) == "answers correlate 0.981 with the teacher's on 400 examples"


@pytest.mark.parametrize(
    ("task", "examples", "agreement", "right"),
    [
        ("classification", "1,400 examples", "91.6 % of 1,400 examples", "32 examples"),
        ("multi_label", "1,400 examples", "91.6 % of 1,400 examples", "32 examples"),
        ("question_answering", "1,400 examples", "91.6 % of 1,400 examples", "32 examples"),
        ("token_classification", "1,400 examples", "91.6 % of the words of 1,400 examples", "32 examples"),
        ("masked_lm", "1,400 blocks", "91.6 % of the hidden tokens of 1,400 blocks", "32 hidden tokens"),
    ],
)
def test_each_number_says_what_it_counts(report, task, examples, agreement, right):
    found = report.tasks[0].model_copy(update={"task": task, "agreement": 0.916, "examples": 1400})
    assert describe_examples(found) == examples
    assert describe_agreement(found) == f"same answer as the teacher on {agreement}"
    assert describe_mcnemar(found.mcnemar, task).startswith(f"only the teacher is right on {right}, only the student")


def test_an_unmeasured_gate_says_so():
    gate = GateResult(name="faster", limit=2.5, measured=None, passed=False)
    assert describe_gate(gate) == "gate faster: at least 2.50 × asked: not measured in this run"
