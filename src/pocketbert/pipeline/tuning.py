"""Searching fields of a recipe for the best validation score; what a run reports is not looked at."""

import datetime
import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import torch
import yaml
from rich.console import Console

from pocketbert.distill import ranks
from pocketbert.distill.learning import MASKED_LM_LOSSES
from pocketbert.distill.methods import choose_course
from pocketbert.distill.rows import read_rows
from pocketbert.errors import Interrupted, PocketBertError
from pocketbert.files import write_atomically
from pocketbert.locks import FolderLock
from pocketbert.models.loading import check_safe
from pocketbert.pipeline.inputs import search_key, without_reported_rows
from pocketbert.pipeline.running import check_sources
from pocketbert.pipeline.space import Axis, marks, plain_values, read_space, scored_stage, with_values
from pocketbert.pipeline.trials import Records, Trial, Tuning
from pocketbert.pipeline.tuning_table import show_value
from pocketbert.pipeline.walk import Walk, take_step
from pocketbert.recipe import DistillStage, Recipe, Tune
from pocketbert.tasks.embedding import Embedding

FOLDER = "search"
"""Of a search, in the folder of the run."""
BEST = "best.yaml"
RESULT = "tune.json"


def tune(recipe: Recipe, *, console: Console | None = None) -> Tuning:
    """Search the fields that ``tune.space`` names for the best validation score of the last stage that trains.

    Each trial walks the stages up to that one, without the rows that a run reports. Stages that no searched field
    bears on are made once; a trial whose stage another one has made already finds it.

    Args:
        recipe: with a section ``tune``.
        console: for progress; standard error when absent.

    Returns:
        Every trial, and which is the best; also written as ``tune.json`` beside ``best.yaml``, in the folder ``search``
        of the run's folder.

    Raises:
        PocketBertError: a searched field cannot have its values, an input cannot be used, or every trial failed.
        Interrupted: asked to stop; search again to go on.
    """
    options, axes, learnt = _check(recipe)
    folder = _folder(recipe)
    refusal = f"{folder}: another process is searching here; let it end, or name another output"
    # Two would train the same trial; the ranks of one process have the folder by their main one.
    with FolderLock(folder).held(refusal) if ranks.is_main() else nullcontext():
        search = _open(recipe, options, axes, learnt, console or Console(stderr=True))
        # What is wrong with a stage that all trials share ends the search, and not each of its trials.
        shared = min(axis.stage for axis in search.axes) - 1
        _walk(search, search.learnt, {}, shared)
        while (trial := _begin(search)) is not None:
            _attempt(search, trial)
        return _conclude(search)


def _folder(recipe: Recipe) -> Path:
    return Path(recipe.output or f"runs/{recipe.name}") / FOLDER


@dataclass
class _Search:
    """Where a search stands.

    Attributes:
        recipe: as it was given.
        learnt: the same without the rows that a run reports.
        options: of the search.
        axes: the searched fields.
        scored: number of the last stage that trains.
        records: of the trials.
        console: for progress.
        start: when this process began to search.
        before: seconds of the trials before that.
    """

    recipe: Recipe
    learnt: Recipe
    options: Tune
    axes: list[Axis]
    scored: int
    records: Records
    console: Console
    start: float = field(default_factory=time.monotonic)
    before: float = 0.0


def _check(recipe: Recipe) -> tuple[Tune, list[Axis], Recipe]:
    """The search, its fields, and the recipe without the rows that a run reports; nothing is written before."""
    _check_installed()
    if recipe.tune is None:
        raise PocketBertError("tune: the recipe names no fields to search; add a section tune (docs/tuning.md)")
    axes = read_space(recipe, recipe.tune.space)
    learnt = without_reported_rows(recipe)
    for model in (recipe.teacher and recipe.teacher.model, recipe.student.start):
        if model:
            check_safe(model)
    check_sources(learnt, first_too=True)
    _check_scored(learnt)
    return recipe.tune, axes, learnt


def _open(recipe: Recipe, options: Tune, axes: list[Axis], learnt: Recipe, console: Console) -> _Search:
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    records = Records(_folder(recipe), search_key(recipe, learnt))
    begun = records.open()
    before = sum(trial.seconds for trial in [*records.ended, *([begun] if begun else [])])
    return _Search(recipe, learnt, options, axes, scored_stage(recipe), records, console, before=before)


def _check_scored(learnt: Recipe) -> None:
    """Find out before any trial what would leave all of them without a score.

    Raises:
        PocketBertError: the last stage that trains is not validated.
    """
    number = scored_stage(learnt) - 1
    options = learnt.stages[number].options
    if isinstance(options, DistillStage) and options.corpus:
        if not choose_course(options, "text", MASKED_LM_LOSSES).answers:
            raise PocketBertError(
                f"tune: stages.{number}.distill teaches no answers of a language model, so there is no score to search "
                "by; add a stage on the rows of a task"
            )
        return
    data = getattr(options, "data", None) or learnt.data
    if data is not None and data.task == Embedding.name and not read_rows(data).validation:
        raise PocketBertError("tune: no text to embed has a score to search by; name scored pairs in data.validation")


def _check_installed() -> None:
    try:
        import optuna  # noqa: F401 - of the extra `tune`
    except ModuleNotFoundError as error:
        raise PocketBertError(f"tune: {error.name} is not installed; pip install 'pocketbert[tune]'") from None


def _begin(search: _Search) -> Trial | None:
    """The next trial: the one that was stopped, else a new one, else None where the search is over."""
    records = search.records
    with ranks.main_first():
        trial = records.open()
        if trial is None and ranks.is_main() and not _over(search):
            from pocketbert.pipeline.sampling import suggest  # here, for only a search needs Optuna

            values = suggest(search.axes, search.options.seed, records.ended)
            trial = Trial(number=len(records.ended) + 1, values=values)
            records.write(trial)
    return trial


def _spent(search: _Search) -> float:
    return search.before + time.monotonic() - search.start


def _over(search: _Search) -> bool:
    budget = search.options.budget
    return len(search.records.ended) >= search.options.trials or (budget is not None and _spent(search) >= budget)


def _attempt(search: _Search, trial: Trial) -> None:
    """Give a trial its score, or the reason why it has none."""
    _announce(search, trial)
    start, before = time.monotonic(), trial.seconds
    try:
        recipe = without_reported_rows(with_values(search.recipe, trial.values))
        score = _walk(search, recipe, marks(search.axes, trial.values, search.scored), search.scored)
        if score is None:
            raise PocketBertError("the last stage that trains was not validated, so there is no score to search by")
        ended = trial.model_copy(update={"state": "finished", "score": score})
    except Interrupted:
        trial.seconds = round(before + time.monotonic() - start, 1)
        search.records.write(trial)
        raise
    except (PocketBertError, torch.OutOfMemoryError) as error:
        if ranks.count() > 1 and not isinstance(error, PocketBertError):
            raise  # the other ranks may have had memory enough, and would wait for this one
        ended = trial.model_copy(update={"state": "failed", "message": str(error)})
        search.console.print(f"failed: {error}", markup=False, highlight=False, soft_wrap=True)
    ended.seconds = round(before + time.monotonic() - start, 1)
    search.records.end(ended)


def _walk(search: _Search, recipe: Recipe, own: dict[int, str], stages: int) -> float | None:
    """Walk the first stages of a recipe; the validation score of the last one, where it has one."""
    teacher = recipe.teacher.model if recipe.teacher else None
    walk = Walk(recipe, search.records.folder / "stages", search.console, teacher, teacher, recipe.student, False, own)
    for number, stage in enumerate(recipe.stages[:stages], start=1):
        search.console.rule(f"{number}/{search.scored} {stage.kind}", align="left")
        take_step(walk, number, stage.options)
    last = next(reversed(walk.manifests.values()), None)
    return last.metrics.get("best_score") if last else None


def _announce(search: _Search, trial: Trial) -> None:
    values = " · ".join(f"{path.rpartition('.')[2]} {show_value(value)}" for path, value in trial.values.items())
    title = f"trial {trial.number} of {search.options.trials}{_left(search)}"
    search.console.rule(title, characters="═", align="left")
    search.console.print(values, highlight=False)


def _left(search: _Search) -> str:
    """How long the search will go on, by the mean of the trials so far."""
    ended, options = search.records.ended, search.options
    if not ended:
        return ""
    mean = sum(trial.seconds for trial in ended) / len(ended)
    seconds = mean * (options.trials - len(ended))
    if options.budget is not None:
        seconds = min(seconds, max(options.budget - _spent(search), mean))
    return f" · about {datetime.timedelta(seconds=round(seconds))} left"


def _conclude(search: _Search) -> Tuning:
    """What was found, written down too."""
    records, trials = search.records, search.records.ended
    finished = [trial for trial in trials if trial.score is not None]
    if not finished:
        said = f"every trial failed; the last said: {trials[-1].message}" if trials else "no trial began in the budget"
        raise PocketBertError(f"tune: {said}\n  Mend the recipe, and delete {records.folder} to search afresh")
    best = max(finished, key=lambda trial: (trial.score, -trial.number))
    path = records.folder / BEST
    tuning = Tuning(name=search.recipe.name, trials=trials, best=best.number, recipe=str(path))
    if ranks.is_main():
        write_atomically(path, _best_recipe(search.recipe, best))
        write_atomically(records.folder / RESULT, tuning.model_dump_json(indent=2) + "\n")
    return tuning


def _best_recipe(recipe: Recipe, best: Trial) -> str:
    tree = plain_values(with_values(recipe, best.values))
    head = f"# Trial {best.number} of a search, validation score {best.score:.4f}\n"
    return head + yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)
