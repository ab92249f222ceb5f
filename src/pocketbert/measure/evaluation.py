"""Models on held-out rows: one alone, or teacher against student with the baselines."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Console

from pocketbert.data.sources import fingerprint
from pocketbert.distill.prediction import run_model
from pocketbert.distill.rows import (
    TaskRows,
    check_purpose,
    encode_role,
    label_order,
    named_labels,
    read_rows,
    read_test_rows,
    targets,
)
from pocketbert.errors import DataError, PocketBertError
from pocketbert.files import hash_text
from pocketbert.manifest import hash_options, hash_weights
from pocketbert.measure.language import evaluate_masked_lm
from pocketbert.measure.results import Comparison, Evaluation, Interval, Role
from pocketbert.measure.scores import compare_predictions, draw_scores
from pocketbert.measure.speed import Runnable, measure_size, measure_speed
from pocketbert.models.loading import LoadedModel, load_for_use, local_folder
from pocketbert.recipe import Data
from pocketbert.tasks import make_task
from pocketbert.tasks.base import Encoded, Example, Task

SPEED_SECONDS = 20.0


@dataclass(frozen=True)
class _Answers:
    """A model's answers, and the features they were made from."""

    loaded: LoadedModel
    encoded: Encoded
    predictions: list[Any]


def evaluate(
    model: str, data: Data, *, console: Console | None = None, resamples: int = 1000, seed: int = 0
) -> Evaluation:
    """Score a model on held-out rows, or on held-out text for the masked language model.

    Args:
        model: a model directory or hub name with the task's head.
        data: the task; its ``test`` rows are answered, else its ``validation`` rows.
        console: for progress; standard error when absent.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Raises:
        PocketBertError: the model has no such head, or the rows cannot be used.
    """
    if not (data.test or data.validation):
        raise DataError("name the rows to evaluate on: --data FILE, or data.test in a recipe")
    if data.task == "masked_lm":
        return evaluate_masked_lm(model, data, console or Console(stderr=True), resamples, seed)
    loaded = _load(model, data)
    rows = _rows(data, loaded)
    answers = _answer(loaded, rows)
    examples = answers.encoded.examples
    true = targets(examples)
    scores = rows.task.score(answers.predictions, true)
    majority = rows.task.majority(targets(rows.train or examples), examples)
    draws = draw_scores({"student": rows.task.scorer(answers.predictions, true)}, len(true), resamples, seed)
    low, high = np.quantile(draws["student"], [0.025, 0.975])
    return Evaluation(
        model=model,
        task=rows.task.name,
        examples=len(true),
        metrics=scores,
        majority=rows.task.score(majority, true),
        deciding=rows.task.deciding,
        score=float(np.mean([scores[name] for name in rows.task.deciding])),
        interval=Interval(low=float(low), high=float(high)),
        truncated=answers.encoded.truncated,
        notes=rows.notes,
    )


def comparison_key(models: Mapping[Role, str], data: Data) -> str:
    """Hash of all that a comparison depends on."""
    sources = [*(data.train or []), *(data.validation or []), *(data.test or [])]
    return hash_text(hash_options(data), fingerprint(sources), *(hash_weights(model) for model in models.values()))


def compare(models: Mapping[Role, str], data: Data, name: str | None = None, seed: int = 0) -> Comparison:
    """Compare a student with its teacher on the same held-out rows, and time both in turn.

    Args:
        models: directories by role: ``teacher``, ``student`` and, where there is one, ``without_teacher``.
        data: the task; its ``test`` rows are answered, else its ``validation`` rows. With ``train`` rows the
            majority class is theirs, else that of the answered rows.
        name: of the data, for people.
        seed: of the bootstrap.

    Raises:
        PocketBertError: teacher or student is missing, a model has no such head, or the rows cannot be used.
    """
    for role in ("teacher", "student"):
        if role not in models:
            raise PocketBertError(f"compare: name the model that is the {role}")
    loaded = {role: _load(model, data) for role, model in models.items()}
    rows = _rows(data, loaded["teacher"])
    answers = {role: _answer(model, rows) for role, model in loaded.items()}
    examples = _shared_examples(list(answers.values()))
    predictions = {role: answer.predictions for role, answer in answers.items()}
    quality = compare_predictions(
        rows.task,
        targets(examples),
        predictions["teacher"],
        predictions["student"],
        predictions.get("without_teacher"),
        rows.task.majority(targets(rows.train or examples), examples),
        seed=seed,
        name=name,
    )
    timed = {role: answer for role, answer in answers.items() if role != "without_teacher"}
    return Comparison(
        key=comparison_key(models, data),
        quality=quality,
        sizes={role: measure_size(local_folder(models[role])) for role in timed},
        speed=measure_speed({role: _runnable(answer) for role, answer in timed.items()}, seconds=SPEED_SECONDS),
        notes=rows.notes,
    )


def _load(model: str, data: Data) -> LoadedModel:
    task = make_task(data)
    loaded = load_for_use(model, task.head)
    check_purpose(task, loaded)
    return loaded


def _rows(data: Data, loaded: LoadedModel) -> TaskRows:
    if data.train:
        return read_rows(data)
    return read_test_rows(data, named_labels(loaded))


def _answer(loaded: LoadedModel, rows: TaskRows) -> _Answers:
    encoded = encode_role(rows, "test", loaded.tokenizer)
    logits = run_model(loaded.model, encoded.features, loaded.tokenizer.pad_token_id)
    return _Answers(loaded, encoded, rows.task.decode(_in_task_order(logits, rows.task, loaded), encoded))


def _shared_examples(answers: Sequence[_Answers]) -> list[Example]:
    """The examples that the models answered, which are the same for all.

    Raises:
        DataError: a row is too long for one tokenizer and not for another, and was left out.
    """
    first, *others = answers
    for other in others:
        if _places(other) != _places(first):
            raise DataError(
                f"{first.loaded.source} and {other.loaded.source} have different tokenizers, so that too_long: skip "
                "leaves them different rows; set too_long: truncate, or raise max_length"
            )
    return first.encoded.examples


def _places(answers: _Answers) -> list[str]:
    return [example.where for example in answers.encoded.examples]


def _in_task_order(logits: list[Any], task: Task, loaded: LoadedModel) -> list[Any]:
    """Columns of the logits in the order of the task's labels, whatever order the model was trained with."""
    theirs = label_order(task, loaded)
    if task.labels is None or theirs is None or theirs == task.labels:
        return logits
    columns = [theirs.index(label) for label in task.labels]
    return [row[..., columns] for row in logits]


def _runnable(answers: _Answers) -> Runnable:
    """The model and the first window of each example: what tokenizers that differ have in common."""
    _, first = np.unique(answers.encoded.example_of, return_index=True)
    features = [answers.encoded.features[window] for window in first]
    return Runnable.from_module(answers.loaded.model, features, answers.loaded.tokenizer.pad_token_id)
