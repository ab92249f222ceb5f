r"""Which method teaches a task best: every published one, the default, soft targets alone and labels alone.

    python benchmarks/methods.py --base runs/teacher/02-distill --out runs/results \
        --pair-base runs/pairs/01-finetune --pair-student runs/pairs/02-distill

Each teaches the same student, from the same start, for as many passes over the rows, by one teacher a task: that of
``benchmarks/results.py``, taken from there or made here. ``--narrow`` gives the student half the width, and so random
weights to start from. The checkpoint, and the way that is named the best, are chosen on validation rows; reported are
the published dev or test rows, which nothing is chosen by. It can be stopped and run again.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from transformers import AutoConfig

import results as tasks
from common import call, console, markdown_table, print_table, write_result
from pocketbert import pipeline
from pocketbert.distill.matching import Comparison, Matching, Models, Shape
from pocketbert.distill.methods import METHODS
from pocketbert.errors import PocketBertError
from pocketbert.files import write_atomically
from pocketbert.measure.wording import duration
from pocketbert.recipe import Data, DistillStage, FinetuneStage, Losses, MethodName, Student

Ways = dict[str, dict[str, Any]]
"""Options of the stage that teaches, by what a row of the table is called."""
Row = dict[str, Any]

PLAIN: Ways = {
    "labels alone": {"losses": Losses(labels=1.0)},
    "soft targets alone": {"losses": Losses(soft_targets=1.0)},
    "default": {},
}
SHORT = ("labels alone", "default", "minilmv2", "pkd")


@dataclass(frozen=True)
class Lesson:
    """What the students of a task share.

    Attributes:
        data: its rows.
        teacher: the model directory of its teacher.
        score: of the teacher, on the reported rows.
        student: shape and start.
        setting: length and rates.
        folder: where the students go.
    """

    data: Data
    teacher: str
    score: float
    student: Student
    setting: tasks.Setting
    folder: Path


def main() -> None:
    """Teach by each method; write ``methods.md`` and ``methods.json`` (``-narrow``) into the output folder."""
    flags = _flags()
    settings = tasks.SHORT if flags.short else {name: tasks.SETTINGS[name] for name in flags.tasks}
    base = tasks.short_base(flags.out) if flags.short else flags.base
    if base is None:
        raise PocketBertError("--base is missing: a pretrained model directory; `pocketbert pretrain` makes one")
    ways = PLAIN | {name: {"method": name} for name in METHODS}
    rows: list[Row] = []
    for task, setting in settings.items():
        lesson = _prepare(task, setting, base, flags)
        rows.append({"task": task, "way": "teacher", "seed": 0, "score": lesson.score})
        for way in SHORT if flags.short else ways:
            rows += _teach_by(task, way, ways[way], lesson, flags)
            _write(rows, list(settings), flags)
    print_table("scores of the published rows, mean ± deviation", *_table(rows, list(settings)))


def _flags() -> argparse.Namespace:
    parser = tasks.make_task_parser(__doc__ or "", ["SST-2", "STS-B", "SNIPS-slots"])
    parser.add_argument("--epochs", type=float, metavar="N", help="of each student; those of results.py when absent")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], metavar="N", help="of the students")
    parser.add_argument("--narrow", action="store_true", help="students of half the width, from random weights")
    flags = parser.parse_args()
    if flags.short:
        flags.out, flags.seeds = flags.out / "short", flags.seeds[:2]
    return flags


def _prepare(task: str, setting: tasks.Setting, base: str, flags: argparse.Namespace) -> Lesson:
    recipe = tasks.make_recipe(task, setting, 0, base, flags)
    finetuning = recipe.stages[0].options
    if not isinstance(finetuning, FinetuneStage) or recipe.data is None or recipe.teacher is None:
        raise PocketBertError(f"methods: the first stage of {task} fine-tunes its teacher")
    console.rule(f"{task}: teacher", align="left")
    folder = Path(recipe.output or "")
    teacher = folder / "01-finetune"
    pipeline.finetune(finetuning, recipe.teacher.model, teacher, recipe.data, console=console, replace=True)
    score = pipeline.evaluate(str(teacher), recipe.data, console=console).score
    student = _narrow(str(teacher)) if flags.narrow else recipe.student
    return Lesson(recipe.data, str(teacher), score, student, setting, folder / _name(flags))


def _narrow(teacher: str) -> Student:
    """Half the layers and half the width, in as many heads."""
    shape = Shape.of(AutoConfig.from_pretrained(teacher))
    return Student(layers=shape.layers // 2, hidden_size=shape.width // 2, feed_forward=2 * shape.width, init="none")


def _teach_by(task: str, way: str, how: dict[str, Any], lesson: Lesson, flags: argparse.Namespace) -> list[Row]:
    reason = _unfit(how.get("method"), lesson) if flags.narrow else None
    if reason:
        console.print(f"{task}: {way} is left out: {reason}", highlight=False)
        return []
    rows = []
    for seed in flags.seeds:
        console.rule(f"{task}: {way}, seed {seed}", align="left")
        rows.append({"task": task, "way": way, "seed": seed, **_teach(way, how, seed, lesson, flags)})
    return rows


def _unfit(name: MethodName | None, lesson: Lesson) -> str | None:
    """Why a method cannot compare a narrow student with its teacher; None where it can."""
    if name is None:
        return None
    method, teacher = METHODS[name], Shape.of(AutoConfig.from_pretrained(lesson.teacher))
    student = Shape(teacher.layers // 2, teacher.width // 2, teacher.heads)
    how = Comparison(method.layer_map)
    try:
        for phase in method.rows:
            Matching(phase.losses, Models(student, teacher), how)
    except PocketBertError as error:
        return str(error)
    return None


def _teach(way: str, how: dict[str, Any], seed: int, lesson: Lesson, flags: argparse.Namespace) -> Row:
    setting = lesson.setting
    options = DistillStage(
        **how,
        epochs=flags.epochs or setting.student_epochs,
        batch_size=setting.batch_size,
        learning_rate=setting.learning_rate,
        dropout=tasks.DROPOUT,
        seed=seed,
    )
    output = lesson.folder / f"{way.replace(' ', '-')}-{seed}"
    made = pipeline.distill(options, lesson.teacher, lesson.student, output, lesson.data, console=console, replace=True)
    return {
        "score": pipeline.evaluate(str(output), lesson.data, console=console).score,
        "validation": made.metrics["best_score"],
        "steps": made.metrics["steps"],
        "seconds": made.metrics["seconds"],
    }


def _name(flags: argparse.Namespace) -> str:
    return "methods-narrow" if flags.narrow else "methods"


def _write(rows: Sequence[Row], names: Sequence[str], flags: argparse.Namespace) -> None:
    path = flags.out / f"{_name(flags)}.md"
    write_atomically(path, markdown_table(*_table(rows, names)) + "\n")
    best = max((way for way in _ways(rows) if way != "teacher"), key=lambda way: _mean(way, "validation", rows))
    told = f"mean score of the best on validation rows: {best}"
    for file in {path.with_suffix(".json"), flags.json} - {None}:
        write_result(file, _name(flags), _mean(best, "score", rows), told, rows)


def _table(rows: Sequence[Row], names: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    header = ["taught by", *names, "mean", "mean of validation rows", "training of a student, mean"]
    return header, [[way, *_cells(way, rows, names)] for way in _ways(rows)]


def _cells(way: str, rows: Sequence[Row], names: Sequence[str]) -> list[str]:
    own = [row for row in rows if row["way"] == way]
    reported, chosen_on = (
        [[row[kind] for row in own if row["task"] == name and kind in row] for name in names]
        for kind in ("score", "validation")
    )
    seconds = [row["seconds"] for row in own if "seconds" in row]
    means = [_spread(_means(reported)), _spread(_means(chosen_on))]
    return [*map(_spread, reported), *means, duration(fmean(seconds)) if seconds else "–"]


def _means(of_tasks: Sequence[Sequence[float]]) -> list[float]:
    """Over the tasks, seed by seed, so that their deviation is that of the mean; none where a task is missing."""
    return [fmean(scores) for scores in zip(*of_tasks, strict=True)] if all(of_tasks) else []


def _spread(scores: Sequence[float]) -> str:
    if not scores:
        return "–"
    return f"{fmean(scores):.4f}" + (f" ± {stdev(scores):.4f}" if len(scores) > 1 else "")


def _ways(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(row["way"] for row in rows))


def _mean(way: str, kind: str, rows: Sequence[Row]) -> float:
    return fmean(row[kind] for row in rows if row["way"] == way)


if __name__ == "__main__":
    call(main)
