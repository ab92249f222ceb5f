"""Prune a model: take out what matters least, and let the unpruned model teach the rest again."""

import copy
import dataclasses
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from transformers import PreTrainedModel

from pocketbert.distill import ranks
from pocketbert.distill.datasets import EncodedRows
from pocketbert.distill.learning import TASK_LOSSES, check_batch, check_losses, evaluator, fit_default, learn_rows
from pocketbert.distill.phases import Course, share_of
from pocketbert.distill.rows import TaskRows, check_purpose, encode_role, fingerprints, read_rows, training_inputs
from pocketbert.distill.stage import StageFolder
from pocketbert.distill.trainer import Evaluator
from pocketbert.errors import GateBreach, ModelError, PocketBertError
from pocketbert.files import hash_text, write_atomically
from pocketbert.manifest import Manifest, Parent, hash_options, hash_weights
from pocketbert.measure.results import Frontier, Outcome, Shape, Speed, Weighed
from pocketbert.measure.scores import kept
from pocketbert.measure.speed import Runnable, measure_speed
from pocketbert.models.describing import as_engine
from pocketbert.models.loading import LoadedModel, check_length, load_for_use, max_positions
from pocketbert.recipe import Data, PruneStage, Target, Training
from pocketbert.shrink.anatomy import Anatomy
from pocketbert.shrink.importance import Importance, measure_importance
from pocketbert.shrink.outcome import (
    PRUNED,
    UNPRUNED,
    describe_shortfall,
    describe_speed,
    frontier_table,
    outcome_table,
)
from pocketbert.shrink.probe import Probe
from pocketbert.shrink.search import choose_by_score, find_frontier, list_candidates
from pocketbert.shrink.shape import settle_shape
from pocketbert.shrink.surgery import Picks, choose_parts, cut_model, importance_kept
from pocketbert.tasks.base import Encoded
from pocketbert.tasks.embedding import UNLABELLED, Embedding
from pocketbert.tasks.registry import make_task

SPEED_SECONDS = 20.0
PROBE_ROWS = 128
"""Training rows that candidates of a search are run on."""
SHORT = 0.25
"""Share of the recovery that a search gives each shape that it tries."""


@dataclass(frozen=True)
class _Work:
    """What the steps of a pruning share; ``course`` is the one wanted."""

    options: PruneStage
    course: Course
    whole: LoadedModel
    anatomy: Anatomy
    rows: TaskRows
    evaluate: Evaluator
    stage: StageFolder
    console: Console


def prune(
    options: PruneStage,
    model: str,
    output: Path | str,
    data: Data | None = None,
    *,
    console: Console | None = None,
    replace: bool = False,
) -> Manifest:
    """Take parts out of a model for real, and recover what that cost by distillation from the unpruned model.

    The result is a dense checkpoint of stock code, with the same sizes in every layer.

    Args:
        options: the sizes or a target, and the length and rates of the recovery.
        model: a model directory or hub name, with the head of the task.
        output: the model directory to be.
        data: the task and its rows, where the options name none.
        console: for progress and notes; standard error when absent.
        replace: make it anew where the folder holds a model of other inputs.

    Returns:
        The manifest of the model directory; a finished one with the same inputs is left as it is.

    Raises:
        ModelError: the model's family does not allow the sizes, or no shape is within the target.
        GateBreach: the whole recovery ended below ``target.kept``; the model directory is there all the same, and the
            report is its manifest.
        PocketBertError: the data or the model cannot be used.
        Interrupted: asked to stop; the state is saved.
    """
    console = console or Console(stderr=True)
    data = options.data or data
    if data is None:
        raise PocketBertError("prune: name the rows of a task (data)")
    if data.task == Embedding.name:
        raise PocketBertError(f"prune: {UNLABELLED}, and they say what matters; distil a smaller student instead")
    course = Course.of(options.losses or TASK_LOSSES, options.temperature)
    check_losses(course, "task", "prune")
    check_batch(course, options.recover.batch_size, "prune")
    parent = Parent(role=UNPRUNED, source=model, weights=hash_weights(model))
    prints = fingerprints(data)
    # A default that changes makes another model.
    settled = options.model_copy(update={"losses": options.losses or TASK_LOSSES, "recover": Training()})
    inputs = (hash_options(settled), hash_options(options.recover), training_inputs(data, prints))
    stage = StageFolder(Path(output), hash_text("prune", *inputs, parent.weights), replace)
    if stage.done:
        return _hold_target(stage.skip(console), options.target, stage.folder)
    work = _prepare(options, course, model, data, stage, console)
    small, manifest = _prune(work)
    manifest.parents, manifest.data = [parent], prints
    manifest.options |= {"data": data.model_dump(mode="json")}
    stage.finish(small, work.whole.tokenizer, manifest)
    return _hold_target(manifest, options.target, stage.folder)


def _hold_target(manifest: Manifest, target: Target | None, folder: Path) -> Manifest:
    """The manifest of the finished stage, where the model in it has reached its target."""
    shortfall = describe_shortfall(manifest.metrics["pruning"]["kept"], target)
    if shortfall:
        raise GateBreach(
            f"prune: {shortfall}\n  the model stands in {folder} all the same; let it recover longer, or lower "
            "target.kept",
            manifest,
        )
    return manifest


def _prepare(
    options: PruneStage, course: Course, model: str, data: Data, stage: StageFolder, console: Console
) -> _Work:
    task = make_task(data)
    whole = load_for_use(model, task.head)
    check_purpose(task, whole)
    rows = read_rows(data, whole)
    check_length(whole.model, data.max_length, model)
    if options.target and options.target.latency_ms is not None:
        check_length(whole.model, options.target.tokens, model)
    anatomy = Anatomy(whole.model, model)
    return _Work(options, course, whole, anatomy, rows, evaluator(rows, whole.tokenizer), stage, console)


def _prune(work: _Work) -> tuple[PreTrainedModel, Manifest]:
    """The pruned model, and its manifest but for what it was made from."""
    # Shares that cannot be are refused before anything is run.
    shape = None if work.options.target else settle_shape(work.options, work.anatomy)
    metrics: dict[str, Any] = {}
    with work.stage.preparing():
        importance = _weigh(work)
        found = _explore(work, work.options.target, importance) if work.options.target else None
    before = work.evaluate(work.whole.model)["score"]
    if found:
        frontier = _choose(work, found, importance, before)
        shape = next(each.shape for each in frontier.candidates if each.chosen)
        metrics["frontier"] = frontier.model_dump(mode="json")
    picks = choose_parts(importance, work.anatomy, shape or work.anatomy.shape)
    small = _cut(work, picks)
    cut = work.evaluate(small)["score"]
    work.console.print(f"prune: {work.anatomy.shape} → {picks.shape}", highlight=False)
    course = _fit(work, small)
    metrics |= _recover(work, small, course, work.options.recover, work.stage, "prune")
    outcome = _measure(work, small, picks, importance, (before, cut, metrics["best_score"]))
    metrics["pruning"] = outcome.model_dump(mode="json")
    work.console.print(outcome_table(outcome))
    speed = describe_speed(outcome.speed)
    work.console.print(f"prune: {speed}", highlight=False)
    resolved = work.options.model_copy(update={"losses": course.phases[0].losses}).model_dump(mode="json")
    notes = [*work.rows.notes, f"{work.anatomy.shape} → {picks.shape}", speed]
    return small, Manifest(stage="prune", key=work.stage.key, notes=notes, metrics=metrics, options=resolved)


def _weigh(work: _Work) -> Importance:
    """Importance on some of the training rows, or as measured before a kill."""
    rows = _some_rows(work, work.options.importance_rows)
    # Nothing here reads them, but a row that cannot be used is better found now than after a search.
    encode_role(work.rows, "test", work.whole.tokenizer)
    path = work.stage.work / "importance.safetensors"
    with ranks.main_first():
        if not path.is_file():
            work.console.print(f"prune: importance on {len(rows):,} training rows", highlight=False)
            measure_importance(work.whole.model, work.anatomy, rows, work.rows.task.name).save(path)
    return Importance.load(path)


def _some_rows(work: _Work, most: int) -> EncodedRows:
    """Some of the training rows, drawn evenly: neighbours are often of one class."""
    encoded = encode_role(work.rows, "train", work.whole.tokenizer)
    order = np.random.Generator(np.random.Philox(key=[work.options.recover.seed, len(encoded)]))
    chosen = sorted(order.permutation(len(encoded))[:most].tolist())
    features, example_of = ([part[row] for row in chosen] for part in (encoded.features, encoded.example_of))
    return EncodedRows(Encoded(features, encoded.examples, example_of), work.whole.tokenizer.pad_token_id)


def _explore(work: _Work, target: Target, importance: Importance) -> Frontier:
    """The frontier, or as it was before a kill: timings differ from day to day, and the shape must not."""
    path = work.stage.work / "frontier.json"
    with ranks.main_first():
        if not path.is_file():
            tokens = min(target.tokens, max_positions(work.anatomy.config))
            rows = _some_rows(work, PROBE_ROWS)
            probe = Probe(work.whole.model, work.anatomy, importance, rows, work.rows.task.name, tokens)
            candidates = list_candidates(work.anatomy, probe.change)
            work.console.print(f"prune: {len(candidates):,} shapes to choose from", highlight=False)
            beside = _count_beside(work.whole)
            frontier = find_frontier(target, tokens, beside, work.anatomy, candidates, probe.examine)
            write_atomically(path, frontier.model_dump_json())
    return Frontier.model_validate_json(path.read_bytes())


def _count_beside(whole: LoadedModel) -> int:
    """Bytes of tokenizer and configuration, which pruning leaves as large as they are."""
    with tempfile.TemporaryDirectory() as folder:
        whole.tokenizer.save_pretrained(folder)
        whole.config.save_pretrained(folder)
        return sum(path.stat().st_size for path in Path(folder).iterdir())


def _choose(work: _Work, frontier: Frontier, importance: Importance, before: float) -> Frontier:
    """The frontier with the chosen shape; shapes that were tried before a kill are not tried again."""
    share = work.options.target.kept if work.options.target else None
    if share is not None:
        if before <= 0:
            raise ModelError(
                f"{work.anatomy.source}: scores {before:.4f} on the validation rows; a share of that says nothing: "
                "name shares that stay, or another target"
            )
        frontier = choose_by_score(frontier, share * before, lambda shape: _try(work, importance, shape))
    work.console.print(frontier_table(frontier))
    return frontier


def _try(work: _Work, importance: Importance, shape: Shape) -> float:
    """The validation score of a shape after a short recovery."""
    folder = work.stage.work / "tries" / f"{shape.layers}-{shape.hidden}-{shape.feed_forward}"
    result = folder / "score.json"
    if not result.is_file():
        work.console.print(f"prune: trying {shape}", highlight=False)
        small = _cut(work, choose_parts(importance, work.anatomy, shape))
        stage, options = StageFolder(folder, work.stage.key), share_of(work.options.recover, SHORT)
        # What the rows are like is told once, by the recovery that counts.
        untold = dataclasses.replace(work, rows=dataclasses.replace(work.rows, notes=[]))
        summary = _recover(untold, small, _fit(work, small), options, stage, "trying")
        with ranks.main_first():
            if ranks.is_main():
                write_atomically(result, json.dumps(summary["best_score"]))
                stage.leave()
    return float(json.loads(result.read_text(encoding="utf-8")))


def _cut(work: _Work, picks: Picks) -> PreTrainedModel:
    return cut_model(work.whole.model, work.anatomy, picks).to(work.whole.model.device)


def _fit(work: _Work, small: PreTrainedModel) -> Course:
    if work.options.losses:
        return work.course
    return fit_default(work.course, (small.config.hidden_size, work.anatomy.shape.hidden), "prune", work.console)


def _recover(
    work: _Work, small: PreTrainedModel, course: Course, options: Training, stage: StageFolder, title: str
) -> dict[str, Any]:
    # A copy teaches: it may be cast to a shorter type, and the original is cut and timed again.
    teacher, tokenizer = copy.deepcopy(work.whole.model), work.whole.tokenizer
    return learn_rows(title, small, tokenizer, work.rows, options, course, stage, work.console, teacher)


def _measure(
    work: _Work, small: PreTrainedModel, picks: Picks, importance: Importance, scores: tuple[float, float, float]
) -> Outcome:
    """Size and speed of both models, and the scores before, directly after the cut, and after recovery."""
    before, cut, after = scores
    with ranks.main_first():
        speed = _time(work, small)
    return Outcome(
        unpruned=_weighed(work.anatomy, work.anatomy.shape, before),
        pruned=_weighed(work.anatomy, picks.shape, after),
        cut=cut,
        kept=kept(before, after),
        importance=importance_kept(importance, work.anatomy, picks),
        speed=speed,
    )


def _weighed(anatomy: Anatomy, shape: Shape, score: float) -> Weighed:
    parameters, size = anatomy.count(shape)
    return Weighed(shape=shape, parameters=parameters, bytes=size, score=score)


def _time(work: _Work, small: PreTrainedModel) -> Speed:
    features = encode_role(work.rows, "validation", work.whole.tokenizer).features
    models = {UNPRUNED: work.whole.model, PRUNED: small.to(work.whole.model.device)}
    pad = work.whole.tokenizer.pad_token_id
    inputs, task = list(work.whole.tokenizer.model_input_names), work.rows.task.name
    runs = {
        name: Runnable(as_engine(model, inputs, task), features, pad, str(model.device))
        for name, model in models.items()
    }
    return measure_speed(runs, seconds=SPEED_SECONDS)
