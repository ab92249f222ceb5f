"""Reading the cells of rows, with messages that say where and what to do."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any, TypeVar

from pocketbert.data.columns import guess_columns
from pocketbert.data.records import Record
from pocketbert.errors import DataError
from pocketbert.recipe import Data
from pocketbert.tasks.base import Example, Task

T = TypeVar("T")
U = TypeVar("U")

SAMPLE = 200
"""Rows looked at to guess columns."""

REMEDY = "mend or drop the row, or set on_error: skip"


def read_rows(task: Task, rows: Iterable[T], read: Callable[[T], Example]) -> list[Example]:
    """Read every row under the policy ``on_error``; rows left out are counted in ``task.skipped``.

    Raises:
        DataError: a row is wrong and ``on_error`` is ``fail``, or no row is left.
    """
    examples = []
    reason = ""
    for row in rows:
        try:
            examples.append(read(row))
        except DataError as error:
            if task.data.on_error == "fail":
                raise
            reason = reason or str(error)
            task.skipped.add(str(error))
    if reason and not examples:
        raise DataError(f"every row was left out; the first because of {reason}")
    return examples


def read_unlabelled(task: Task, records: Iterable[Record]) -> list[Example]:
    """Understand rows without their target, under the policy ``on_error``; the task is fitted.

    Raises:
        DataError: a row is wrong and ``on_error`` is ``fail``, or no row is left.
    """
    return read_rows(task, records, task.read_unlabelled)


def readable(task: Task, rows: Iterable[T], read: Callable[[T], U]) -> Iterator[U]:
    """What can be read of rows that are only learnt from; the others are counted when the examples are read.

    Raises:
        DataError: a row is wrong and ``on_error`` is ``fail``.
    """
    for row in rows:
        try:
            value = read(row)
        except DataError:
            if task.data.on_error == "fail":
                raise
            continue
        yield value


def find_columns(
    task: Task, records: Iterable[Record], roles: Sequence[str], optional: Sequence[str] = ()
) -> Iterator[Record]:
    """Settle which column holds what, once for all rows of the task, by the first of them.

    Args:
        task: gets the columns, their classes, and a note of what was guessed.
        records: rows as read.
        roles: what the task looks for, such as ``text``.
        optional: roles that the rows may lack.

    Returns:
        All the rows, those looked at included.

    Raises:
        DataError: a column is missing or cannot be guessed.
    """
    rows = iter(records)
    sample = list(islice(rows, SAMPLE))
    names = list(dict.fromkeys(name for record in sample for name in record.values))
    wanted = {role: _named(task.data, role, names) for role in roles if role not in task.columns}
    if task.columns:
        wanted = {role: name for role, name in wanted.items() if role not in optional}
    if sample and wanted:
        guess = guess_columns(names, sample, wanted, optional)
        task.columns |= guess.columns
        task.classes = sample[0].classes or {}
        task.notes.extend([guess.note] if guess.note and guess.note not in task.notes else [])
    return chain(sample, rows)


def _named(data: Data, role: str, names: Sequence[str]) -> str | None:
    """The column that the recipe names; rows read by a layout have columns named like the roles."""
    named: str | None = getattr(data, role)
    return role if named is None and data.layout and role in names else named


def cell(record: Record, column: str) -> Any:
    """The value of a column.

    Raises:
        DataError: the row has no such column.
    """
    try:
        return record.values[column]
    except KeyError:
        known = ", ".join(map(str, record.values))
        raise DataError(f"{record.where}: no column {column!r}; the row has {known}") from None


def column_or_only(record: Record, column: str) -> str:
    """The name of a column, or of the only one that the row has: plain text knows nothing of the names of a table."""
    return next(iter(record.values)) if column not in record.values and len(record.values) == 1 else column


def is_empty(value: Any) -> bool:
    """Whether a cell holds nothing: None, NaN, a blank text, or a list without items."""
    if isinstance(value, float):
        return math.isnan(value)
    if isinstance(value, str):
        return not value.strip()
    return value is None or (hasattr(value, "__len__") and len(value) == 0)


def filled_cell(record: Record, column: str) -> Any:
    """The value of a column, which must hold something.

    Raises:
        DataError: the row has no such column, or nothing in it.
    """
    value = cell(record, column)
    if is_empty(value):
        raise DataError(f"{record.where}: column {column!r} is empty; {REMEDY}")
    return value


def text_cell(record: Record, column: str) -> str:
    """The text of a column.

    Raises:
        DataError: the row has no such column, or no text in it.
    """
    value = filled_cell(record, column)
    if not isinstance(value, str):
        raise DataError(
            f"{record.where}: column {column!r} has {value!r}, not a text; {REMEDY}, or name another column"
        )
    return value


def number_cell(record: Record, column: str) -> float:
    """The number of a column, also where it is written as a text.

    Raises:
        DataError: the row has no such column, or no finite number in it.
    """
    value = filled_cell(record, column)
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise DataError(f"{record.where}: column {column!r} has {value!r}, not a finite number; {REMEDY}")
    return number


def words_cell(record: Record, column: str) -> list[Any]:
    """The items of a column: a list, or a text whose items are parted by spaces.

    Raises:
        DataError: the row has no such column, nothing in it, or a single value that is no text.
    """
    value = filled_cell(record, column)
    if isinstance(value, str):
        return value.split()
    if not hasattr(value, "__len__"):
        raise DataError(f"{record.where}: column {column!r} has {value!r}, not a list; {REMEDY}")
    return list(value)
