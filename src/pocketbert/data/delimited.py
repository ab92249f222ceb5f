"""CSV and TSV to records, one row at a time.

Rows are counted from 1 without the header and without blank lines, so ``train.csv row 17`` is the seventeenth
row of data, wherever quoted line breaks put it.
"""

import csv
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

from pocketbert.data.lines import Lines, RowPolicy, is_broken, open_bytes
from pocketbert.data.records import Record
from pocketbert.errors import DataError

LONGEST_FIELD = 10_000_000
"""Characters in a CSV field; a longer one is a quote that was left open."""

Row = tuple[int, list[str]]
"""A row's number, 0 for the header, and its fields."""


def read_csv(path: Path, policy: RowPolicy, header: bool = True) -> Iterator[Record]:
    """Comma-separated rows, quoted where needed.

    Args:
        path: the file.
        policy: what a ragged, broken or badly quoted row does.
        header: whether the first row names the columns; otherwise they are named ``0``, ``1``, ….

    Raises:
        DataError: the header is wrong, there is no row, or a row is bad and the policy is ``fail``.
    """
    with open_bytes(path) as stream:
        yield from _records(path, csv_rows(path, Lines(stream), policy, 1 - header), policy, header)


def read_tsv(path: Path, policy: RowPolicy, header: bool = True) -> Iterator[Record]:
    """Tab-separated rows, a line each; quotes are characters like any other. See :func:`read_csv`."""
    with open_bytes(path) as stream:
        yield from _records(path, tab_rows(path, Lines(stream), policy, 1 - header), policy, header)


def tab_rows(path: Path | str, lines: Lines, policy: RowPolicy, number: int) -> Iterator[Row]:
    """Lines that are not blank, split at tabs.

    Args:
        path: the file, for messages.
        lines: its lines, or those from some row on.
        policy: what a row does that is not UTF-8.
        number: of the first row that is read; 0 for the header.
    """
    for line in lines.rows():
        line = line.rstrip("\r\n")
        if line:
            if not is_broken(path, number, lines, policy):
                yield number, line.split("\t")
            number += 1


def csv_rows(path: Path | str, lines: Lines, policy: RowPolicy, number: int) -> Iterator[Row]:
    """Rows of comma-separated fields, which may hold line breaks; see :func:`tab_rows`."""
    csv.field_size_limit(LONGEST_FIELD)
    # Strict: otherwise a quote left open swallows the rest of the file without a word.
    reader = csv.reader(lines, strict=True)
    while True:
        lines.begin_row()
        first = lines.number + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            lines.take_broken()
            place = f"row {number}" if number else "header"
            policy.fault(f"{path} {place} (lines {first} to {lines.number}): {error}; look for a stray quote")
            number += 1
            continue
        if row and not is_broken(path, number, lines, policy):
            yield number, row
        number += bool(row)


def _records(path: Path, rows: Iterator[Row], policy: RowPolicy, header: bool) -> Iterator[Record]:
    top = next(rows, None)
    if top is None:
        return
    if header:
        names = header_names(path, top)
    else:
        names = [str(column) for column in range(len(top[1]))]
        rows = itertools.chain([top], rows)
    for number, row in rows:
        if fits(path, (number, row), names, policy):
            yield Record(dict(zip(names, row, strict=True)), f"{path} row {number}")


def fits(path: Path | str, row: Row, names: Sequence[str], policy: RowPolicy) -> bool:
    """Whether a row has a field for each column; if not, report it under the policy.

    Raises:
        DataError: the policy is ``fail``.
    """
    number, fields = row
    if len(fields) != len(names):
        policy.fault(f"{path} row {number}: {len(fields)} field(s) where {len(names)} are expected")
    return len(fields) == len(names)


def header_names(path: Path | str, top: Row) -> list[str]:
    """The column names that the first readable row gives.

    Raises:
        DataError: it is not the header because that was bad, or a name is empty or occurs twice.
    """
    number, names = top
    if number:
        raise DataError(f"{path}: the header cannot be read; mend the first line")
    return checked_names(path, names)


def checked_names(path: Path | str, names: Sequence[str]) -> list[str]:
    """The column names of a header, without the space around them.

    Raises:
        DataError: a name is empty or occurs twice.
    """
    names = [name.strip() for name in names]
    for number, name in enumerate(names, start=1):
        if not name:
            raise DataError(f"{path}: column {number} has no name in the header; give it one")
        if name in names[: number - 1]:
            raise DataError(f"{path}: the header names {name!r} twice; rename one")
    return names
