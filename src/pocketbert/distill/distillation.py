"""Teach a student: on text, through the masked language model, or on the rows of a task."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from transformers import PreTrainedModel

from pocketbert.data.sources import fingerprint
from pocketbert.distill.augmenting import augment_rows
from pocketbert.distill.cache.opening import SignalCache
from pocketbert.distill.learning import (
    EMBEDDING_LOSSES,
    MASKED_LM_LOSSES,
    TASK_LOSSES,
    check_batch,
    check_losses,
    fit_default,
    learn_rows,
)
from pocketbert.distill.methods import OF_COURSE, choose_course
from pocketbert.distill.phases import Course, train_phases
from pocketbert.distill.prediction import masked_lm_loss
from pocketbert.distill.pretrain import masked_lm_evaluator
from pocketbert.distill.rows import TaskRows, check_purpose, fingerprints, read_rows, training_inputs, with_unlabelled
from pocketbert.distill.stage import StageFolder
from pocketbert.distill.texts import CORPORA, prepare_texts
from pocketbert.distill.trainer import Job
from pocketbert.errors import ModelError, PocketBertError
from pocketbert.files import hash_text
from pocketbert.manifest import Manifest, Parent, hash_options, hash_weights
from pocketbert.models.loading import LoadedModel, check_length, check_safe, load_model, max_positions
from pocketbert.models.students import BuiltStudent, Carried, build_student
from pocketbert.recipe import Data, DistillStage, Student
from pocketbert.tasks.embedding import Embedding
from pocketbert.tasks.registry import make_task


@dataclass(frozen=True)
class _Lesson:
    """Who teaches whom, and where the result goes: the arguments of :func:`distill`."""

    teacher: str
    student: Student
    output: Path
    console: Console
    replace: bool


def distill(
    options: DistillStage,
    teacher: str,
    student: Student,
    output: Path | str,
    data: Data | None = None,
    *,
    console: Console | None = None,
    replace: bool = False,
) -> Manifest:
    """Teach a student.

    Args:
        options: losses, length and rates of the run.
        teacher: a model directory or hub name, with the head of the task.
        student: the shape, or a model to start from.
        output: the model directory to be.
        data: the task and its rows; None when ``options.corpus`` names text for the masked language model.
        console: for progress and notes; standard error when absent.
        replace: make it anew where the folder holds a model of other inputs.

    Returns:
        The manifest of the student's model directory; a finished one with the same inputs is left as it is.

    Raises:
        PocketBertError: the data, the teacher or the student's shape cannot be used.
        Interrupted: asked to stop; the state is saved.
    """
    lesson = _Lesson(teacher, student, Path(output), console or Console(stderr=True), replace)
    if options.corpus:
        return _distill_texts(options, lesson)
    data = options.data or data
    if data is None:
        raise PocketBertError("distill: name the rows of a task (data) or text for the masked language model (corpus)")
    return _distill_rows(options, lesson, data)


def _distill_rows(options: DistillStage, lesson: _Lesson, data: Data) -> Manifest:
    course = _course_of_rows(options, data)
    if (data.unlabelled or options.augment) and not course.asks_teacher:
        raise PocketBertError(
            "distill: losses.labels alone learns nothing from rows without a label; give losses.soft_targets a weight, "
            "or leave out data.unlabelled and augment"
        )
    prints = fingerprints(data, unlabelled=True)
    stage, parents = _open(options, course, lesson, training_inputs(data, prints))
    if stage.done:
        return stage.skip(lesson.console)
    task = make_task(data)
    teacher = load_model(lesson.teacher, task.head)
    check_purpose(task, teacher)
    rows = with_unlabelled(read_rows(data, teacher))
    pairs = data.task != Embedding.name and any(example.pair is not None for example in rows.train[:1])
    built = _student(teacher, lesson, options, rows.task.head, rows.task.model_fields(), pairs)
    course = _fit(course, options, built, teacher, lesson.console)
    for model, name in ((teacher.model, lesson.teacher), (built.model, "student")):
        check_length(model, data.max_length, name)
    _show_carried(lesson.console, built.carried)
    cache = SignalCache(options, teacher.tokenizer, lesson.output.parent, lesson.console)
    summary = learn_rows(
        "distill",
        built.model,
        teacher.tokenizer,
        rows,
        options,
        course,
        stage,
        lesson.console,
        teacher.model,
        _augmentation(options, stage, lesson.console),
        cache,
    )
    return _finish(stage, built, parents, prints, rows.notes, summary | cache.metrics, options, course, data)


def _course_of_rows(options: DistillStage, data: Data) -> Course:
    if data.task == Embedding.name:
        course = choose_course(options, "embedding", EMBEDDING_LOSSES)
        check_losses(course, "embedding", "distill")
        return course
    course = choose_course(options, "rows", TASK_LOSSES)
    check_losses(course, "task", "distill")
    return course


def _augmentation(options: DistillStage, stage: StageFolder, console: Console) -> Callable[[TaskRows], TaskRows] | None:
    """What makes altered copies of the training rows, where the options ask for them."""
    if options.augment is None:
        return None
    return partial(augment_rows, wanted=options.augment, options=options, folder=stage.work, console=console)


def _distill_texts(options: DistillStage, lesson: _Lesson) -> Manifest:
    if options.dropout is None:
        # Text does not run out: dropout only slows learning down, and a CPU draws its random numbers one by one.
        options = options.model_copy(update={"dropout": 0.0})
    course = choose_course(options, "text", MASKED_LM_LOSSES)
    check_losses(course, "masked_lm", "distill")
    texts = options.corpus or []
    prints = {"corpus": fingerprint(texts)}
    if options.held_out:
        prints["held_out"] = fingerprint(options.held_out)
    stage, parents = _open(options, course, lesson, *prints.values())
    if stage.done:
        return stage.skip(lesson.console)
    # What compares insides alone has a use for encoders without a head, too. The one that is made then is the same for
    # all ranks and runs, so that a cache knows its teacher again.
    torch.manual_seed(0)
    teacher = load_model(lesson.teacher, "MaskedLM", need_head=course.looks_at_heads)
    built = _student(teacher, lesson, options, "MaskedLM", {}, False)
    if teacher.new:
        headless = [replace(line, source="new") if line.part == "head" else line for line in built.carried]
        built = replace(built, carried=headless)
    course = _fit(course, options, built, teacher, lesson.console)
    objectives = course.objectives("masked_lm", built.model, teacher.model, options.seed)
    for model, name in ((teacher.model, lesson.teacher), (built.model, "student")):
        check_length(model, options.block, name)
    _show_carried(lesson.console, built.carried)
    blocks = prepare_texts(options, teacher.tokenizer, lesson.output.parent / CORPORA, lesson.console)
    stage.begin()
    job = Job(
        title="distill",
        model=built.model,
        data=blocks.train,
        objective=objectives[0],
        options=options,
        folder=stage.work,
        teacher=teacher.model,
        evaluate=masked_lm_evaluator(blocks, options.batch_size) if course.answers else None,
        console=lesson.console,
    )
    cache = SignalCache(options, teacher.tokenizer, lesson.output.parent, lesson.console)
    summary = train_phases(cache.take_over(job, objectives), course, "masked_lm")
    summary |= {"corpus_tokens": blocks.tokens, **cache.metrics}
    if course.answers:
        summary |= {
            "validation_loss": masked_lm_loss(built.model, blocks.validation, options.batch_size),
            "teacher_validation_loss": masked_lm_loss(_as_read(teacher), blocks.validation, options.batch_size),
        }
    return _finish(stage, built, parents, prints, [], summary, options, course, None)


def _as_read(teacher: LoadedModel) -> PreTrainedModel:
    """A teacher with a masked-LM head as it was before it taught, which in a shorter type rounds its weights."""
    if teacher.model.dtype == torch.float32:
        return teacher.model
    return load_model(teacher.source, "MaskedLM").model.to(teacher.model.device)


def _open(options: DistillStage, course: Course, lesson: _Lesson, *inputs: str) -> tuple[StageFolder, list[Parent]]:
    parents = [Parent(role="teacher", source=lesson.teacher, weights=hash_weights(lesson.teacher))]
    if lesson.student.start:
        start = lesson.student.start
        parents.append(Parent(role="start", source=start, weights=hash_weights(start)))
    if options.augment and options.augment.model:
        replacing = options.augment.model
        check_safe(replacing)
        parents.append(Parent(role="augment", source=replacing, weights=hash_weights(replacing)))
        options = options.model_copy(update={"augment": options.augment.model_copy(update={"model": None})})
    weights = [parent.weights for parent in parents]
    shape = lesson.student.model_copy(update={"start": None})
    # A default that changes makes another student, and one that is spelt out the same.
    learnt_by = json.dumps(course.describe(), sort_keys=True)
    counted = (*OF_COURSE, "without_teacher")  # in the course; and what is made beside the student
    rest = options.model_copy(update={name: DistillStage.model_fields[name].default for name in counted})
    key = hash_text("distill", hash_options(rest), learnt_by, hash_options(shape), *weights, *inputs)
    return StageFolder(lesson.output, key, lesson.replace), parents


def _student(
    teacher: LoadedModel,
    lesson: _Lesson,
    options: DistillStage,
    head: str,
    fields: dict[str, Any],
    pairs: bool,
) -> BuiltStudent:
    if lesson.student.start:
        torch.manual_seed(options.seed)
        return _start(lesson.student.start, teacher, head, fields)
    return build_student(teacher.model, teacher.source, lesson.student, pairs, options.seed)


def _fit(course: Course, options: DistillStage, built: BuiltStudent, teacher: LoadedModel, console: Console) -> Course:
    if not (options.losses or options.method):
        widths = (built.model.config.hidden_size, teacher.model.config.hidden_size)
        course = fit_default(course, widths, "distill", console)
    check_batch(course, options.batch_size, "distill")
    return course


def _start(source: str, teacher: LoadedModel, head: str, fields: dict[str, Any]) -> BuiltStudent:
    loaded = load_model(source, head, fields, need_head=False)
    _check_same_inputs(loaded, teacher)
    new = set(loaded.new)
    sizes = {True: 0, False: 0}
    for name, parameter in loaded.model.named_parameters():
        sizes[name in new] += parameter.numel()
    part = "head" if head else "pooler"
    carried = [Carried("all of it" if not new else f"all but the {part}", source, sizes[False])]
    if new:
        carried.append(Carried(part, "new", sizes[True]))
    return BuiltStudent(loaded.model, loaded.tokenizer, carried)


def _check_same_inputs(student: LoadedModel, teacher: LoadedModel) -> None:
    """Refuse a student that would read other ids, or other positions, than its teacher."""
    if student.tokenizer.get_vocab() != teacher.tokenizer.get_vocab():
        raise ModelError(
            f"{student.source}: its tokenizer differs from that of {teacher.source}; their ids would mean "
            "different pieces. Distil from a teacher with the same vocabulary"
        )
    theirs, own = max_positions(teacher.model.config), max_positions(student.model.config)
    if theirs != own:
        raise ModelError(
            f"{student.source}: takes {own} positions but its teacher {teacher.source} takes {theirs}; "
            "distil from a teacher with the same limit"
        )


def _show_carried(console: Console, carried: list[Carried]) -> None:
    table = Table("part of the student", "taken over from", "parameters", title="The student's first weights")
    for line in carried:
        table.add_row(line.part, line.source, f"{line.parameters:,}")
    console.print(table)


def _finish(
    stage: StageFolder,
    built: BuiltStudent,
    parents: list[Parent],
    prints: dict[str, str],
    notes: list[str],
    summary: dict[str, Any],
    options: DistillStage,
    course: Course,
    data: Data | None,
) -> Manifest:
    losses = course.phases[0].losses if len(course.phases) == 1 else None
    resolved = options.model_copy(update={"data": data, "losses": losses}).model_dump(mode="json") | course.describe()
    carried = [f"{line.part}: {line.source}, {line.parameters:,} parameters" for line in built.carried]
    manifest = Manifest(
        stage="distill",
        key=stage.key,
        parents=parents,
        options=resolved,
        data=prints,
        metrics=summary,
        notes=[*notes, *carried],
    )
    model: PreTrainedModel = built.model
    stage.finish(model, built.tokenizer, manifest)
    return manifest
