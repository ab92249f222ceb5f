"""Label names: read from any format, collected in a stable order, and missed with a hint."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from typing import Any

from pocketbert.data.records import Record
from pocketbert.errors import DataError
from pocketbert.tasks.base import Task
from pocketbert.tasks.rows import REMEDY, readable

MOST_FRACTIONS = 100
"""Numbers between whole ones that a column of nothing but numbers may have as labels."""


def label_name(value: Any) -> str:
    """The name of a label as every format gives it: 1, 1.0 and "1" are "1"; true is "True"."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def order_labels(names: Iterable[str]) -> list[str]:
    """Whole numbers by value, other names by alphabet."""
    unique = set(names)
    if all(name.removeprefix("-").isdecimal() for name in unique):
        return sorted(unique, key=lambda name: (int(name), name))
    return sorted(unique)


def collect_labels(task: Task, records: Iterable[Record], read: Callable[[Record], Iterable[str]]) -> list[str]:
    """The labels that the source of the training rows declares, else those that the rows have, in order.

    Args:
        task: its ``on_error`` says what a bad row does; a label left out is put into its notes.
        records: the training rows.
        read: the labels of a row.

    Raises:
        DataError: a row is wrong or a label has one example, and ``on_error`` is ``fail``; none is left; or they
            are measurements, such as prices.
    """
    if declared := task.classes.get(task.columns["label"]):
        return list(declared)
    counts: Counter[str] = Counter()
    first: dict[str, str] = {}
    for names, where in readable(task, records, lambda record: (list(read(record)), record.where)):
        counts.update(names)
        for name in names:
            first.setdefault(name, where)
    _refuse_measurements(task, first)
    _leave_out_lonely(task, counts, first)
    if not counts:
        raise DataError("the training rows have no labels")
    return order_labels(counts)


def _refuse_measurements(task: Task, first: dict[str, str]) -> None:
    """Refuse a column of numbers that is to be regressed: a price, a score, a similarity."""
    numbers = [_number(name) for name in first]
    fractions = [name for name, number in zip(first, numbers, strict=True) if number % 1]
    if any(map(math.isnan, numbers)) or len(fractions) <= MOST_FRACTIONS:
        return
    raise DataError(
        f"{first[fractions[0]]}: column {task.columns['label']!r} has numbers such as {fractions[0]}, {len(first):,} "
        "different ones; set data.task: regression, or name them in data.labels if each is a label"
    )


def _number(name: str) -> float:
    """The number that a label is; NaN for any other name."""
    try:
        return float(name)
    except ValueError:
        return math.nan


def _leave_out_lonely(task: Task, counts: Counter[str], first: dict[str, str]) -> None:
    """Refuse labels with one example, or leave them out: nothing can be learnt of them and tested."""
    for name in [name for name, count in counts.items() if count == 1]:
        reason = f"{first[name]}: the label {name!r} has a single example in the training rows"
        if task.data.on_error == "fail":
            raise DataError(f"{reason}; add more, set on_error: skip to leave it out, or name it in data.labels")
        task.notes.append(f"{reason}; rows with it are left out")
        del counts[name]


def find_label(task: Task, name: str, record: Record) -> int:
    """Index of a label.

    Raises:
        DataError: the task has no such label; the message has those most like it.
    """
    labels = known_labels(task)
    try:
        return labels.index(name)
    except ValueError:
        raise unknown_label(name, labels, record.where, task.columns["label"]) from None


def known_labels(task: Task) -> list[str]:
    """The task's labels.

    Raises:
        DataError: no training rows were seen, and the recipe names none.
    """
    if task.labels is None:
        raise DataError("the labels are not known; name them in data.labels, or training rows in data.train")
    return task.labels


def unknown_label(name: str, labels: Sequence[str], where: str, column: str) -> DataError:
    """The error for a label that is not one of the task's, with those most like it."""
    near = get_close_matches(name, labels, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"they are {_some(labels)};"
    return DataError(
        f"{where}: column {column!r} has {name!r}, none of the task's {len(labels)} labels; {hint} {REMEDY}"
    )


def _some(labels: Sequence[str]) -> str:
    return ", ".join(labels[:10]) + (", …" if len(labels) > 10 else "")


def label_fields(task: Task) -> dict[str, Any]:
    """Configuration of a head with a logit for each of the task's labels."""
    labels = known_labels(task)
    return {
        "num_labels": len(labels),
        "id2label": dict(enumerate(labels)),
        "label2id": {name: number for number, name in enumerate(labels)},
        "problem_type": task.problem_type,
    }
