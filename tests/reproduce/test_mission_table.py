"""What the table makes of scores: shares, their means and intervals, and the paper's figures beside them."""

from importlib import import_module as module
from types import SimpleNamespace

import pytest

SPREAD = (-0.1, 0.0, 0.1)
"""How far resamples are off a score."""


def lesson_of(name, teacher, student, alone=None):
    """A lesson of which nothing but scores is known; the majority class has 0.2."""
    results = module("pocketbert.measure.results")
    interval = results.Interval(low=0.0, high=1.0)
    scored = {"teacher": teacher, "student": student, "without_teacher": student if alone is None else alone}
    scored["majority"] = 0.2
    compared = results.TaskComparison(
        name=name, task="classification", examples=9, deciding=["accuracy"], kept=results.Ratio(),
        kept_above_majority=results.Ratio(), agreement=0.5,
        models={role: results.ModelScores(metrics={}, score=each, interval=interval) for role, each in scored.items()},
    )  # fmt: skip
    draws = {role: [score + off for off in SPREAD] for role, score in scored.items()} | {"majority": [0.2] * 3}
    return module("lessons").Lesson(
        setting="", rows="", bases=[], distilled=compared, alone=compared, draws=draws, sizes={}, seconds=0.0
    )


def learnt_of(**scores):
    """What stands of some tasks, each with the scores of its seeds."""
    lessons = {
        module("plan").Unit(name, seed, "layers"): lesson_of(name, *each)
        for name, seeds in scores.items()
        for seed, each in enumerate(seeds)
    }
    return module("learnt").Learnt(lessons, list(scores), [("layers", "alone"), ("layers", "distilled")])


def test_means_are_of_shares_and_as_the_paper_counts_shares_of_means():
    learnt = learnt_of(CoLA=[(0.1, 0.2)], RTE=[(0.8, 0.4)], WNLI=[(0.6, 0.6)])
    _, rows = module("tables")._kept_table(learnt)
    told = {row[0]: row[1:] for row in rows}
    assert told["GLUE, mean of 2, without CoLA"][0].startswith("75.0 %")  # (1/2 + 1) / 2
    assert told["GLUE, share of the mean score of 3"][0].startswith("80.0 %")  # 1.2 / 1.5
    assert told["GLUE, mean of 2, without CoLA"][2:] == ["95.8 %", "–"]  # (59.9 / 69.3 + 56.3 / 53.5) / 2
    assert told["GLUE, share of the mean score of 3"][2] == "59.7 → 55.8, 93.5 %"
    assert told["RTE"][2:] == ["69.3 → 59.9, 86.4 %", "–"]


def test_a_teacher_that_is_above_the_majority_class_by_chance_is_not_proven():
    learnt = learnt_of(CoLA=[(0.25, 0.25)], RTE=[(0.35, 0.35)])
    assert [task for task in learnt.tasks if learnt.is_proven(task)] == ["RTE"]


def test_one_seed_that_failed_does_not_make_the_mean_of_a_task():
    """Shares are of the seeds' means; the mean of the seeds' shares would be 340 % here."""
    learnt = learnt_of(CoLA=[(0.4, 0.4), (0.02, 0.21), (0.4, 0.4), (0.4, 0.4), (0.4, 0.4)])
    kept = learnt.kept(("layers", "distilled"), ["CoLA"])
    assert kept.value == pytest.approx(1.81 / 1.62)
    assert learnt.teacher("CoLA").deviation == pytest.approx(0.17, abs=0.01)


def test_an_interval_covers_rows_and_seeds():
    one, two = (learnt_of(RTE=seeds).kept(("layers", "distilled"), ["RTE"]) for seeds in (
        [(0.8, 0.8)], [(0.8, 0.9), (0.8, 0.7)]))  # fmt: skip
    # The same rows are drawn for both models, so that one seed of the same score is always the same share.
    assert (one.value, one.interval.low, one.interval.high) == (1.0, 1.0, 1.0)
    assert two.value == pytest.approx(1.0) and two.interval.low < 1 < two.interval.high


def test_what_a_teacher_adds_is_a_difference_with_its_interval():
    _, rows = module("tables")._gain_table(SimpleNamespace(students=["layers"]), learnt_of(RTE=[(0.8, 0.7, 0.65)]))
    assert rows[0] == ["RTE", "+5.0 [5.0, 5.0]", "50.0 %", "50.0 %"]
