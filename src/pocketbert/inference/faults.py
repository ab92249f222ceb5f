"""Whose fault it is when a batch fails: that of the windows at which the engine fails alone, or the engine's own."""

from collections.abc import Sequence
from dataclasses import dataclass

from pocketbert.engines.base import Engine, Logits
from pocketbert.errors import PocketBertError
from pocketbert.inference.reading import Window
from pocketbert.inference.running import run_batch


@dataclass(frozen=True, slots=True)
class Unanswered:
    """What stands in the place of an answer, or of logits, where the engine fails.

    Attributes:
        reason: what the engine said.
    """

    reason: str


def run_apart(engine: Engine, windows: Sequence[Window]) -> list[Logits | Unanswered]:
    """Logits as of :func:`~pocketbert.inference.running.run_batch`, but for windows at which the engine fails.

    Where it fails at some, the others are run once more together: their logits are those of a batch of these windows,
    however the faults were found. A fault that does not come again changes no digit.

    Raises:
        PocketBertError: the engine fails at the others too, or at padding where there are no others: it is broken.
    """
    try:
        return [*run_batch(engine, windows)]
    except PocketBertError:
        faults = _find_faults(engine, windows, range(len(windows)))
    others = [window for row, window in enumerate(windows) if row not in faults]
    # Nearly every batch holds padding: an engine that fails at it answers nothing, and no text is to blame.
    logits = iter(run_batch(engine, others or [Window([engine.description.pad_token_id])]))
    return [faults[row] if row in faults else next(logits) for row in range(len(windows))]


def _find_faults(engine: Engine, windows: Sequence[Window], rows: Sequence[int]) -> dict[int, Unanswered]:
    """By number the windows at which the engine fails alone, found by halves."""
    try:
        run_batch(engine, [windows[row] for row in rows])
    except PocketBertError as error:
        if len(rows) == 1:
            return {rows[0]: Unanswered(str(error))}
        middle = len(rows) // 2
        return _find_faults(engine, windows, rows[:middle]) | _find_faults(engine, windows, rows[middle:])
    return {}
