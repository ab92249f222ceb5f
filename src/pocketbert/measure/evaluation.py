"""Models on held-out rows: one alone, or teacher against student with the baselines."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from rich.console import Console

from pocketbert.data.sources import fingerprint
from pocketbert.distill.prediction import run_engine
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
from pocketbert.engines.exported import is_exported
from pocketbert.errors import DataError, ModelError, PocketBertError
from pocketbert.files import hash_text
from pocketbert.manifest import hash_options
from pocketbert.measure.language import evaluate_masked_lm
from pocketbert.measure.opening import OpenModel, hash_reference, open_model
from pocketbert.measure.results import Comparison, Evaluation, Interval, Role
from pocketbert.measure.scores import compare_predictions, draw_scores
from pocketbert.measure.size import measure_size
from pocketbert.measure.speed import Runnable, measure_speed
from pocketbert.recipe import Data
from pocketbert.tasks.base import Encoded, Example, Feature, Task
from pocketbert.tasks.embedding import SCORED
from pocketbert.tasks.registry import make_task

SPEED_SECONDS = 20.0


@dataclass(frozen=True)
class Answers:
    """A model's answers, and the features they were made from."""

    model: OpenModel
    encoded: Encoded
    predictions: list[Any]

    @property
    def first_windows(self) -> list[Feature]:
        """The first window of each example: what tokenizers that differ have in common."""
        _, first = np.unique(self.encoded.example_of, return_index=True)
        return [self.encoded.features[window] for window in first]


def evaluate(
    model: str, data: Data, *, console: Console | None = None, resamples: int = 1000, seed: int = 0
) -> Evaluation:
    """Score a model on held-out rows, or on held-out text for the masked language model.

    Args:
        model: a model directory or hub name with the task's head, or an exported file that answers the task.
        data: the task; its ``test`` rows are answered, else its ``validation`` rows.
        console: for progress; standard error when absent.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Raises:
        PocketBertError: the model has no such head, or the rows cannot be used.
    """
    check_named(data)
    if data.task == "masked_lm":
        return evaluate_masked_lm(model, data, console or Console(stderr=True), resamples, seed)
    opened = open_for(data, model)
    rows = rows_for(data, opened)
    answers = answer(opened, rows)
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
    """Hash of all that a comparison depends on, the threads that torch has been set to among it."""
    sources = [*(data.train or []), *(data.validation or []), *(data.test or [])]
    opened = map(hash_reference, models.values())
    return hash_text(hash_options(data), fingerprint(sources), *opened, str(torch.get_num_threads()))


def compare(models: Mapping[Role, str], data: Data, name: str | None = None, seed: int = 0) -> Comparison:
    """Compare a student with its teacher on the same held-out rows, and time both in turn.

    Args:
        models: model directories or exported files by role: ``teacher``, ``student`` and, where there is one,
            ``without_teacher``.
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
    # Exported files run on the CPU, and so does torch beside them.
    on_cpu = any(map(is_exported, models.values()))
    opened = {role: open_for(data, model, on_cpu=on_cpu) for role, model in models.items()}
    rows = rows_for(data, opened["teacher"])
    answers = {role: answer(model, rows) for role, model in opened.items()}
    examples = shared_examples(list(answers.values()))
    predictions = {role: own.predictions for role, own in answers.items()}
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
    timed = {role: own for role, own in answers.items() if role != "without_teacher"}
    return Comparison(
        key=comparison_key(models, data),
        quality=quality,
        sizes={role: measure_size(models[role]) for role in timed},
        speed=measure_speed({role: _runnable(own) for role, own in timed.items()}, seconds=SPEED_SECONDS),
        notes=rows.notes,
    )


def check_named(data: Data) -> None:
    """Refuse data without rows to evaluate on.

    Raises:
        DataError: there are neither test nor validation rows.
    """
    if not (data.test or data.validation):
        raise DataError("name the rows to evaluate on: --data FILE, or data.test in a recipe")


def open_for(data: Data, reference: str, *, threads: int | None = None, on_cpu: bool = False) -> OpenModel:
    """Open a model that answers the task of some data; see :func:`~pocketbert.measure.opening.open_model`.

    Raises:
        ModelError: it cannot be opened, or was made for another task.
    """
    task = make_task(data)
    opened = open_model(reference, data.task, threads=threads, on_cpu=on_cpu)
    check_purpose(task, opened)
    return opened


def rows_for(data: Data, model: OpenModel) -> TaskRows:
    """The rows to answer; without training rows the labels are the model's."""
    if data.train:
        return read_rows(data)
    return read_test_rows(data, named_labels(model))


def answer(model: OpenModel, rows: TaskRows) -> Answers:
    """Answer the test rows.

    Raises:
        DataError: a row is too long and ``too_long`` is ``fail``, or there is none.
        ModelError: a row has more tokens than the model takes, or the labels are others.
    """
    encoded = encode_role(rows, "test", model.tokenizer)
    if not encoded.examples:
        raise DataError(f"no row to evaluate on; name some in data.test: {SCORED}")
    longest, limit = int(encoded.lengths.max()), model.engine.description.max_length
    if longest > limit:
        raise ModelError(f"{model.source}: takes at most {limit} tokens, but a row has {longest}; lower max_length")
    logits = run_engine(model.engine, encoded.features, model.tokenizer.pad_token_id)
    return Answers(model, encoded, rows.task.decode(_in_task_order(logits, rows.task, model), encoded))


def shared_examples(answers: Sequence[Answers]) -> list[Example]:
    """The examples that the models answered, which are the same for all.

    Raises:
        DataError: a row is too long for one tokenizer and not for another, and was left out.
    """
    first, *others = answers
    for other in others:
        if _places(other) != _places(first):
            raise DataError(
                f"{first.model.source} and {other.model.source} have different tokenizers, so that too_long: skip "
                "leaves them different rows; set too_long: truncate, or raise max_length"
            )
    return first.encoded.examples


def _places(answers: Answers) -> list[str]:
    return [example.where for example in answers.encoded.examples]


def _in_task_order(logits: list[Any], task: Task, model: OpenModel) -> list[Any]:
    """Columns of the logits in the order of the task's labels, whatever order the model was trained with."""
    theirs = label_order(task, model)
    if task.labels is None or theirs is None or theirs == task.labels:
        return logits
    columns = [theirs.index(label) for label in task.labels]
    return [row[..., columns] for row in logits]


def _runnable(answers: Answers) -> Runnable:
    model = answers.model
    return Runnable(model.engine, answers.first_windows, model.tokenizer.pad_token_id, model.device)
