"""What a run of the reproduction makes, and where."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pocketbert.errors import PocketBertError
from pocketbert.manifest import hash_weights, read_manifest
from pocketbert.recipe import Data, MethodName
from results import Setting, rooted
from rows import MAKERS
from settings import SMALL, SMALL_SEEDS
from sizes import Size

CONTROL = "layers"
"""The student that no text was distilled into: the teacher's layers as they are."""
METHODS: dict[str, MethodName | None] = {"masked-lm": None, "minilmv2": "minilmv2"}
"""How the other students are distilled on text; without a method by the default, that of Sanh et al. 2019."""
STUDENTS = (*METHODS, CONTROL)
PAIRS = "pairs"
"""Folder of the same models taught to compare two texts, for tasks of pairs."""
TEACHER = "teacher"


@dataclass(frozen=True)
class Unit:
    """A task under a seed, and the student that learns it.

    Attributes:
        task: its name.
        seed: of fine-tuning and distillation.
        student: one of the general students.
    """

    task: str
    seed: int
    student: str

    def __str__(self) -> str:
        return f"{self.task}, seed {self.seed}, {self.student}"


@dataclass(frozen=True)
class Plan:
    """All that the steps go by.

    Attributes:
        out: folder of the run; its steps find there what others have made.
        data: folder of the public data.
        size: of the teacher.
        tasks: by name, in the order in which they are learnt.
        students: which of the general students.
        seeds: of the tasks that are not small.
        budget: seconds of the step; None where it is not bounded.
        json: where the table's JSON goes too.
    """

    out: Path
    data: Path
    size: Size
    tasks: dict[str, Setting]
    students: tuple[str, ...]
    seeds: int
    budget: float | None
    json: Path | None = None

    def length(self, share: float) -> dict[str, Any]:
        """The length of a stage that gets a share of the step's budget, as fields of the stage."""
        budget = None if self.size.steps else (self.budget or 0.0) * share
        return {"steps": self.size.steps, "budget": budget, "epochs": None}

    def source(self, name: str) -> str:
        """A source of text, by its name inside the data folder."""
        return name if name.startswith("embedded:") else str(self.data / name)

    def rows(self, task: str) -> Data:
        """The rows of a task."""
        return rooted(self.tasks[task].data, self.out / "rows" if task in MAKERS else self.data)

    def model(self, name: str, pairs: bool = False) -> Path:
        """Where a model that no task was taught to lies: the teacher, or a general student."""
        return self.out / PAIRS / name if pairs else self.out / name

    def made(self, name: str, step: str, pairs: bool = False) -> str:
        """The same, for one who needs it.

        Raises:
            PocketBertError: it is not there, or its text model was made anew since; the message names the step.
        """
        folder = self.model(name, pairs)
        manifest = read_manifest(folder)
        if manifest is None:
            raise PocketBertError(f"{folder}: no finished model; run the step {step} first")
        if pairs and hash_weights(str(self.model(name))) not in [parent.weights for parent in manifest.parents]:
            raise PocketBertError(f"{folder}: made from another {name} than there is now; run the step {step} again")
        return str(folder)

    def folder(self, unit: Unit) -> Path:
        """Where the models of a task and seed go."""
        return self.out / "tasks" / unit.task / f"seed-{unit.seed}"

    def units(self) -> Iterator[Unit]:
        """Everything to be learnt: one seed of every task, before the next seed of those that have more."""
        for seed in range(max(self.seeds, SMALL_SEEDS)):
            for task in self.tasks:
                if seed < self._seeds_of(task):
                    yield from (Unit(task, seed, student) for student in self.students)

    def _seeds_of(self, task: str) -> int:
        return max(self.seeds, SMALL_SEEDS) if task in SMALL else self.seeds
