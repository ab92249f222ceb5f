"""Numbers as a person reads them: the same words on the card and in the HTML report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pocketbert.measure.comparison import GateResult, Report
from pocketbert.measure.results import Difference, Interval, McNemar, Ratio, Spread, TaskComparison
from pocketbert.tasks.embedding import Embedding
from pocketbert.tasks.masked_lm import MaskedTokens
from pocketbert.tasks.regression import Regression
from pocketbert.tasks.token_classification import TokenClassification


class _Units(NamedTuple):
    """What the numbers of a task type count.

    Attributes:
        examples: what is drawn anew for the intervals.
        answers: what the same answer is a share of.
        right: what is right or wrong as a whole.
    """

    examples: str = "examples"
    answers: str = "examples"
    right: str = "examples"


_UNITS = {
    TokenClassification.name: _Units(answers="words"),
    MaskedTokens.name: _Units("blocks", "hidden tokens", "hidden tokens"),
}
"""The units of the task types whose answers have parts."""


@dataclass(frozen=True, slots=True)
class Promise:
    """One of the three things a run shows: what was kept, how much smaller, how much faster.

    Attributes:
        name: ``kept``, ``smaller`` or ``faster``.
        value: the number in large letters.
        meaning: what the number is a share or multiple of.
        details: lines beside it.
    """

    name: str
    value: str
    meaning: str
    details: list[str] = field(default_factory=list)


def promises(report: Report) -> list[Promise]:
    """The promises that this run has measured; those it has not are absent."""
    each = (_promise_kept(report), _promise_smaller(report), _promise_faster(report))
    return [promise for promise in each if promise is not None]


def percent(share: float) -> str:
    """``0.9781`` as ``97.8 %``."""
    return f"{100 * share:.1f} %"


def percent_range(interval: Interval) -> str:
    """An interval of shares as ``[96.1, 99.4]``, in percent."""
    return f"[{100 * interval.low:.1f}, {100 * interval.high:.1f}]"


def score(value: float) -> str:
    """A metric with four decimals, as papers print a hundredth of a percent."""
    return f"{value:.4f}"


def count(number: float) -> str:
    """``66955010`` as ``67.0 M``."""
    return _scaled(number, [(1e9, " G"), (1e6, " M"), (1e3, " k")])


def file_size(number: float) -> str:
    """``267832312`` as ``267.8 MB``; a kilobyte is 1000 bytes."""
    return _scaled(number, [(1e9, " GB"), (1e6, " MB"), (1e3, " kB"), (1, " B")])


def duration(seconds: float) -> str:
    """``372`` as ``6 min 12 s``."""
    hours, rest = divmod(round(seconds), 3600)
    minutes, left = divmod(rest, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {left} s" if minutes else f"{left} s"


def counted(number: int, noun: str) -> str:
    """``1 text``, ``8 texts``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def times(ratio: float) -> str:
    """``1.934`` as ``1.93 ×``."""
    return f"{ratio:.2f} ×"


def describe_ratio(ratio: Ratio) -> str:
    """A share with its interval, or the reason why it has none."""
    if ratio.value is None:
        return f"no value: {ratio.reason}"
    tail = percent_range(ratio.interval) if ratio.interval else f"({ratio.reason})"
    return f"{percent(ratio.value)} {tail}"


def describe_examples(task: TaskComparison) -> str:
    """``400 examples``, or what the examples of the task are called."""
    return f"{task.examples:,} {_units(task.task).examples}"


def describe_agreement(task: TaskComparison) -> str:
    """How often teacher and student say the same."""
    examples, units = describe_examples(task), _units(task.task)
    if task.task in (Regression.name, Embedding.name):
        return f"answers correlate {task.agreement:.3f} with the teacher's on {examples}"
    whole = examples if units.answers == units.examples else f"the {units.answers} of {examples}"
    return f"same answer as the teacher on {percent(task.agreement)} of {whole}"


def describe_mcnemar(test: McNemar, task: str) -> str:
    """The test in one sentence.

    Args:
        test: of teacher against student.
        task: the task type, which says what is counted.
    """
    odds = "p < 0.001" if test.p_value < 0.001 else f"p = {test.p_value:.3f}"
    return (
        f"only the teacher is right on {test.teacher_only:,} {_units(task).right}, "
        f"only the student on {test.student_only:,} (McNemar's test, {odds})"
    )


def describe_gain(gain: Difference) -> str:
    """What the teacher's signal was worth, in points of the score."""
    return (
        f"learning from the teacher, not from the labels alone, adds {100 * gain.value:+.1f} points "
        f"{percent_range(gain.interval)}"
    )


def describe_spread(spread: Spread) -> str:
    """``1.93 × (1.88 to 1.99 in this run)``."""
    return f"{times(spread.median)} ({spread.low:.2f} to {spread.high:.2f})"


def describe_training(metrics: Mapping[str, Any]) -> str:
    """How long a stage learnt and how far it came on its validation rows or text, from its manifest's metrics."""
    length = f"{metrics['steps']:,} steps in {duration(metrics['seconds'])}"
    if "validation_loss" in metrics:
        return f"{length}, validation loss {score(metrics['validation_loss'])}"
    return f"{length}, validation score {score(metrics['best_score'])}" if "best_score" in metrics else length


def describe_gate(gate: GateResult) -> str:
    """What a gate asked, what was measured, and by how much it holds or is missed."""
    show, unit = (times, " ×") if gate.name == "faster" else (percent, " points")
    asked = f"gate {gate.name}: at least {show(gate.limit)} asked"
    if gate.measured is None:
        return f"{asked}: {gate.reason}"
    margin = abs(gate.measured - gate.limit) * (1 if gate.name == "faster" else 100)
    verb = "holds" if gate.passed else "missed"
    return f"{asked}, {show(gate.measured)} measured: {verb} by {margin:.2f}{unit}"


def _units(task: str) -> _Units:
    return _UNITS.get(task, _Units())


def _promise_kept(report: Report) -> Promise | None:
    if not report.tasks:
        return None
    tasks = report.judged
    names = {task.name for task in tasks}
    kept = report.kept
    value = "no value" if kept.value is None else percent(kept.value)
    meaning = "of the teacher's score"
    if len(names) > 1:
        meaning += f", mean of {len(names)} tasks"
    elif len(tasks) > 1:
        meaning += f", mean of {len(tasks)} runs"
    details = [f"95 % interval {percent_range(kept.interval)}"] if kept.interval else []
    details += [kept.reason] if kept.reason else []
    details.append(f"above the majority class {describe_ratio(report.kept_above_majority)}")
    if len(names) == 1:
        details += [describe_agreement(task) for task in tasks]
    return Promise("kept", value, meaning, details)


def _promise_smaller(report: Report) -> Promise | None:
    if report.smaller is None:
        return None
    teacher, student = report.sizes["teacher"], report.sizes["student"]
    return Promise(
        "smaller",
        percent(abs(report.smaller)),
        "fewer bytes than the teacher" if report.smaller >= 0 else "more bytes than the teacher",
        [
            f"weights {file_size(teacher.bytes)} → {file_size(student.bytes)}",
            f"parameters {count(teacher.parameters)} → {count(student.parameters)}",
        ],
    )


def _promise_faster(report: Report) -> Promise | None:
    if report.speed is None or report.faster is None:
        return None
    speed = report.speed
    teacher, student = speed.models["teacher"], speed.models["student"]
    return Promise(
        "faster",
        times(report.faster.median),
        f"the teacher's throughput in batches of {speed.batch_size}",
        [
            f"{report.faster.low:.2f} to {report.faster.high:.2f} in {speed.throughput_rounds} paired rounds",
            f"one text at a time {describe_spread(speed.latency_ratio['student'])}",
            f"median latency {teacher.latency_p50:.1f} ms → {student.latency_p50:.1f} ms",
        ],
    )


def _scaled(number: float, units: Sequence[tuple[float, str]]) -> str:
    for size, unit in units:
        if number >= size:
            return f"{number / size:.1f}{unit}" if size > 1 else f"{number:.0f}{unit}"
    return f"{number:.0f}"
