"""The step ``table``: what was learnt so far, as Markdown and JSON, beside the paper's own figures."""

from typing import Any

from bases import START
from common import console, markdown_table, print_table, write_result
from learnt import WAYS, Column, Learnt, Pick
from lessons import missing
from plan import PAIRS, TEACHER, Plan
from pocketbert.errors import PocketBertError
from pocketbert.files import write_atomically
from pocketbert.machine import describe_machine
from pocketbert.manifest import read_manifest
from pocketbert.measure.wording import count, describe_ratio, describe_training, duration, file_size, percent, score
from result_tables import Rows, kept, kept_above_majority
from results import describe
from settings import PAPER, PAPER_DISTILLED, PAPER_GLUE

_BULKY: Any = {"distilled": {"confusion", "labels"}, "alone": {"confusion", "labels"}}


def write_tables(plan: Plan) -> None:
    """Write ``reproduce.md`` and ``reproduce.json`` into the folder of the run; nothing is trained.

    Raises:
        PocketBertError: no task was learnt by all students yet.
    """
    learnt = Learnt.of(plan)
    if not learnt.tasks:
        raise PocketBertError(f"{plan.out}: no task was learnt by every student yet; run the step tasks first")
    tables = {
        "Scores": _score_table(learnt),
        "Kept": _kept_table(learnt),
        "Kept above the majority class": _ratio_table(learnt, kept_above_majority),
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
    """Means over the seeds of each task, and of these over GLUE and over all tasks."""
    header = ["task", "decided by", "rows", "seeds", "majority class", "teacher", *map(_title, learnt.columns)]
    rows = [[task, *_facts(learnt, task), *map(score, learnt.scores([task]))] for task in learnt.tasks]
    means = [
        [f"{name}, mean of {len(tasks)}", "", "", "", *map(score, learnt.scores(tasks))]
        for name, tasks in learnt.groups.items()
    ]
    return header, rows + means


def _facts(learnt: Learnt, task: str) -> list[str]:
    own = learnt.comparisons(learnt.columns[0], [task])
    return [", ".join(own[0].deciding), f"{own[0].examples:,}", f"{len(own)}"]


def _ratio_table(learnt: Learnt, pick: Pick) -> Rows:
    """Shares of the teacher's score with their intervals: of each task, and means over those that are proven."""
    rows = [[task, *map(describe_ratio, learnt.ratios([task], pick))] for task in learnt.tasks]
    for name, tasks in learnt.groups.items():
        counted = learnt.proven(tasks)
        left_out = ", ".join(task for task in tasks if task not in counted)
        label = f"{name}, mean of {len(counted)}" + (f", without {left_out}" if left_out else "")
        rows.append([label, *map(describe_ratio, learnt.ratios(counted, pick))])
    return ["task", *map(_title, learnt.columns)], rows


def _kept_table(learnt: Learnt) -> Rows:
    """The same beside the paper, and in the last rows as the paper counts: the share of the mean score."""
    header, rows = _ratio_table(learnt, kept)
    for name, tasks in learnt.groups.items():
        _, teacher, *students = learnt.scores(tasks)
        shares = [percent(each / teacher) if teacher > 0 else "–" for each in students]
        rows.append([f"{name}, share of the mean score", *shares])
    columns = (PAPER | {"GLUE, share of the mean score": PAPER_GLUE}, PAPER_DISTILLED)
    told = [[*row, *(_share(figures.get(row[0])) for figures in columns)] for row in rows]
    return [*header, "paper, labels alone", "paper, distilled"], told


def _share(scores: tuple[float, float] | None) -> str:
    if scores is None:
        return "–"
    teacher, student = scores
    return f"{teacher:g} → {student:g}, {percent(student / teacher)}"


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
    left = missing(plan)
    return f"Not learnt yet: {'; '.join(map(str, left))}." if left else ""


def _write_json(plan: Plan, learnt: Learnt) -> None:
    first = learnt.columns[1]
    mean = learnt.ratios(learnt.proven(learnt.tasks), kept)[1].value
    rows = [
        {"task": unit.task, "seed": unit.seed, "student": unit.student, **lesson.model_dump(exclude=_BULKY)}
        for unit, lesson in learnt.lessons.items()
    ]
    for path in {plan.out / "reproduce.json", plan.json} - {None}:
        write_result(path, "reproduce", mean, f"mean share of the teacher's score kept: {_title(first)}", rows)
