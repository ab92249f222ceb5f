"""The step ``tasks``: every task is learnt by the teacher and by each general student, and the answers are compared.

A student learns twice from the same start: on the labels alone, and from the teacher. Its models go when the
comparison stands, for a whole run makes hundreds; those of the teachers stay.
"""

import json
import math
import shutil
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from common import console
from plan import TEACHER, Plan, Unit
from pocketbert import pipeline
from pocketbert.data.sources import fingerprint
from pocketbert.distill.learning import TASK_LOSSES
from pocketbert.distill.methods import choose_course
from pocketbert.distill.rows import targets
from pocketbert.files import hash_text, write_atomically
from pocketbert.manifest import Manifest, hash_options, read_manifest
from pocketbert.measure.evaluation import answer, open_for, rows_for
from pocketbert.measure.results import Role, Size, TaskComparison
from pocketbert.measure.scores import compare_predictions, draw_scores
from pocketbert.measure.size import measure_size
from pocketbert.recipe import Data, DistillStage, FinetuneStage, Losses, Student
from results import Setting
from rows import MAKERS

Roles = dict[Role, str]
"""Model directories by role."""
RESAMPLES = 1000
NAMED = 5
"""Of what is not learnt yet, so many units are named; the table names all."""


class Lesson(BaseModel):
    """What one student made of one task under one seed.

    Attributes:
        setting: hash of how it was learnt.
        rows: hash of the files that its rows were read from.
        bases: when the teacher and the student that it began with were made.
        distilled: teacher, student taught by the teacher, and the student taught by the labels alone.
        alone: teacher, and as the student the one taught by the labels alone.
        draws: by role, the scores on resamples of the reported rows, which are the same ones in all lessons on a task.
        sizes: of teacher and student.
        seconds: of training, the teacher's included.
    """

    setting: str
    rows: str
    bases: list[str]
    distilled: TaskComparison
    alone: TaskComparison
    draws: dict[Role, list[float]]
    sizes: dict[Role, Size]
    seconds: float


def learn_tasks(plan: Plan) -> None:
    """Learn what is not learnt yet, as far as the budget goes; what did not fit is named, and done at the next call."""
    for name in plan.tasks:
        if name in MAKERS:
            MAKERS[name][1](plan.data, plan.out / "rows" / name)
    end = math.inf if plan.budget is None else time.monotonic() + plan.budget
    for unit in plan.units():
        if not _learn(plan, unit, end):
            break
    left = missing(plan)
    if left:
        first = "; ".join(map(str, left[:NAMED])) + ("; …" if len(left) > NAMED else "")
        console.print(f"not learnt yet, {len(left)} in all: {first}", highlight=False)


def found(plan: Plan) -> Iterator[tuple[Unit, Lesson]]:
    """Every lesson of the plan that stands, in its order."""
    for unit in plan.units():
        if lesson := _standing(plan, unit):
            yield unit, lesson


def missing(plan: Plan) -> list[Unit]:
    """What the plan holds and no lesson stands for."""
    standing = {unit for unit, _ in found(plan)}
    return [unit for unit in plan.units() if unit not in standing]


def _standing(plan: Plan, unit: Unit) -> Lesson | None:
    """The lesson, unless it was learnt in another way, or from models that were made anew since."""
    path = _path(plan, unit)
    if not path.is_file():
        return None
    try:
        lesson = Lesson.model_validate_json(path.read_bytes())
    except ValidationError:  # of an earlier version, which kept less
        return None
    stands = (lesson.setting, lesson.bases) == (_setting(plan, unit), _bases(plan, unit))
    return lesson if stands else None


def _setting(plan: Plan, unit: Unit) -> str:
    """Hash of all options; no file is looked at, so that tables can be made where the data is not."""
    setting = plan.tasks[unit.task]
    options = DistillStage(epochs=setting.student_epochs, **_shared(plan, setting, unit.seed))
    losses = json.dumps(choose_course(options, "rows", TASK_LOSSES).describe(), sort_keys=True)
    return hash_text(hash_options(options), losses, f"{setting.teacher_epochs:g}", hash_options(setting.data))


def _bases(plan: Plan, unit: Unit) -> list[str]:
    pairs = plan.tasks[unit.task].pairs
    made = [read_manifest(plan.model(name, pairs)) for name in (TEACHER, unit.student)]
    return [manifest.created if manifest else "" for manifest in made]


def _path(plan: Plan, unit: Unit) -> Path:
    return plan.folder(unit) / f"{unit.student}.json"


def _learn(plan: Plan, unit: Unit, end: float) -> bool:
    """Learn one unit; False where time was up before it was done."""
    setting = plan.tasks[unit.task]
    base = plan.made(TEACHER, "general" if setting.pairs else "teacher", setting.pairs)
    start = plan.made(unit.student, "general", setting.pairs)
    data, folder = plan.rows(unit.task), plan.folder(unit)
    shared = _shared(plan, setting, unit.seed)
    rows = fingerprint([*(data.train or []), *(data.validation or []), *(data.test or [])])
    lesson = _standing(plan, unit)
    if lesson is None or lesson.rows != rows:
        console.rule(str(unit), align="left")
        roles = _roles(folder, unit.student)
        made: list[Manifest] = []
        for train in _trainings(setting, shared, data, base, start, roles):
            if time.monotonic() >= end:
                return False
            made.append(train())
        known = {"setting": _setting(plan, unit), "rows": rows, "bases": _bases(plan, unit)}
        lesson = _compare(known, unit.task, roles, data, made)
        write_atomically(_path(plan, unit), lesson.model_dump_json(indent=2))
    shutil.rmtree(folder / unit.student, ignore_errors=True)
    return True


def _roles(folder: Path, student: str) -> Roles:
    return {
        "teacher": str(folder / TEACHER),
        "student": str(folder / student / "distilled"),
        "without_teacher": str(folder / student / "labels-alone"),
    }


def _trainings(
    setting: Setting, shared: dict[str, Any], data: Data, base: str, start: str, roles: Roles
) -> Iterator[Callable[[], Manifest]]:
    """The teacher, and the student with and without it."""
    finetuning = FinetuneStage(epochs=setting.teacher_epochs, **shared)
    how: Any = {"console": console, "replace": True}
    yield partial(pipeline.finetune, finetuning, base, roles["teacher"], data, **how)
    options = DistillStage(epochs=setting.student_epochs, **shared)
    alone = options.model_copy(update={"losses": Losses(labels=1.0)})
    student = Student(start=start)
    yield partial(pipeline.distill, options, roles["teacher"], student, roles["student"], data, **how)
    yield partial(pipeline.distill, alone, roles["teacher"], student, roles["without_teacher"], data, **how)


def _shared(plan: Plan, setting: Setting, seed: int) -> dict[str, Any]:
    """What the trainings of a task have in common."""
    return {
        "batch_size": setting.batch_size,
        "learning_rate": min(setting.learning_rate, plan.size.most_rate),
        "dropout": plan.size.dropout,
        "seed": seed,
    }


def _compare(known: dict[str, Any], task: str, roles: Roles, data: Data, made: list[Manifest]) -> Lesson:
    """Hold the answers of both students against the teacher's, on the rows that nothing was chosen by."""
    opened = {role: open_for(data, model) for role, model in roles.items()}
    rows = rows_for(data, opened["teacher"])
    answers = {role: answer(model, rows) for role, model in opened.items()}
    examples = answers["teacher"].encoded.examples
    true = targets(examples)
    teacher, student, alone = (answers[role].predictions for role in roles)
    majority = rows.task.majority(targets(rows.train), examples)
    predicted: dict[Role, Any] = {role: answers[role].predictions for role in roles} | {"majority": majority}
    scorers = {role: rows.task.scorer(each, true) for role, each in predicted.items()}
    draws = draw_scores(scorers, len(true), RESAMPLES, seed=0)
    return Lesson(
        **known,
        draws={role: values.round(6).tolist() for role, values in draws.items()},
        distilled=compare_predictions(rows.task, true, teacher, student, alone, majority, name=task),
        alone=compare_predictions(rows.task, true, teacher, alone, None, majority, name=task),
        sizes={role: measure_size(roles[role]) for role in ("teacher", "student")},
        seconds=sum(manifest.metrics["seconds"] for manifest in made),
    )
