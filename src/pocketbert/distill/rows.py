"""From the data section of a recipe to the examples of each role: train, validation, test.

What is selected on is never what is reported: without test rows the validation rows are reported, and a share of the
training rows is held out for choosing the checkpoint.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pocketbert.data.sources import fingerprint, read_records
from pocketbert.errors import DataError, ModelError
from pocketbert.recipe import Data
from pocketbert.tasks import make_task
from pocketbert.tasks.base import Example, Task

HELD_OUT_SHARE = 0.1
HELD_OUT_ROWS = 1000
"""Most rows that are held out of the training rows for a role."""


@dataclass(frozen=True)
class TaskRows:
    """The rows of a task.

    Attributes:
        task: fitted: its columns and labels are known.
        train: to learn from.
        validation: for choosing the checkpoint.
        test: for the reported numbers.
        fingerprints: of each source, by role.
        notes: what was guessed, held out and skipped.
    """

    task: Task
    train: list[Example]
    validation: list[Example]
    test: list[Example]
    fingerprints: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def read_rows(data: Data) -> TaskRows:
    """Read all rows of a task.

    Raises:
        DataError: a source or a row cannot be used; the message says where and why.
    """
    if not data.train:
        raise DataError("data.train: name the training rows")
    task = make_task(data)
    records = list(_records(data, task, data.train, "train"))[: data.limit]
    task.fit(records)
    train = task.examples(records)
    validation = _examples(data, task, data.validation, "validation")
    test = _examples(data, task, data.test, "test")
    if data.validation and not data.test:
        test, validation = validation, []
    notes = list(task.notes)
    if not test:
        train, test = _hold_out(train, "test", notes)
    if not validation:
        train, validation = _hold_out(train, "validation", notes)
    if task.skipped.count:
        notes.append(f"skipped {task.skipped.count:,} bad rows, such as: {'; '.join(task.skipped.reasons[:3])}")
    notes.append(f"rows: {len(train):,} train, {len(validation):,} validation, {len(test):,} test")
    return TaskRows(task, train, validation, test, fingerprints(data), notes)


def read_test_rows(data: Data, labels: list[str] | None) -> TaskRows:
    """Read the rows to evaluate on: ``test``, else ``validation``; the labels are those of the model.

    Raises:
        DataError: neither is named, or a row cannot be used.
    """
    sources = data.test or data.validation
    if not sources:
        raise DataError("data: name the rows to evaluate on (--data FILE)")
    task = make_task(data if data.labels or labels is None else data.model_copy(update={"labels": labels}))
    records = list(_records(data, task, sources, "test"))
    task.fit(records)
    test = task.examples(records)
    if not test:
        raise DataError(f"{', '.join(sources)}: no row is left to evaluate on")
    return TaskRows(task, [], [], test, {"test": fingerprint(sources)}, list(task.notes))


def fingerprints(data: Data) -> dict[str, str]:
    """Fingerprint of each source that a data section names, by role."""
    roles = {"train": data.train, "validation": data.validation, "test": data.test}
    return {role: fingerprint(sources) for role, sources in roles.items() if sources}


def adopt_labels(task: Task, config: Any, source: str) -> None:
    """Take over the label order of a model that was trained on the task.

    Raises:
        ModelError: the model's labels are not those of the data.
    """
    if task.labels is None:
        return
    theirs = [config.id2label[number] for number in range(config.num_labels)]
    if sorted(theirs) == sorted(task.labels):
        task.labels = theirs
    elif not (len(theirs) == len(task.labels) and all(label.startswith("LABEL_") for label in theirs)):
        raise ModelError(
            f"{source}: its labels ({', '.join(theirs[:8])}) are not those of the data "
            f"({', '.join(task.labels[:8])}); finetune it on this data first, or name data.labels in its order"
        )


def targets(examples: Sequence[Example]) -> list[Any]:
    """What each example says is right."""
    return [example.target for example in examples]


def _examples(data: Data, task: Task, sources: list[str] | None, split: str) -> list[Example]:
    return task.examples(_records(data, task, sources, split)) if sources else []


def _records(data: Data, task: Task, sources: list[str], split: str) -> Any:
    columns = (
        data.text,
        data.pair,
        data.label,
        data.tokens,
        data.tags,
        data.question,
        data.context,
        data.answers,
    )
    return read_records(
        sources,
        split=split,
        layout=data.layout,
        columns=columns,
        on_error=data.on_error,
        skipped=task.skipped,
    )


def _hold_out(train: list[Example], role: str, notes: list[str]) -> tuple[list[Example], list[Example]]:
    count = min(HELD_OUT_ROWS, round(len(train) * HELD_OUT_SHARE))
    if not count:
        raise DataError(f"{len(train)} training rows are too few to hold some out; name data.{role}")
    # The same rows whatever the seed of the run, so that runs with several seeds can be compared.
    order = np.random.Generator(np.random.Philox(key=[0, len(train)])).permutation(len(train))
    held, rest = sorted(order[:count]), sorted(order[count:])
    notes.append(f"held out {count:,} of the training rows for {role}")
    return [train[row] for row in rest], [train[row] for row in held]
