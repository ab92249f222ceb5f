"""Rows of a part as they were read, whatever they came from, and those that failed with the reason."""

import base64
import math
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa
from pydantic_core import to_json

CARRIED = (pa.types.is_temporal, pa.types.is_decimal, pa.types.is_duration)
"""Kinds of values that JSON and CSV know as text alone."""


class Misfit(Exception):  # noqa: N818 - of a row, and never seen outside
    """A value of a row with which nothing can be done.

    Args:
        column: that holds it; None for the row as a whole.
        reason: what is wrong, to follow the name of the column.
    """

    def __init__(self, column: str | None, reason: str) -> None:
        super().__init__(reason)
        self.column = column

    def of(self, block: "Block", place: int) -> "Failure":
        """As the failure of a row."""
        number = block.numbers[place]
        where = f"{block.file} row {number}: " + (f"column {self.column!r} " if self.column is not None else "")
        return Failure(block.file, number, self.column, where + str(self), block.raw(place))


@dataclass(frozen=True, slots=True)
class Failure:
    """A row that gets no prediction.

    Attributes:
        file: the input.
        row: in it, counted from 1.
        column: where it is wrong; None for the row as a whole.
        reason: what is wrong, and where.
        raw: the row as it stands in the file; of a table, as JSON.
    """

    file: str
    row: int
    column: str | None
    reason: str
    raw: bytes

    def line(self) -> bytes:
        """As a line of JSON; bytes that are no text are written in base64."""
        told: dict[str, Any] = {"file": self.file, "row": self.row, "column": self.column, "reason": self.reason}
        try:
            told["raw"] = self.raw.decode("utf-8")
        except UnicodeDecodeError:
            told["raw_base64"] = base64.b64encode(self.raw).decode()
        return json_text(told) + b"\n"


class Block(Protocol):
    """The readable rows of a part.

    Attributes:
        file: the input they came from.
        numbers: of the rows in their file, counted from 1.
        failures: rows that could not be read.
    """

    file: str
    numbers: list[int]
    failures: list[Failure]

    def column(self, name: str) -> list[Any]:
        """A value for each row; None where there is none, bytes where a text is not UTF-8."""
        ...

    def raw(self, place: int) -> bytes:
        """A row as it stands in the file."""
        ...

    def values(self, place: int) -> dict[str, Any]:
        """A row as JSON and CSV can have it.

        Raises:
            Misfit: they cannot.
        """
        ...


@dataclass(slots=True)
class TextBlock:
    """Rows of a text format; see :class:`Block`.

    Attributes:
        rows: column name to value of each.
        raws: each as it stands in the file.
    """

    file: str
    numbers: list[int] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    raws: list[bytes] = field(default_factory=list)

    def column(self, name: str) -> list[Any]:
        """See :class:`Block`."""
        return [row.get(name) for row in self.rows]

    def raw(self, place: int) -> bytes:
        """See :class:`Block`."""
        return self.raws[place]

    def values(self, place: int) -> dict[str, Any]:
        """See :class:`Block`."""
        return self.rows[place]


class TableBlock:
    """Rows of a table; see :class:`Block`.

    Args:
        file: the input.
        first: number of the first row.
        table: the rows.
    """

    def __init__(self, file: str, first: int, table: pa.Table) -> None:
        self.file, self.table = file, table
        self.numbers = list(range(first, first + table.num_rows))
        self.failures: list[Failure] = []
        self._columns: dict[str, list[Any]] = {}

    def column(self, name: str) -> list[Any]:
        """See :class:`Block`."""
        if name not in self._columns:
            self._columns[name] = _whole_values(_as_text(self.table.column(name)))
        return self._columns[name]

    def raw(self, place: int) -> bytes:
        """See :class:`Block`."""
        return json_text({name: self.column(name)[place] for name in self.table.column_names})

    def values(self, place: int) -> dict[str, Any]:
        """See :class:`Block`."""
        row = {name: self.column(name)[place] for name in self.table.column_names}
        for name, value in row.items():
            if isinstance(value, bytes):
                raise Misfit(name, "is not UTF-8 text")
        return row


def _as_text(column: Any) -> Any:
    """A column as text where JSON does not know its type."""
    return column.cast(pa.string()) if any(kind(column.type) for kind in CARRIED) else column


def _whole_values(column: Any) -> list[Any]:
    """The values of a column; bytes in place of one that is not UTF-8."""
    try:
        values: list[Any] = column.to_pylist()
    except UnicodeDecodeError:
        if len(column) == 1:
            text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
            return [column.cast(pa.large_binary())[0].as_py() if text else b""]
        middle = len(column) // 2
        return _whole_values(column.slice(0, middle)) + _whole_values(column.slice(middle))
    return values


def json_text(value: Any) -> bytes:
    """A value as JSON on one line; numbers that are none become null."""
    return to_json(value, inf_nan_mode="null", bytes_mode="base64")


def cell(value: Any) -> str:
    """A value as the text of a cell: nothing for null, JSON for lists and objects, ``NaN``, ``inf`` and ``-inf``."""
    if value is None:
        return ""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else str(value)
    return value if isinstance(value, str) else json_text(value).decode()
