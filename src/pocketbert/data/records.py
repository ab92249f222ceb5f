"""A record: one row of a source, and where it stands."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

IGNORED = -100
"""The label of positions that no loss counts."""
UNKNOWN = -101
"""The label where nobody says what is right, and a teacher's word counts all the same; NaN where labels are floats."""


@dataclass(frozen=True, slots=True)
class Record:
    """One row as it was read.

    Attributes:
        values: column name to value; strings for text formats, native types for JSONL, Parquet and Arrow.
        where: the place for error messages, such as ``train.csv row 17``.
        classes: column name to the names of its classes in the order of their numbers, where the source declares
            them; the values are such names.
    """

    values: Mapping[str, Any]
    where: str
    classes: Mapping[str, Sequence[str]] | None = None


@dataclass(slots=True)
class Skipped:
    """Rows left out under ``on_error: skip``, with the first reasons."""

    count: int = 0
    reasons: list[str] = field(default_factory=list)

    def add(self, reason: str) -> None:
        """Count a row, and remember why for the first ten."""
        self.count += 1
        if len(self.reasons) < 10:
            self.reasons.append(reason)
