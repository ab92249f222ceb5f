"""Quality: what the student kept of the teacher, with intervals from a paired bootstrap."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix

from pocketbert.errors import DataError
from pocketbert.measure.results import (
    Difference,
    Interval,
    McNemar,
    ModelScores,
    Ratio,
    Role,
    TaskComparison,
)
from pocketbert.tasks.base import Scoring

Scorer = Callable[[NDArray[np.int64]], float]

LARGEST_CONFUSION = 30
"""Labels beyond which a confusion matrix is no longer read by anyone."""

_SMALLEST_LEAD = 1e-9
"""A lead below this is rounding, and dividing by it is noise."""

_UNDEFINED_DRAWS = 0.05
"""Share of resamples without a ratio beyond which the ends of the interval would rest on the others alone."""


@dataclass(frozen=True, slots=True)
class _Scored:
    """A score on all examples, and on each resample: (resamples,)."""

    score: float
    draws: NDArray[np.float64]


def kept(teacher: float, student: float, floor: float = 0.0) -> float | None:
    """The student's score as a share of the teacher's, both counted from ``floor``.

    Returns:
        The share; None where the teacher is not above the floor, for then it has no meaning.
    """
    lead = teacher - floor
    return (student - floor) / lead if lead > _SMALLEST_LEAD else None


def draw_scores(
    scorers: Mapping[Role, Scorer], examples: int, resamples: int, seed: int
) -> dict[Role, NDArray[np.float64]]:
    """Score every model on the same resamples of the examples.

    Args:
        scorers: by role, the score as a function of example indices.
        examples: how many there are to draw from, with replacement.
        resamples: how many samples to draw.
        seed: of the generator.

    Returns:
        By role, scores of shape (resamples,); the same position is the same resample.
    """
    generator = np.random.default_rng(seed)
    draws: dict[Role, NDArray[np.float64]] = {role: np.empty(resamples) for role in scorers}
    for number in range(resamples):
        index = generator.integers(0, examples, examples)
        for role, scorer in scorers.items():
            draws[role][number] = scorer(index)
    return draws


def run_mcnemar(teacher: NDArray[np.bool_], student: NDArray[np.bool_]) -> McNemar:
    """McNemar's exact test on the examples that only one of both answers right.

    Args:
        teacher: (examples,) whether the teacher is right.
        student: (examples,) whether the student is right.
    """
    teacher_only = int(np.sum(teacher & ~student))
    student_only = int(np.sum(student & ~teacher))
    discordant = teacher_only + student_only
    p_value = float(binomtest(student_only, discordant).pvalue) if discordant else 1.0
    return McNemar(teacher_only=teacher_only, student_only=student_only, p_value=p_value)


def compare_predictions(
    task: Scoring,
    targets: Sequence[Any],
    teacher_predictions: Sequence[Any],
    student_predictions: Sequence[Any],
    without_teacher_predictions: Sequence[Any] | None,
    majority_predictions: Sequence[Any],
    *,
    resamples: int = 1000,
    seed: int = 0,
    name: str | None = None,
) -> TaskComparison:
    """Compare the answers of teacher, student and baselines on the same examples.

    Args:
        task: scores the answers.
        targets: (examples,) what is right, in the task's own form, as are all predictions.
        teacher_predictions: (examples,).
        student_predictions: (examples,).
        without_teacher_predictions: (examples,), or None where that student was not trained.
        majority_predictions: (examples,) the best constant answer.
        resamples: of the bootstrap.
        seed: of the bootstrap.
        name: of the data, for people; the task's name when absent.

    Raises:
        DataError: there is no example.
        ValueError: a model answered more or fewer examples than there are targets.
    """
    answers: dict[Role, Sequence[Any]] = {"teacher": teacher_predictions, "student": student_predictions}
    if without_teacher_predictions is not None:
        answers["without_teacher"] = without_teacher_predictions
    answers["majority"] = majority_predictions
    _check_counts(answers, len(targets))
    metrics = {role: task.score(predictions, targets) for role, predictions in answers.items()}
    scored = _score_all(task, targets, answers, metrics, resamples, seed)
    return TaskComparison(
        name=name or task.name,
        task=task.name,
        examples=len(targets),
        deciding=task.deciding,
        models={
            role: ModelScores(metrics=metrics[role], score=each.score, interval=_interval(each.draws))
            for role, each in scored.items()
        },
        kept=_measure_kept(scored),
        kept_above_majority=_measure_above_majority(scored),
        agreement=task.agreement(teacher_predictions, student_predictions),
        gain=_measure_gain(scored),
        mcnemar=_compare_right(task, targets, answers),
        labels=task.labels,
        confusion=_count_confusion(task, targets, answers),
    )


def _check_counts(answers: Mapping[Role, Sequence[Any]], examples: int) -> None:
    if not examples:
        raise DataError("there is no example to compare the models on; name rows with labels in data.test")
    for role, predictions in answers.items():
        if len(predictions) != examples:
            raise ValueError(f"{role}: {len(predictions)} predictions for {examples} targets")


def _score_all(
    task: Scoring,
    targets: Sequence[Any],
    answers: Mapping[Role, Sequence[Any]],
    metrics: Mapping[Role, Mapping[str, float]],
    resamples: int,
    seed: int,
) -> dict[Role, _Scored]:
    scorers = {role: task.scorer(predictions, targets) for role, predictions in answers.items()}
    draws = draw_scores(scorers, len(targets), resamples, seed)
    return {
        role: _Scored(float(np.mean([metrics[role][name] for name in task.deciding])), draws[role]) for role in answers
    }


def _interval(draws: NDArray[np.float64]) -> Interval:
    low, high = np.quantile(draws, [0.025, 0.975])
    return Interval(low=float(low), high=float(high))


def _measure_kept(scored: Mapping[Role, _Scored]) -> Ratio:
    teacher = scored["teacher"]
    zero = _Scored(0.0, np.zeros_like(teacher.draws))
    return _measure_ratio(teacher, scored["student"], zero, "the teacher's score is not above zero")


def _measure_above_majority(scored: Mapping[Role, _Scored]) -> Ratio:
    reason = "the teacher is not better than the majority class"
    return _measure_ratio(scored["teacher"], scored["student"], scored["majority"], reason)


def _measure_ratio(teacher: _Scored, student: _Scored, floor: _Scored, reason: str) -> Ratio:
    """The ratio with its interval; ``reason`` is said where the teacher is not above the floor."""
    value = kept(teacher.score, student.score, floor.score)
    if value is None:
        return Ratio(reason=reason)
    lead = teacher.draws - floor.draws
    defined = lead > _SMALLEST_LEAD
    undefined = 1.0 - float(np.mean(defined))
    if undefined > _UNDEFINED_DRAWS:
        return Ratio(value=value, reason=f"no interval: in {undefined:.0%} of the resamples {reason}")
    draws = (student.draws - floor.draws)[defined] / lead[defined]
    return Ratio(value=value, interval=_interval(draws))


def _measure_gain(scored: Mapping[Role, _Scored]) -> Difference | None:
    alone = scored.get("without_teacher")
    if alone is None:
        return None
    student = scored["student"]
    return Difference(value=student.score - alone.score, interval=_interval(student.draws - alone.draws))


def _compare_right(task: Scoring, targets: Sequence[Any], answers: Mapping[Role, Sequence[Any]]) -> McNemar | None:
    teacher = task.correct(answers["teacher"], targets)
    student = task.correct(answers["student"], targets)
    return None if teacher is None or student is None else run_mcnemar(teacher, student)


def _count_confusion(
    task: Scoring, targets: Sequence[Any], answers: Mapping[Role, Sequence[Any]]
) -> dict[Role, list[list[int]]]:
    if task.name != "classification" or task.labels is None or len(task.labels) > LARGEST_CONFUSION:
        return {}
    known = np.arange(len(task.labels))
    roles: tuple[Role, ...] = ("teacher", "student")
    return {role: confusion_matrix(targets, answers[role], labels=known).tolist() for role in roles}
