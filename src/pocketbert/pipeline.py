"""The whole chain: each stage as a function, and ``run``, which walks a recipe.

A stage whose inputs have not changed is skipped, one that was killed goes on, and a run ends with its report.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from pydantic import ValidationError
from rich.console import Console

from pocketbert.data.sources import ALTERED, EMBEDDED, resolve
from pocketbert.distill import ranks
from pocketbert.distill.distillation import distill
from pocketbert.distill.finetune import finetune
from pocketbert.distill.pretrain import pretrain
from pocketbert.distill.rows import read_rows
from pocketbert.distill.stage import LOG
from pocketbert.distill.texts import CORPORA
from pocketbert.errors import GateBreach, PocketBertError
from pocketbert.export.stage import export
from pocketbert.export.verification import verify
from pocketbert.files import write_atomically
from pocketbert.machine import describe_machine
from pocketbert.manifest import Manifest
from pocketbert.measure.comparison import DEMONSTRATION, Provenance, Report, check_gates, read_curve
from pocketbert.measure.evaluation import compare, comparison_key, evaluate
from pocketbert.measure.language import compare_masked_lm, text_comparison_key
from pocketbert.measure.report import write_html
from pocketbert.measure.results import Comparison, Role
from pocketbert.measure.wording import describe_gate
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
    Training,
    TrimStage,
)
from pocketbert.shrink.prune import prune
from pocketbert.shrink.quantize import quantize
from pocketbert.shrink.trim import trim

__all__ = [
    "compare",
    "distill",
    "evaluate",
    "export",
    "finetune",
    "pretrain",
    "prune",
    "quantize",
    "run",
    "trim",
    "verify",
]

_SMALLER: dict[type[StageOptions], Callable[..., Manifest]] = {
    PruneStage: prune,
    TrimStage: trim,
    QuantizeStage: quantize,
    ExportStage: export,
}
"""The stages from one model directory to the next, by their options."""


@dataclass
class _Walk:
    """Where a run stands: which models the next stage takes up."""

    recipe: Recipe
    folder: Path
    console: Console
    base: str | None
    teacher: str | None
    student: Student
    product: str | None = None
    manifests: dict[str, Manifest] = field(default_factory=dict)
    comparisons: list[Comparison] = field(default_factory=list)


def run(recipe: Recipe, *, console: Console | None = None) -> Report:
    """Walk the stages of a recipe, compare the student with its teacher, check the gates and write the report.

    ``pretrain`` makes the base; ``finetune`` makes the base a teacher of the task; ``distill`` on text makes a
    general student of the base; ``distill`` on rows has the teacher teach a student, which starts from the general
    one where there is one.

    Args:
        recipe: the stages and their options.
        console: for progress; standard error when absent.

    Returns:
        The report, also written as ``report.json`` and ``report.html`` in the run's folder.

    Raises:
        PocketBertError: an input cannot be used.
        GateBreach: a gate does not hold; the report is written all the same.
        Interrupted: asked to stop; run again to go on.
    """
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    folder = Path(recipe.output or f"runs/{recipe.name}")
    teacher = recipe.teacher.model if recipe.teacher else None
    walk = _Walk(recipe, folder, console or Console(stderr=True), teacher, teacher, recipe.student)
    _check_sources(recipe)
    for number, stage in enumerate(recipe.stages, start=1):
        walk.console.rule(f"{number}/{len(recipe.stages)} {stage.kind}", align="left")
        _take_step(walk, number, stage.options)
    report = _make_report(walk)
    if ranks.is_main():
        report.to_json(folder / "report.json")
        write_html(report, folder / "report.html")
    breaches = [describe_gate(gate) for gate in report.gates if not gate.passed]
    if breaches:
        raise GateBreach(f"{recipe.name}: {len(breaches)} gate(s) not held: " + "; ".join(breaches), report)
    return report


def _check_sources(recipe: Recipe) -> None:
    """Find out before hours of training what a later stage would refuse: files that are not there, rows of no use."""
    checked: list[Data] = []
    for number, stage in enumerate(recipe.stages):
        options = stage.options
        corpus = [*(getattr(options, "corpus", None) or []), *(getattr(options, "held_out", None) or [])]
        resolve(corpus)
        if corpus:
            continue
        data = getattr(options, "data", None) or recipe.data
        if data is None and stage.kind == "export":
            continue
        if data is None:
            raise PocketBertError(f"stages.{number}.{stage.kind}: name the rows of a task (data)")
        # The first stage will say of its own rows what is wrong with them.
        if number and data not in checked:
            read_rows(data)
        checked.append(data)


def _take_step(walk: _Walk, number: int, options: StageOptions) -> None:
    if isinstance(options, PretrainStage):
        output = walk.folder / f"{number:02d}-pretrain"
        walk.manifests[output.name] = pretrain(options, output, console=walk.console, replace=True)
        walk.base = walk.teacher = str(output)
    elif isinstance(options, FinetuneStage):
        output = walk.folder / f"{number:02d}-finetune"
        base = _known(walk.base, number, "finetune")
        walk.manifests[output.name] = finetune(
            options, base, output, walk.recipe.data, console=walk.console, replace=True
        )
        walk.teacher = str(output)
    elif isinstance(options, DistillStage):
        _take_lesson(walk, number, options)
    else:
        _make_smaller(walk, number, options)


def _make_smaller(walk: _Walk, number: int, options: PruneStage | TrimStage | QuantizeStage | ExportStage) -> None:
    """A step from one model directory to the next: what was made last goes in."""
    verb = _SMALLER[type(options)]
    output = walk.folder / f"{number:02d}-{verb.__name__}"
    model = _known(walk.product or walk.teacher, number, verb.__name__)
    walk.manifests[output.name] = verb(options, model, output, walk.recipe.data, console=walk.console, replace=True)
    walk.product = str(output)


def _take_lesson(walk: _Walk, number: int, options: DistillStage) -> None:
    output = walk.folder / f"{number:02d}-distill"
    teacher = _known(walk.base if options.corpus else walk.teacher, number, "distill")
    walk.manifests[output.name] = distill(
        options, teacher, walk.student, output, walk.recipe.data, console=walk.console, replace=True
    )
    models: dict[Role, str] = {"teacher": teacher, "student": str(output)}
    if options.corpus:
        walk.student = Student(start=str(output))
        walk.comparisons.append(_compare_texts_once(walk, number, models, options))
        return
    if options.without_teacher:
        models["without_teacher"] = _learn_alone(walk, number, options, teacher)
    data = options.data or walk.recipe.data
    if data is not None:
        walk.comparisons.append(_compare_rows_once(walk, number, models, data))


def _learn_alone(walk: _Walk, number: int, options: DistillStage, teacher: str) -> str:
    """The same student from the same start in the same time, on the labels alone: what the teacher's word is worth."""
    output = walk.folder / f"{number:02d}-without-teacher"
    walk.console.rule("the same student without a teacher", align="left")
    alone = options.model_copy(update={"losses": Losses(labels=1.0)})
    walk.manifests[output.name] = distill(
        alone, teacher, walk.student, output, walk.recipe.data, console=walk.console, replace=True
    )
    return str(output)


def _compare_rows_once(walk: _Walk, number: int, models: dict[Role, str], data: Data) -> Comparison:
    def measure() -> Comparison:
        return compare(models, data, name=_name(walk.recipe, number, data))

    return _once(walk, number, comparison_key(models, data), measure)


def _compare_texts_once(walk: _Walk, number: int, models: dict[Role, str], options: DistillStage) -> Comparison:
    def measure() -> Comparison:
        name = f"{walk.recipe.name}: text of stage {number}"
        return compare_masked_lm(models, options, walk.folder / CORPORA, walk.console, name)

    return _once(walk, number, text_comparison_key(models, options), measure)


def _once(walk: _Walk, number: int, key: str, measure: Callable[[], Comparison]) -> Comparison:
    """Compare, or take the comparison of the same models and data from the folder."""
    with ranks.main_first():
        return _find_or_measure(walk, walk.folder / f"{number:02d}-comparison.json", key, measure)


def _find_or_measure(walk: _Walk, path: Path, key: str, measure: Callable[[], Comparison]) -> Comparison:
    if path.is_file():
        try:
            found = Comparison.model_validate_json(path.read_bytes())
        except ValidationError:
            walk.console.print(f"{path}: not a comparison of this version; comparing again", highlight=False)
        else:
            if found.key == key:
                return found
    walk.console.rule("comparing", align="left")
    comparison = measure()
    write_atomically(path, comparison.model_dump_json(indent=2))
    return comparison


def _make_report(walk: _Walk) -> Report:
    last = walk.comparisons[-1] if walk.comparisons else None
    report = Report(
        name=walk.recipe.name,
        demonstration=DEMONSTRATION if _embedded(walk.recipe) else None,
        tasks=[comparison.quality for comparison in walk.comparisons],
        sizes=last.sizes if last else {},
        speed=last.speed if last else None,
        curves=[read_curve(name, walk.folder / name / LOG) for name in walk.manifests],
        provenance=Provenance(
            recipe=walk.recipe.model_dump(mode="json", exclude_none=True),
            manifests={name: manifest.model_dump(mode="json") for name, manifest in walk.manifests.items()},
            data={name: manifest.data for name, manifest in walk.manifests.items()},
            machine=describe_machine(),
            seeds=_seeds(walk.recipe),
            seconds=sum(manifest.metrics.get("seconds", 0.0) for manifest in walk.manifests.values()),
        ),
    )
    report.gates = check_gates(walk.recipe.gates, report)
    return report


def _seeds(recipe: Recipe) -> dict[str, int]:
    """The seed of each stage that trains, by its number."""
    learning = [getattr(stage.options, "recover", None) or stage.options for stage in recipe.stages]
    return {
        f"{number}": options.seed for number, options in enumerate(learning, start=1) if isinstance(options, Training)
    }


def _known(model: str | None, number: int, stage: str) -> str:
    if model is None:
        raise PocketBertError(f"stages.{number - 1}.{stage}: no model yet; set teacher.model, or pretrain one first")
    return model


def _name(recipe: Recipe, number: int, data: Data) -> str:
    return recipe.name if data is recipe.data else f"{recipe.name}: {data.layout or f'stage {number}'}"


def _embedded(recipe: Recipe) -> bool:
    def sources() -> Iterable[str]:
        for data in (recipe.data, *(getattr(stage.options, "data", None) for stage in recipe.stages)):
            if data is not None:
                yield from [*(data.train or []), *(data.test or []), *(data.validation or [])]
        for stage in recipe.stages:
            yield from getattr(stage.options, "corpus", None) or []

    return any(source.removeprefix(ALTERED).startswith(EMBEDDED) for source in sources())
