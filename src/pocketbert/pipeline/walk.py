"""Where a run stands, and the step that each stage takes: which models go in, and what follows from it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from pocketbert.distill.distillation import distill
from pocketbert.distill.finetune import finetune
from pocketbert.distill.pretrain import pretrain
from pocketbert.engines.exported import exported_files
from pocketbert.errors import PocketBertError
from pocketbert.export.exporting import export
from pocketbert.manifest import Manifest
from pocketbert.measure.bench_results import Bench
from pocketbert.measure.results import Comparison, Role
from pocketbert.pipeline.comparing import bench_once, compare_rows_once, compare_texts_once, fastest
from pocketbert.recipe import (
    Data,
    DistillStage,
    ExportStage,
    FinetuneStage,
    Losses,
    PretrainStage,
    PruneStage,
    QuantizeStage,
    Recipe,
    StageOptions,
    Student,
    TrimStage,
)
from pocketbert.shrink.prune import prune
from pocketbert.shrink.quantize import quantize
from pocketbert.shrink.vocabulary import trim
from pocketbert.tasks.embedding import UNLABELLED, Embedding

_SMALLER: dict[type[StageOptions], Callable[..., Manifest]] = {
    PruneStage: prune,
    TrimStage: trim,
    QuantizeStage: quantize,
    ExportStage: export,
}
"""The stages from one model directory to the next, by their options."""


@dataclass
class Walk:
    """Where a run stands.

    Attributes:
        recipe: that is walked.
        folder: of the run.
        console: for progress.
        prove: whether students are compared with their teachers, and with themselves taught by the labels alone.
        marks: what sets a stage's folder apart from the same stage with other options, by the number of the stage.
        base: what ``finetune`` starts from, and who teaches on text.
        teacher: of the task.
        student: the shape of the next student, or what it starts from.
        product: the model directory that the next stage makes smaller.
        general: whether the product is a general student, which answers no task yet.
        without_teacher: the baseline of the last student.
        last: number of the stage that made the product.
        data: of the last stage that had rows; None where the product answers none.
        chain: references of the student after each step that made it smaller, the student itself (if any) first.
        made_smaller: whether there was such a step.
        manifests: of what was made, by folder.
        comparisons: of what was made with the teacher, by the name of the data.
        bench: the whole chain side by side.
    """

    recipe: Recipe
    folder: Path
    console: Console
    base: str | None
    teacher: str | None
    student: Student
    prove: bool = True
    marks: dict[int, str] = field(default_factory=dict)
    product: str | None = None
    general: bool = False
    without_teacher: str | None = None
    last: int = 0
    data: Data | None = None
    chain: list[str] = field(default_factory=list)
    made_smaller: bool = False
    manifests: dict[str, Manifest] = field(default_factory=dict)
    comparisons: dict[str, Comparison] = field(default_factory=dict)
    bench: Bench | None = None

    def place(self, number: int, name: str) -> Path:
        """The folder of what a stage makes.

        Args:
            number: of the stage, from 1.
            name: of what it makes.
        """
        mark = self.marks.get(number)
        return self.folder / (f"{number:02d}-{name}" + (f"-{mark}" if mark else ""))


def take_step(walk: Walk, number: int, options: StageOptions) -> None:
    """Take the step of one stage.

    Args:
        walk: where the run stands; changed.
        number: of the stage, from 1.
        options: of the stage.
    """
    if isinstance(options, PretrainStage):
        output = walk.place(number, "pretrain")
        walk.manifests[output.name] = pretrain(options, output, console=walk.console, replace=True)
        walk.base = walk.teacher = str(output)
    elif isinstance(options, FinetuneStage):
        output = walk.place(number, "finetune")
        base = _known(walk.base, number, "finetune")
        walk.manifests[output.name] = finetune(
            options, base, output, walk.recipe.data, console=walk.console, replace=True
        )
        walk.teacher = str(output)
    elif isinstance(options, DistillStage):
        _take_lesson(walk, number, options)
    else:
        _make_smaller(walk, number, options)


def _make_smaller(walk: Walk, number: int, options: PruneStage | TrimStage | QuantizeStage | ExportStage) -> None:
    """A step from one model directory to the next: what was made last goes in."""
    verb = _SMALLER[type(options)]
    output = walk.place(number, verb.__name__)
    model, data = _known(walk.product or walk.teacher, number, verb.__name__), walk.recipe.data
    if walk.general and isinstance(options, ExportStage) and not options.pooling:
        data = None  # rows of a task say nothing on how a file finds hidden tokens
    walk.manifests[output.name] = verb(options, model, output, data, console=walk.console, replace=True)
    walk.product, walk.last, walk.made_smaller = str(output), number, True
    if walk.general:
        walk.student = Student(start=str(output))
    else:
        walk.data = options.data or data or walk.data
    # An exported directory holds the same weights as the one it was made from: only its files are new.
    walk.chain += exported_files(output) or [str(output)]


def _take_lesson(walk: Walk, number: int, options: DistillStage) -> None:
    output = walk.place(number, "distill")
    teacher = _known(walk.base if options.corpus else walk.teacher, number, "distill")
    walk.manifests[output.name] = distill(
        options, teacher, walk.student, output, walk.recipe.data, console=walk.console, replace=True
    )
    walk.product, walk.chain, walk.last, walk.made_smaller = str(output), [str(output)], number, False
    walk.general, walk.without_teacher = bool(options.corpus), None
    if options.corpus:
        walk.student, walk.data = Student(start=str(output)), None
        # Where nothing was learnt about words, what the student is worth shows in the tasks that follow.
        if walk.prove and "validation_loss" in walk.manifests[output.name].metrics:
            _compare_texts(walk, number, options, {"teacher": teacher, "student": str(output)})
        return
    walk.data = options.data or walk.recipe.data
    if not walk.prove:
        return
    if options.without_teacher and walk.data and walk.data.task == Embedding.name:
        walk.console.print(f"{UNLABELLED}: there is no student without a teacher", highlight=False)
    elif options.without_teacher:
        walk.without_teacher = _learn_alone(walk, number, options, teacher, walk.manifests[output.name])
    _compare(walk, str(output))


def _compare_texts(walk: Walk, number: int, options: DistillStage, models: dict[Role, str]) -> None:
    name = f"{walk.recipe.name}: text of stage {number}"
    walk.comparisons[name] = compare_texts_once(walk.folder, number, models, options, name, walk.console)


def compare_chain(walk: Walk) -> None:
    """Measure the whole chain side by side, and its last step once more against the teacher.

    Of several files of the last step, the one that is the fastest here is the student that the run promises.
    """
    if walk.teacher is None or walk.data is None or not walk.made_smaller:
        return
    walk.bench = bench_once(walk.folder, [walk.teacher, *walk.chain], walk.data, walk.console)
    made = exported_files(Path(walk.product or "")) or [str(walk.product)]
    _compare(walk, fastest([model for model in walk.bench.models if model.reference in made]).reference)


def _compare(walk: Walk, student: str) -> None:
    if walk.data is None or walk.teacher is None:
        return
    models: dict[Role, str] = {"teacher": walk.teacher, "student": student}
    if walk.without_teacher:
        models["without_teacher"] = walk.without_teacher
    name = _name(walk.recipe, walk.last, walk.data)
    walk.comparisons[name] = compare_rows_once(walk.folder, walk.last, models, walk.data, name, walk.console)


def _learn_alone(walk: Walk, number: int, options: DistillStage, teacher: str, student: Manifest) -> str:
    """The same student from the same start in the same time, on the labels alone: what the teacher's word is worth."""
    output = walk.place(number, "without-teacher")
    walk.console.rule("the same student without a teacher", align="left")
    alone = options.model_copy(update={"losses": Losses(labels=1.0), "method": None, "signals": "online"})
    data = options.data or walk.recipe.data
    if data is not None and (data.unlabelled or options.augment):
        # An epoch of the student has more rows than there are labels: the same number of steps instead.
        data = data.model_copy(update={"unlabelled": None})
        alone = alone.model_copy(update={"data": data, "augment": None} | _same_length(options, student))
    walk.manifests[output.name] = distill(
        alone, teacher, walk.student, output, data, console=walk.console, replace=True
    )
    return str(output)


def _same_length(options: DistillStage, student: Manifest) -> dict[str, Any]:
    """Options for as many steps as the student took, unless the options fix steps or time already."""
    return {} if options.steps or options.budget else {"epochs": None, "steps": student.metrics["steps"]}


def _known(model: str | None, number: int, stage: str) -> str:
    if model is None:
        raise PocketBertError(f"stages.{number - 1}.{stage}: no model yet; set teacher.model, or pretrain one first")
    return model


def _name(recipe: Recipe, number: int, data: Data) -> str:
    return recipe.name if data is recipe.data else f"{recipe.name}: {data.layout or f'stage {number}'}"
