"""Walking a recipe from its first stage to its report."""

from collections.abc import Iterable
from pathlib import Path

import torch
from rich.console import Console

from pocketbert.data.sources import ALTERED, EMBEDDED, resolve
from pocketbert.distill import ranks
from pocketbert.distill.precision import check_precision
from pocketbert.distill.rows import NO_ROWS, read_rows, with_unlabelled
from pocketbert.errors import GateBreach, PocketBertError
from pocketbert.machine import describe_machine
from pocketbert.manifest import LOG
from pocketbert.measure.comparison import DEMONSTRATION, Provenance, Report, check_gates, read_curve
from pocketbert.measure.report import write_html
from pocketbert.measure.wording import counted, describe_gate
from pocketbert.models.loading import check_safe
from pocketbert.pipeline.walk import Walk, compare_chain, take_step
from pocketbert.recipe import (
    Data,
    DistillStage,
    PruneStage,
    QuantizeStage,
    Recipe,
    Stage,
    StageOptions,
    Training,
    TrimStage,
)
from pocketbert.tasks.embedding import SCORED, Embedding


def run(recipe: Recipe, *, console: Console | None = None) -> Report:
    """Walk the stages of a recipe, compare the student with its teacher, check the gates and write the report.

    ``pretrain`` makes the base; ``finetune`` makes the base a teacher of the task; ``distill`` on text makes a
    general student of the base; ``distill`` on rows has the teacher teach a student, which starts from the general
    one where there is one. ``prune``, ``trim``, ``quantize`` and ``export`` make the last student smaller, or the
    teacher where there is none (of a general student ``trim`` and ``export``); then every step is measured beside the
    teacher, and the last one is the student that the report promises. A general student is measured as it was made.

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
    walk = Walk(recipe, folder, console or Console(stderr=True), teacher, teacher, recipe.student)
    check_sources(recipe)
    for number, stage in enumerate(recipe.stages, start=1):
        walk.console.rule(f"{number}/{len(recipe.stages)} {stage.kind}", align="left")
        take_step(walk, number, stage.options)
    compare_chain(walk)
    report = _make_report(walk)
    if ranks.is_main():
        report.to_json(folder / "report.json")
        write_html(report, folder / "report.html")
    breaches = [describe_gate(gate) for gate in report.gates if not gate.passed]
    if breaches:
        raise GateBreach(f"{recipe.name}: {counted(len(breaches), 'gate')} not held: " + "; ".join(breaches), report)
    return report


def check_sources(recipe: Recipe, first_too: bool = False) -> None:
    """Find out before hours of training what a later stage would refuse: files that are not there, rows of no use.

    Args:
        recipe: whose stages.
        first_too: whether the rows of the first stage are read too; a run finds out at once what is wrong with them.

    Raises:
        PocketBertError: a stage names no rows, or such as cannot be used, or a precision that this machine does not
            train in; a general student cannot be put to it.
    """
    _check_general(recipe)
    checked: list[Data] = []
    for number, stage in enumerate(recipe.stages):
        options = stage.options
        if isinstance(learning := _learning(stage), Training):
            check_precision(learning.precision)
        augment = getattr(options, "augment", None)
        if augment and augment.model:
            check_safe(augment.model)
        corpus = getattr(options, "corpus", None) or []
        resolve([*corpus, *(getattr(options, "held_out", None) or [])])
        if corpus:
            continue
        data = getattr(options, "data", None) or recipe.data
        if data is None and stage.kind == "export":
            continue
        if data is None:
            raise PocketBertError(f"stages.{number}.{stage.kind}: name the rows of a task (data)")
        unlabelled = stage.kind == "distill" and bool(data.unlabelled)
        embedding = data.task == Embedding.name
        if (number or first_too or embedding) and (unlabelled or data not in checked):
            rows = read_rows(data)
            if embedding and not rows.test and data.test != NO_ROWS:
                raise PocketBertError(f"stages.{number}.{stage.kind}: {SCORED}; name such in data.test")
            if unlabelled:
                with_unlabelled(rows)
        checked.append(data)


def _check_general(recipe: Recipe) -> None:
    """Refuse what a general student has no head for, and teaching one that has lost pieces of its teacher's."""
    general = trimmed = ""
    for number, stage in enumerate(recipe.stages):
        place = f"stages.{number}.{stage.kind}"
        if isinstance(stage.options, DistillStage):
            if trimmed:
                raise PocketBertError(
                    f"{place}: the general student has lost pieces of its teacher's vocabulary in {trimmed}, so that "
                    "the two read other ids; trim after the last distill"
                )
            general = place if stage.options.corpus else ""
        elif general and isinstance(stage.options, PruneStage | QuantizeStage):
            raise PocketBertError(
                f"{place}: the student of {general} is a general one, without the head of a task; distil it on rows "
                "first"
            )
        elif general and isinstance(stage.options, TrimStage):
            trimmed = place


def _make_report(walk: Walk) -> Report:
    last = next(reversed(walk.comparisons.values()), None)
    report = Report(
        name=walk.recipe.name,
        demonstration=DEMONSTRATION if _embedded(walk.recipe) else None,
        tasks=[comparison.quality for comparison in walk.comparisons.values()],
        sizes=last.sizes if last else {},
        speed=last.speed if last else None,
        bench=walk.bench,
        curves=[read_curve(name, log) for name in walk.manifests if (log := walk.folder / name / LOG).is_file()],
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
    learning = enumerate(map(_learning, recipe.stages), start=1)
    return {f"{number}": options.seed for number, options in learning if isinstance(options, Training)}


def _learning(stage: Stage) -> Training | StageOptions:
    """What a stage trains by: its recovery, or the stage itself, which need not train."""
    return getattr(stage.options, "recover", None) or stage.options


def _embedded(recipe: Recipe) -> bool:
    def sources() -> Iterable[str]:
        for data in (recipe.data, *(getattr(stage.options, "data", None) for stage in recipe.stages)):
            if data is not None:
                for named in (data.train, data.test, data.validation, data.unlabelled):
                    yield from named or []
        for stage in recipe.stages:
            yield from getattr(stage.options, "corpus", None) or []

    return any(source.removeprefix(ALTERED).startswith(EMBEDDED) for source in sources())
