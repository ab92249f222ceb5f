"""What can go wrong, in words for the person who can mend it; each kind has its exit code."""

from typing import Any


class PocketBertError(Exception):
    """A mistake in the input, the recipe or the call."""

    exit_code = 2


class DataError(PocketBertError):
    """A file or a row that cannot be read as asked; the message names file, row and column."""


class ModelError(PocketBertError):
    """A model directory that is refused, and why."""


class NotInstalled(ModelError):  # noqa: N818 - nothing is wrong with the model
    """The library that runs a file is not installed here."""


class TrainingError(PocketBertError):
    """A training run that had to stop; the message names the step and the last good checkpoint."""

    exit_code = 3


class GateBreach(PocketBertError):  # noqa: N818 - a measurement, not an error
    """A measured value is outside its gate; the message says by how much.

    Args:
        message: which gates.
        report: everything the run measured all the same.
    """

    exit_code = 1

    def __init__(self, message: str, report: Any) -> None:
        super().__init__(message)
        self.report = report


class Interrupted(PocketBertError):  # noqa: N818 - asked for, not an error
    """The run was asked to stop and has saved its state."""

    exit_code = 143
