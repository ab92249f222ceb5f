"""The records of a search: one file a trial, and what the search found."""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel

from pocketbert.distill import ranks
from pocketbert.errors import PocketBertError
from pocketbert.files import write_atomically

KEY = "key"
TRIALS = "trials"


class Trial(BaseModel):
    """One set of values.

    Attributes:
        number: from 1.
        values: of the searched fields, by path.
        state: where it stands; one that runs goes on when the search does.
        score: on validation rows, of the last stage that trains; None until it has finished.
        seconds: that it took, those lost to a kill aside.
        message: why it failed.
    """

    number: int
    values: dict[str, Any]
    state: Literal["running", "finished", "failed"] = "running"
    score: float | None = None
    seconds: float = 0.0
    message: str | None = None


class Tuning(BaseModel):
    """What a search found.

    Attributes:
        name: of the recipe.
        trials: in the order in which they were tried.
        best: number of the trial with the highest score, the first of equals.
        recipe: the file with the best values, for ``run``.
    """

    name: str
    trials: list[Trial]
    best: int
    recipe: str


class Records:
    """The trials of a search, in its folder.

    Args:
        folder: of the search.
        key: hash of all that scores depend on.

    Attributes:
        ended: the trials that finished or failed, in order.

    Raises:
        PocketBertError: the folder holds another search.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self.folder = folder
        self.ended: list[Trial] = []
        with ranks.main_first():
            self._claim(key)
        while (trial := self.open()) is not None and trial.state != "running":
            self.ended.append(trial)

    def _claim(self, key: str) -> None:
        path = self.folder / KEY
        if not path.is_file():
            write_atomically(path, key)
        elif path.read_text(encoding="ascii") != key:
            raise PocketBertError(
                f"{self.folder}: holds a search of another space, recipe or data; delete it to search afresh, or name "
                "another output"
            )

    def open(self) -> Trial | None:
        """The trial after those that ended, where it has been begun."""
        path = self._path(len(self.ended) + 1)
        return Trial.model_validate_json(path.read_bytes()) if path.is_file() else None

    def write(self, trial: Trial) -> None:
        """Keep a trial as it stands now."""
        if ranks.is_main():
            write_atomically(self._path(trial.number), trial.model_dump_json(indent=2))

    def end(self, trial: Trial) -> None:
        """Keep a trial that has finished or failed."""
        self.write(trial)
        self.ended.append(trial)

    def _path(self, number: int) -> Path:
        return self.folder / TRIALS / f"{number:04d}.json"
