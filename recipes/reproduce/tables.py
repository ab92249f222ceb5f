"""The step ``table``: what was learnt so far, as Markdown and JSON, beside the paper's own figures."""

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from bases import START
from common import console, markdown_table, print_table, write_result
from learnt import WAYS, Column, Learnt, Scores
from lessons import missing
from plan import PAIRS, TEACHER, Plan
from pocketbert.errors import PocketBertError
from pocketbert.files import write_atomically
from pocketbert.machine import describe_machine
from pocketbert.manifest import read_manifest
from pocketbert.measure.wording import (
    count,
    describe_ratio,
    describe_training,
    duration,
    file_size,
    percent,
    percent_range,
    score,
)
from pocketbert.tasks.regression import Regression
from result_tables import Rows
from results import describe
from settings import PAPER, PAPER_DISTILLED

_BULKY: Any = {"draws": True, "distilled": {"confusion", "labels"}, "alone": {"confusion", "labels"}}


def write_tables(plan: Plan) -> None:
    """Write ``reproduce.md`` and ``reproduce.json`` into the folder of the run; nothing is trained.

    Raises:
        PocketBertError: no task was learnt by all students yet.
    """
    learnt = Learnt.of(plan)
    if not learnt.tasks:
        raise PocketBertError(
            f"{plan.out}: no task was learnt by every student yet ({', '.join(plan.students)}); run the step tasks "
            "first, or name by --students those that have learnt"
        )
    tables = {
        "Scores": _score_table(learnt),
        "Kept": _kept_table(learnt),
        "Kept above the majority class": _above_table(learnt),
        "What the teacher adds to the labels": _gain_table(plan, learnt),
        "Models": _model_table(plan),
    }
    parts = [f"Machine: {describe(describe_machine())}", _describe_size(learnt), _describe_missing(plan)]
    parts += [f"### {title}\n\n{markdown_table(*rows)}" for title, rows in tables.items()]
    write_atomically(plan.out / "reproduce.md", "\n\n".join(filter(None, parts)) + "\n")
    _write_json(plan, learnt)
    for title, rows in tables.items():
        print_table(title, *rows)
    console.print(_describe_missing(plan), highlight=False)
    console.print(f"{plan.out / 'reproduce.md'}", highlight=False)


def _score_table(learnt: Learnt) -> Rows:
    """Means over the seeds of each task with their standard deviation, and of these over GLUE and over all tasks."""
    header = ["task", "decided by", "rows", "seeds", "majority class", "teacher", *map(_title, learnt.columns)]
    rows = []
    for task in learnt.tasks:
        own = learnt.comparisons(learnt.columns[0], task)
        facts = [", ".join(own[0].deciding), f"{own[0].examples:,}", f"{len(own)}", score(learnt.majority(task).mean)]
        students = [learnt.student(column, task) for column in learnt.columns]
        rows.append([task, *facts, *map(_score, [learnt.teacher(task), *students])])
    for name, tasks in learnt.groups.items():
        means = [learnt.mean(column, tasks).mean for column in (None, *learnt.columns)]
        majority = fmean(learnt.majority(task).mean for task in tasks)
        rows.append([f"{name}, mean of {len(tasks)}", "", "", "", *map(score, [majority, *means])])
    return header, rows


def _score(scores: Scores) -> str:
    tail = "" if scores.deviation is None else f" ± {score(scores.deviation)}"
    return f"{score(scores.mean)}{tail}"


def _kept_table(learnt: Learnt) -> Rows:
    """Shares of the teacher's score beside the paper's: of each task, their mean, and as the paper counts."""
    rows = [[task, *_shares(learnt, [task]), *_of_paper([task])] for task in learnt.tasks]
    for name, tasks in learnt.groups.items():
        counted = [task for task in tasks if learnt.is_proven(task)]
        rows.append([_mean_of(name, tasks, counted), *_shares(learnt, counted), *_of_paper(counted)])
        shares = [describe_ratio(learnt.share_of_mean(column, tasks)) for column in learnt.columns]
        rows.append([f"{name}, share of the mean score of {len(tasks)}", *shares, *_of_paper(tasks, of_mean=True)])
    return ["task", *map(_title, learnt.columns), "paper, labels alone", "paper, distilled"], rows


def _above_table(learnt: Learnt) -> Rows:
    """The same above the majority class, which alone says what was learnt; of a teacher that is proven to be."""
    unproven = ["–" for _ in learnt.columns]
    rows = [
        [task, *(_shares(learnt, [task], above_majority=True) if learnt.is_proven(task) else unproven)]
        for task in learnt.tasks
    ]
    for name, tasks in learnt.groups.items():
        counted = [task for task in tasks if learnt.is_proven(task)]
        rows.append([_mean_of(name, tasks, counted), *_shares(learnt, counted, above_majority=True)])
    return ["task", *map(_title, learnt.columns)], rows


def _shares(learnt: Learnt, tasks: Sequence[str], above_majority: bool = False) -> list[str]:
    return [describe_ratio(learnt.kept(column, tasks, above_majority)) for column in learnt.columns]


def _mean_of(name: str, tasks: Sequence[str], counted: Sequence[str]) -> str:
    left_out = ", ".join(task for task in tasks if task not in counted)
    return f"{name}, mean of {len(counted)}" + (f", without {left_out}" if left_out else "")


def _of_paper(tasks: Sequence[str], of_mean: bool = False) -> list[str]:
    """The paper's figures for the same tasks, where it has all of them."""
    return [_paper(figures, tasks, of_mean) for figures in (PAPER, PAPER_DISTILLED)]


def _paper(figures: dict[str, tuple[float, float]], tasks: Sequence[str], of_mean: bool) -> str:
    own = [figures[task] for task in tasks if task in figures]
    if not own or len(own) < len(tasks):
        return "–"
    teacher, student = (fmean(each) for each in zip(*own, strict=True))
    if of_mean or len(own) == 1:
        return f"{teacher:.1f} → {student:.1f}, {percent(student / teacher)}"
    return percent(fmean(after / before for before, after in own))


def _gain_table(plan: Plan, learnt: Learnt) -> Rows:
    """What the teacher adds to the score by the labels alone, and how often a student says what its teacher does."""
    rows = []
    for task in learnt.tasks:
        same = [fmean(each.agreement for each in learnt.comparisons(column, task)) for column in learnt.columns]
        told = (
            "r = {:.3f}".format if learnt.comparisons(learnt.columns[0], task)[0].task == Regression.name else percent
        )
        rows.append([task, *_gains(plan, learnt, [task]), *map(told, same)])
    for name, tasks in learnt.groups.items():
        rows.append([f"{name}, mean of {len(tasks)}", *_gains(plan, learnt, tasks), *["" for _ in learnt.columns]])
    answers = [f"same answers: {_title(column)}" for column in learnt.columns]
    return ["task", *(f"{student}, points" for student in plan.students), *answers], rows


def _gains(plan: Plan, learnt: Learnt, tasks: Sequence[str]) -> list[str]:
    gains = [learnt.gain(student, tasks) for student in plan.students]
    return [f"{100 * gain.value:+.1f} {percent_range(gain.interval)}" for gain in gains]


def _title(column: Column) -> str:
    student, way = column
    return f"{student}, {WAYS[way]}"


def _model_table(plan: Plan) -> Rows:
    """How long each model of text learnt, and how far it came."""
    rows = []
    names = [START, TEACHER, *plan.students]
    for name, pairs in [(name, pairs) for pairs in (False, True) for name in names]:
        manifest = read_manifest(plan.model(name, pairs))
        if manifest is not None:
            rows.append([f"{name}, {PAIRS}" if pairs else name, _describe_learning(manifest.metrics)])
    return ["model", "learnt for"], rows


def _describe_learning(metrics: dict[str, Any]) -> str:
    if "steps" not in metrics:
        return "nothing learnt"
    if metrics.keys() & {"validation_loss", "best_score"}:
        return describe_training(metrics)
    return f"{metrics['steps']:,} steps in {duration(metrics['seconds'])}"


def _describe_size(learnt: Learnt) -> str:
    """Teacher and student, and what all the lessons took."""
    sizes = next(iter(learnt.lessons.values())).sizes
    parts = [f"{role} {count(size.parameters)} parameters, {file_size(size.bytes)}" for role, size in sizes.items()]
    taken = duration(sum(lesson.seconds for lesson in learnt.lessons.values()))
    return f"{'; '.join(parts)}. Training on tasks: {taken}, a teacher's counted for each of its students."


def _describe_missing(plan: Plan) -> str:
    """The seeds of each task that some student has not learnt."""
    left: dict[str, dict[int, None]] = {}
    for unit in missing(plan):
        left.setdefault(unit.task, {})[unit.seed] = None
    told = [
        f"{task} (seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))})" for task, seeds in left.items()
    ]
    return f"Not learnt yet: {'; '.join(told)}." if told else ""


def _write_json(plan: Plan, learnt: Learnt) -> None:
    first = learnt.columns[1]
    mean = learnt.kept(first, [task for task in learnt.tasks if learnt.is_proven(task)]).value
    rows = [
        {"task": unit.task, "seed": unit.seed, "student": unit.student, **lesson.model_dump(exclude=_BULKY)}
        for unit, lesson in learnt.lessons.items()
    ]
    for path in {plan.out / "reproduce.json", plan.json} - {None}:
        write_result(path, "reproduce", mean, f"mean share of the teacher's score kept: {_title(first)}", rows)
