"""From the data section of a recipe to the examples of each role: train, validation, test.

What is selected on is never what is reported: without test rows the validation rows are reported, and a share of the
training rows is held out for choosing the checkpoint.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol

from pocketbert.data.records import Record, Skipped
from pocketbert.data.sources import fingerprint, is_text, read_records, resolve
from pocketbert.distill.holding import hold_out
from pocketbert.errors import DataError, ModelError
from pocketbert.files import hash_text
from pocketbert.manifest import hash_options
from pocketbert.recipe import Data
from pocketbert.tasks.base import Encoded, Example, Task
from pocketbert.tasks.embedding import Embedding
from pocketbert.tasks.registry import TASKS, make_task
from pocketbert.tasks.regression import Regression
from pocketbert.tasks.rows import read_unlabelled

Role = Literal["train", "validation", "test", "unlabelled", "augmented"]

UNVALIDATED = (
    "no row to choose the checkpoint by: the last weights count (name scored pairs in data.validation, and others in "
    "data.test)"
)
NO_ROWS: list[str] = []
"""As ``test``: there are such rows, and they are not to be read. A recipe cannot say so."""


@dataclass(frozen=True)
class TaskRows:
    """The rows of a task.

    Attributes:
        task: fitted: its columns and labels are known.
        train: to learn from.
        validation: for choosing the checkpoint; empty where no text to embed has a score.
        test: for the reported numbers; the same.
        unlabelled: for the teacher to label: their target is None.
        augmented: altered copies of those to learn from, for the teacher to label too.
        notes: what was guessed, held out, skipped and cut.
    """

    task: Task
    train: list[Example]
    validation: list[Example]
    test: list[Example]
    notes: list[str] = field(default_factory=list)
    unlabelled: list[Example] = field(default_factory=list)
    augmented: list[Example] = field(default_factory=list)


class Headed(Protocol):
    """A model with a head, whatever runs it.

    Attributes:
        source: where it came from.
        config: with its labels in the order of the logits.
    """

    @property
    def source(self) -> str: ...  # noqa: D102

    @property
    def config(self) -> Any: ...  # noqa: D102


def read_rows(data: Data, teacher: Headed | None = None) -> TaskRows:
    """Read all rows of a task.

    Args:
        data: the sources, and what is read from them.
        teacher: trained on the task; its labels are in the order that the targets are to have.

    Raises:
        DataError: a source or a row cannot be used; the message says where and why.
        ModelError: the teacher's labels are not those of the data.
    """
    if not data.train:
        raise DataError("data.train: name the training rows")
    task = make_task(data)
    records = list(itertools.islice(_learnt_records(data, task, data.train), data.limit))
    task.fit(records)
    if teacher is not None:
        # Before any example is read: its target is the place of its label in this order.
        task.labels = label_order(task, teacher)
    train = task.examples(records)
    validation = _examples(data, task, data.validation, "validation")
    test = _examples(data, task, data.test, "test")
    if data.validation and data.test is None:
        test, validation = validation, []
    notes = _reading_notes(task)
    # Texts without a score are learnt from like all others, and nothing can be chosen or reported by them.
    scored = all(example.target is not None for example in train)
    if scored and not test and data.test != NO_ROWS:
        train, test = hold_out(train, "test", notes)
    if scored and not validation:
        train, validation = hold_out(train, "validation", notes)
    notes += [] if validation else [UNVALIDATED]
    notes.append(f"rows: {len(train):,} train, {len(validation):,} validation, {len(test):,} test")
    return TaskRows(task, train, validation, test, notes)


def with_unlabelled(rows: TaskRows) -> TaskRows:
    """The same rows, and beside them those without a label that the data section names.

    Plain text is a text a line whatever the layout of the other rows, unless that layout is of pairs.

    Raises:
        DataError: a source or a row cannot be used; the message says where and why.
    """
    task, data = rows.task, rows.task.data
    if not data.unlabelled:
        return rows
    task.skipped = Skipped()  # those of the other rows are noted already
    places = resolve(data.unlabelled)
    records = itertools.chain.from_iterable(_unlabelled_records(data, task, place) for place in places)
    found = read_unlabelled(task, records)
    notes = [*rows.notes, *_skipped_notes(task, "rows without a label"), f"rows: {len(found):,} without a label"]
    return replace(rows, unlabelled=found, notes=notes)


def without_reported(data: Data) -> Data:
    """The same rows to learn from and to choose by, without opening those that are reported.

    Where all come from ``train``, those that would be reported are held out as ever, and used for nothing.
    """
    if data.test:
        return data.model_copy(update={"test": NO_ROWS})
    if data.validation:
        return data.model_copy(update={"validation": None, "test": NO_ROWS})
    return data


def read_test_rows(data: Data, labels: list[str] | None) -> TaskRows:
    """Read the rows to evaluate on: ``test``, else ``validation``; the labels are those of the model.

    Raises:
        DataError: neither is named, or a row cannot be used.
    """
    sources = data.test or data.validation
    if not sources:
        raise DataError("name the rows to evaluate on: data.test in a recipe, else --data FILE or --test FILE")
    task = make_task(data)
    # The order of a recipe or layout says which label is the positive one; without either it is the model's.
    task.labels = task.labels or labels
    records = list(_records(data, task, sources, "test"))
    task.fit(records)
    test = task.scored_examples(records)
    if not test:
        raise DataError(f"{', '.join(sources)}: no row is left to evaluate on")
    return TaskRows(task, [], [], test, _reading_notes(task))


def encode_role(rows: TaskRows, role: Role, tokenizer: Any) -> Encoded:
    """Encode the rows of a role, and note which of them ``max_length`` left out or cut.

    Args:
        rows: of the task; get the notes.
        role: whose rows.
        tokenizer: a fast one.

    Returns:
        The features; the examples are those that were not left out.

    Raises:
        DataError: a row is too long and ``too_long`` is ``fail``, or every row was left out.
    """
    examples: list[Example] = getattr(rows, role)
    if not examples:
        return Encoded([], [], [])
    encoded = rows.task.encode(examples, tokenizer)
    limit = rows.task.data.max_length
    of_rows = f"of {len(examples):,} {'training' if role == 'train' else role} rows"
    kept = set(map(id, encoded.examples))
    left_out = [example.where for example in examples if id(example) not in kept]
    if left_out and not kept:
        raise DataError(
            f"{left_out[0]}: too long for max_length {limit}, like every other {of_rows}; raise it, or set "
            "too_long: truncate"
        )
    if left_out:
        places = "; ".join(left_out[:3])
        _note(rows, f"skipped {len(left_out):,} {of_rows}, too long for max_length {limit}, such as: {places}")
    if encoded.truncated:
        _note(rows, f"truncated {encoded.truncated:,} {of_rows} to max_length {limit}")
    return encoded


def fingerprints(data: Data, *, unlabelled: bool = False) -> dict[str, str]:
    """Fingerprint of each source that a data section names, by role.

    Args:
        data: the data section.
        unlabelled: whether rows without a label are read too.
    """
    roles = {"train": data.train, "validation": data.validation, "test": data.test}
    if unlabelled:
        roles["unlabelled"] = data.unlabelled
    return {role: fingerprint(sources) for role, sources in roles.items() if sources}


def training_inputs(data: Data, prints: Mapping[str, str]) -> str:
    """What a training depends on, for its key: all but named test rows, which nothing learns from or is chosen by.

    Args:
        data: the data section.
        prints: its fingerprints by role.
    """
    # Rows without a label count by their fingerprint, for a stage that reads them.
    data = data.model_copy(update={"unlabelled": None})
    if not data.test:
        # Some other rows are held out for the test then, so that every source counts.
        return hash_text(hash_options(data), *prints.values())
    learnt = data.model_copy(update={"test": NO_ROWS})
    return hash_text(hash_options(learnt), *(each for role, each in prints.items() if role != "test"))


def check_purpose(task: Task, model: Headed) -> None:
    """Refuse a model whose head was trained for another task than the one it is to answer or teach.

    Raises:
        ModelError: its outputs are no number, or its ``config.json`` has the problem type of another task.
    """
    config = model.config
    if task.name == Regression.name and config.num_labels != 1:
        raise ModelError(
            f"{model.source}: has {config.num_labels} outputs, but regression has one; finetune it on this data first"
        )
    theirs = config.problem_type
    trained = {kind.problem_type: name for name, kind in TASKS.items()}.get(theirs) if theirs else None
    if task.problem_type and trained and trained != task.name:
        raise ModelError(
            f"{model.source}: was trained for {trained} (problem_type {theirs} in config.json), but data.task is "
            f"{task.name}; set data.task: {trained}, or finetune it on this data first"
        )


def label_order(task: Task, model: Headed) -> list[str] | None:
    """The task's labels in the order of a model's logits; None for a task without labels.

    A model that only numbers its labels (``LABEL_0``, …) is taken to have been trained in the task's order.

    Raises:
        ModelError: the model's labels are not those of the data.
    """
    if task.labels is None or task.name in (Regression.name, Embedding.name):
        return None
    theirs = _labels(model)
    if sorted(theirs) == sorted(task.labels):
        return theirs
    if not _only_numbered(theirs):
        raise ModelError(
            f"{model.source}: its labels ({_first(theirs)}) are not those of the data ({_first(task.labels)}); "
            "finetune it on this data first, or name data.labels in its order"
        )
    if len(theirs) != len(task.labels):
        raise ModelError(
            f"{model.source}: has {len(theirs)} labels without names, but the data has {len(task.labels)} "
            f"({_first(task.labels)}); name all of the model's labels in data.labels, in its order"
        )
    return task.labels


def named_labels(model: Headed) -> list[str] | None:
    """A model's labels in the order of its logits; None where it only numbers them."""
    labels = _labels(model)
    return None if _only_numbered(labels) else labels


def targets(examples: Sequence[Example]) -> list[Any]:
    """What each example says is right."""
    return [example.target for example in examples]


def _labels(model: Headed) -> list[str]:
    config = model.config
    return [config.id2label[number] for number in range(config.num_labels)]


def _only_numbered(labels: Sequence[str]) -> bool:
    return all(label.startswith("LABEL_") for label in labels)


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (", …" if len(names) > 8 else "")


def _reading_notes(task: Task) -> list[str]:
    return [*task.notes, *_skipped_notes(task, "rows")]


def _skipped_notes(task: Task, rows: str) -> list[str]:
    if not task.skipped.count:
        return []
    return [f"skipped {task.skipped.count:,} bad {rows}, such as: {'; '.join(task.skipped.reasons[:3])}"]


def _note(rows: TaskRows, note: str) -> None:
    """Add a note once, though several models may read the same rows."""
    if note not in rows.notes:
        rows.notes.append(note)


def _examples(data: Data, task: Task, sources: list[str] | None, split: str) -> list[Example]:
    return task.scored_examples(_records(data, task, sources, split)) if sources else []


def _learnt_records(data: Data, task: Task, sources: list[str]) -> Iterator[Record]:
    if task.name != Embedding.name:
        return _records(data, task, sources, "train")
    # As without labels: plain text has no layout.
    return itertools.chain.from_iterable(_unlabelled_records(data, task, place) for place in resolve(sources))


def _unlabelled_records(data: Data, task: Task, place: Path | str) -> Iterator[Record]:
    plain = is_text(place) and "pair" not in task.columns
    return _records(data.model_copy(update={"layout": None}) if plain else data, task, [str(place)], "train")


def _records(data: Data, task: Task, sources: list[str], split: str) -> Iterator[Record]:
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
