import math

import pytest

from pocketbert.measure.comparison import Report, average, check_gates, read_curve
from pocketbert.measure.results import Interval, Ratio, Size
from pocketbert.measure.wording import describe_gate
from pocketbert.recipe import Gates


def with_kept(task, name: str, value: float | None, low: float | None = None, high: float | None = None):
    interval = None if low is None else Interval(low=low, high=high)
    ratio = Ratio(value=value, interval=interval, reason=None if interval else "why")
    return task.model_copy(update={"name": name, "kept": ratio})


def kept(task) -> Ratio:
    return task.kept


@pytest.fixture
def task(report):
    return report.tasks[0]


def test_the_average_of_one_task_is_the_task(task):
    found = average([task], kept)
    assert found.value == pytest.approx(task.kept.value)
    assert found.interval.low == pytest.approx(task.kept.interval.low)
    assert found.interval.high == pytest.approx(task.kept.interval.high)


def test_intervals_of_tasks_add_in_squares(task):
    found = average([with_kept(task, "a", 0.9, 0.87, 0.94), with_kept(task, "b", 1.0, 0.96, 1.03)], kept)
    assert found.value == pytest.approx(0.95)
    assert found.interval.low == pytest.approx(0.95 - 0.05 / 2)
    assert found.interval.high == pytest.approx(0.95 + 0.05 / 2)


def test_repeats_count_as_one_task_and_do_not_narrow_it(task):
    repeats = [with_kept(task, "a", 0.9, 0.8, 1.0), with_kept(task, "a", 0.8, 0.7, 0.9)]
    found = average([*repeats, with_kept(task, "b", 1.0, 1.0, 1.0)], kept)
    assert found.value == pytest.approx((0.85 + 1.0) / 2)
    assert found.interval.low == pytest.approx(0.925 - 0.05)


def test_a_task_without_a_value_leaves_none_for_the_average(task):
    found = average([task, with_kept(task, "b", None)], kept)
    assert (found.value, found.interval, found.reason) == (None, None, "why")


def test_a_task_without_an_interval_leaves_the_mean(task):
    found = average([with_kept(task, "a", 0.9, 0.8, 1.0), with_kept(task, "b", 0.8)], kept)
    assert found.value == pytest.approx(0.85)
    assert (found.interval, found.reason) == (None, "why")


def test_no_task_has_no_average():
    assert average([], kept).value is None


def test_gates_compare_with_what_was_measured(report):
    gates = Gates(kept=0.97, smaller=0.5, faster=1.93)
    found = {gate.name: gate for gate in check_gates(gates, report)}
    assert list(found) == ["kept", "smaller", "faster"]
    assert found["kept"].measured == pytest.approx(0.91 / 0.9275)
    assert found["kept"].passed
    assert found["smaller"].measured == pytest.approx(1 - 267_844 / 437_960)
    assert not found["smaller"].passed
    assert found["faster"].measured == found["faster"].limit
    assert found["faster"].passed


def test_only_gates_that_were_set_are_checked(report):
    assert [gate.name for gate in check_gates(Gates(faster=1.0), report)] == ["faster"]
    assert check_gates(Gates(), report) == []


def test_a_gate_that_was_not_measured_has_not_passed():
    found = check_gates(Gates(kept=0.1, smaller=0.1, faster=0.1), Report(name="empty"))
    assert [(gate.measured, gate.passed) for gate in found] == [(None, False)] * 3


def test_hidden_tokens_are_not_judged_beside_a_task(task):
    text = with_kept(task, "text", 0.2, 0.1, 0.3).model_copy(update={"task": "masked_lm"})
    rows = with_kept(task, "rows", 0.99, 0.98, 1.0)
    assert Report(name="x", tasks=[text, rows]).kept.value == 0.99
    assert Report(name="x", tasks=[text]).kept.value == 0.2


def test_a_larger_student_is_smaller_by_less_than_nothing():
    sizes = {"teacher": Size(parameters=1, bytes=100), "student": Size(parameters=2, bytes=150)}
    assert Report(name="x", sizes=sizes).smaller == pytest.approx(-0.5)


def test_a_report_reads_back_as_it_was_written(report, tmp_path):
    path = tmp_path / "new" / "report.json"
    report.to_json(path)
    assert Report.model_validate_json(path.read_bytes()) == report
    assert [file.name for file in path.parent.iterdir()] == ["report.json"]


def test_results_refuse_what_json_cannot_say():
    with pytest.raises(ValueError, match="finite"):
        Interval(low=math.nan, high=1.0)


def test_a_curve_is_read_by_rising_step(tmp_path):
    log = tmp_path / "log.jsonl"
    log.write_text(
        '{"step": 10, "loss": 2.0, "learning_rate": 0.1, "tokens_per_second": 9}\n'
        '{"step": 20, "loss": 1.5}\n'
        '{"step": 20, "eval_score": 0.5, "eval_loss": 1.0}\n'
        '{"step": 30, "lo'  # killed here, and resumed from step 10
        '{"step": 20, "loss": 1.25}\n'
        '{"step": 20, "loss": 1.125}\n'
        '{"step": 30, "loss": NaN}\n'
        '"done"\n\n'
    )
    curve = read_curve("distill", log)
    assert curve.stage == "distill"
    assert [point.model_dump(exclude_none=True) for point in curve.points] == [
        {"step": 10, "loss": 2.0, "learning_rate": 0.1},
        {"step": 20, "loss": 1.125, "eval_score": 0.5, "eval_loss": 1.0},
        {"step": 30},
    ]


def test_nothing_is_kept_of_a_teacher_that_has_learnt_nothing(report):
    task = report.tasks[0].model_copy(
        update={"kept_above_majority": Ratio(reason="the teacher is not better than the majority class")}
    )
    (gate,) = check_gates(Gates(kept=0.5), report.model_copy(update={"tasks": [task]}))
    assert (gate.measured, gate.passed) == (None, False)
    assert describe_gate(gate).endswith(": the teacher is not better than the majority class")
