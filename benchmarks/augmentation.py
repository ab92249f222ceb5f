r"""What unlabelled text and altered copies are worth where labels are few: the measurement behind docs/augmentation.md.

    python benchmarks/augmentation.py --base runs/teacher/02-distill --out runs/results \
        --pair-base runs/pairs/01-finetune --pair-student runs/pairs/02-distill

Of each task's published training rows some are labelled (--rows): a teacher is fine-tuned on them, and students learn
from that teacher for the same number of steps, from the same start, with and without more text. The same number of
other rows choose the checkpoint, and up to four times as many give the unlabelled text. Reported are the published dev
rows, which nothing is chosen by. It can be stopped and run again.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np

import results as tasks
from common import call, console, print_table, write_result
from pocketbert import pipeline
from pocketbert.data.glue import LAYOUTS
from pocketbert.data.records import Record
from pocketbert.data.sources import fingerprint, read_records
from pocketbert.errors import PocketBertError
from pocketbert.files import write_atomically
from pocketbert.recipe import Augment, Data, DistillStage, FinetuneStage, Student

PAIRS = tasks.SETTINGS["MRPC"]
SETTINGS = {
    "SST-2": replace(tasks.SETTINGS["SST-2"], teacher_epochs=4, batch_size=32),
    "CoLA": tasks.Setting(
        Data(task="classification", layout="cola", train=["glue/CoLA/train.tsv"], test=["glue/CoLA/dev.tsv"]),
        teacher_epochs=4,
        student_epochs=0,
    ),
    "MRPC": replace(PAIRS, teacher_epochs=4),
    "RTE": replace(
        PAIRS,
        data=Data(task="classification", layout="rte", train=["glue/RTE/train.tsv"], test=["glue/RTE/dev.tsv"]),
        teacher_epochs=4,
    ),
}
MOST = 4
"""Unlabelled rows for each labelled one, at most."""
ALONE = "labelled rows alone"


@dataclass(frozen=True)
class Kind:
    """What a student learns from beside the labelled rows.

    Attributes:
        augment: altered copies; the model that replaces words is filled in.
        unlabelled: whether also from unlabelled rows.
    """

    augment: Augment | None = None
    unlabelled: bool = False


def kinds(model: str) -> dict[str, Kind]:
    """What is compared, by name.

    Args:
        model: replaces words.
    """
    replacing = {"model": model, "replace": 0.2}
    return {
        ALONE: Kind(),
        "deletion": Kind(Augment(delete=0.1)),
        "mix": Kind(Augment(delete=0, mix=1.0)),
        "replacement": Kind(Augment(delete=0, **replacing)),
        "all three": Kind(Augment(delete=0.1, mix=0.25, **replacing)),
        "unlabelled rows": Kind(unlabelled=True),
        "unlabelled rows and all three": Kind(Augment(delete=0.1, mix=0.25, **replacing), unlabelled=True),
    }


def main() -> None:
    """Teach with each kind of text and print the scores of the dev rows."""
    flags = _flags()
    settings = tasks.SHORT if flags.short else {name: SETTINGS[name] for name in flags.tasks}
    base = tasks.short_base(flags.out) if flags.short else flags.base
    if base is None:
        raise PocketBertError("--base is missing: a pretrained model directory; `pocketbert pretrain` makes one")
    rows: list[dict[str, Any]] = []
    for task, setting in settings.items():
        lesson = _prepare(task, setting, base, flags)
        for name, kind in kinds(base).items():
            for seed in flags.seeds:
                console.rule(f"{task}: {name}, seed {seed}", align="left")
                rows.append({"task": task, "kind": name, "seed": seed, **_teach(lesson, name, kind, seed, flags)})
    _show(rows, list(settings))
    gain = _mean("all three", rows) - _mean(ALONE, rows)
    write_result(flags.json, "augmentation", gain, "dev score gained by all three alterations, mean of tasks", rows)


def _flags() -> argparse.Namespace:
    parser = tasks.make_task_parser(__doc__ or "", list(SETTINGS), SETTINGS)
    parser.add_argument("--rows", type=int, default=1000, metavar="N", help="labelled training rows")
    parser.add_argument("--passes", type=int, default=15, metavar="N", help="over the labelled rows, or as many steps")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], metavar="N", help="of the students")
    flags = parser.parse_args()
    if flags.short:
        flags.out, flags.rows, flags.passes, flags.seeds = flags.out / "short", 60, 1, flags.seeds[:1]
    return flags


@dataclass(frozen=True)
class Lesson:
    """What the students of a task share.

    Attributes:
        data: labelled, validation, unlabelled and dev rows.
        teacher: of the task.
        teacher_score: its dev score.
        student: the shape, or what it starts from.
        setting: rates.
        folder: of the task.
    """

    data: Data
    teacher: str
    teacher_score: float
    student: Student
    setting: tasks.Setting
    folder: Path


def _prepare(task: str, setting: tasks.Setting, base: str, flags: argparse.Namespace) -> Lesson:
    recipe = tasks.make_recipe(task, setting, 0, base, flags)
    folder = flags.out / "augmentation" / f"{task}-{flags.rows}"
    if recipe.data is None or recipe.teacher is None:
        raise PocketBertError(f"augmentation: {task} has no rows or no base")
    data = _split(recipe.data, folder, flags.rows)
    finetuning = recipe.stages[0].options
    if not isinstance(finetuning, FinetuneStage):
        raise PocketBertError(f"augmentation: the first stage of {task} fine-tunes its teacher")
    console.rule(f"{task}: teacher", align="left")
    teacher = folder / "teacher"
    pipeline.finetune(finetuning, recipe.teacher.model, teacher, data, console=console, replace=True)
    score = pipeline.evaluate(str(teacher), data, console=console).score
    return Lesson(data, str(teacher), score, recipe.student, setting, folder)


def _split(data: Data, folder: Path, rows: int) -> Data:
    """The rows of a task as files of their own, of labelled, validation, unlabelled and dev rows."""
    published = list(_plain(data, "train"))
    # In some files the rows of one source stand together.
    order = np.random.Generator(np.random.Philox(key=[0, len(published)])).permutation(len(published))
    shuffled = [published[number] for number in order]
    ends = [0, rows, 2 * rows, (2 + MOST) * rows]
    parts = {
        role: shuffled[start:end]
        for role, start, end in zip(("train", "validation", "unlabelled"), ends, ends[1:], strict=False)
    }
    for role, part in {**parts, "test": list(_plain(data, "test"))}.items():
        lines = [json.dumps(row if role != "unlabelled" else {**row, "label": None}) for row in part]
        write_atomically(folder / f"{role}.jsonl", "\n".join(lines) + "\n")
    layout = LAYOUTS.get(data.layout or "")
    return Data(
        task=data.task,
        text="text",
        pair="pair" if "pair" in shuffled[0] else None,
        label="label",
        labels=list(layout.labels) if layout and layout.labels else None,
        metric=list(layout.metrics) if layout else None,
        max_length=data.max_length,
        **{role: [str(folder / f"{role}.jsonl")] for role in (*parts, "test")},
    )


def _plain(data: Data, role: str) -> Iterator[dict[str, Any]]:
    records: Iterator[Record] = read_records(getattr(data, role), split=role, layout=data.layout)
    return (dict(record.values) for record in records)


def _teach(lesson: Lesson, name: str, kind: Kind, seed: int, flags: argparse.Namespace) -> dict[str, Any]:
    setting, data = lesson.setting, lesson.data
    options = DistillStage(
        steps=max(flags.passes * flags.rows // setting.batch_size, 1),
        batch_size=setting.batch_size,
        learning_rate=setting.learning_rate,
        dropout=tasks.DROPOUT,
        augment=kind.augment,
        seed=seed,
    )
    if not kind.unlabelled:
        data = data.model_copy(update={"unlabelled": None})
    output = lesson.folder / f"{name.replace(' ', '-')}-{seed}"
    made = pipeline.distill(options, lesson.teacher, lesson.student, output, data, console=console, replace=True)
    return {
        "teacher": lesson.teacher_score,
        "validation": float(made.metrics["best_score"]),
        "dev": pipeline.evaluate(str(output), data, console=console).score,
        "seconds": made.metrics["seconds"],
        "notes": [note for note in made.notes if note.startswith(("augmented", "rows"))],
        "data": fingerprint(data.train or []),
    }


def _show(rows: Sequence[dict[str, Any]], names: list[str]) -> None:
    teachers = {row["task"]: row["teacher"] for row in rows}
    table = [["teacher", *(f"{teachers[name]:.4f}" for name in names), f"{fmean(teachers.values()):.4f}"]]
    found = dict.fromkeys(row["kind"] for row in rows)
    table += [[kind, *(_cell(kind, name, rows) for name in names), f"{_mean(kind, rows):.4f}"] for kind in found]
    print_table("dev scores, mean ± deviation over the seeds", ["learnt from", *names, "mean"], table)


def _cell(kind: str, task: str, rows: Sequence[dict[str, Any]]) -> str:
    scores = [row["dev"] for row in rows if (row["kind"], row["task"]) == (kind, task)]
    return f"{fmean(scores):.4f}" + (f" ± {stdev(scores):.4f}" if len(scores) > 1 else "")


def _mean(kind: str, rows: Sequence[dict[str, Any]]) -> float:
    return fmean(row["dev"] for row in rows if row["kind"] == kind)


if __name__ == "__main__":
    call(main)
