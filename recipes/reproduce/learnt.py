"""What stands of a plan, as tables need it: the lessons by student and way, and means over them."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from lessons import Lesson, found
from plan import Plan, Unit
from pocketbert.measure.comparison import average
from pocketbert.measure.results import Ratio, Role, TaskComparison
from result_tables import kept_above_majority
from settings import GLUE

WAYS = {"alone": "labels alone", "distilled": "distilled"}
"""Ways of teaching a student a task, and what a reader calls them."""
Column = tuple[str, str]
"""A student and a way."""
Pick = Callable[[TaskComparison], Ratio]


@dataclass(frozen=True)
class Learnt:
    """The lessons that tables are made of: of each task the seeds that every student has learnt.

    Attributes:
        lessons: by unit.
        tasks: with at least one such seed.
        columns: students and ways.
    """

    lessons: dict[Unit, Lesson]
    tasks: list[str]
    columns: list[Column]

    @classmethod
    def of(cls, plan: Plan) -> "Learnt":
        """What stands of a plan."""
        every = dict(found(plan))
        students = Counter((unit.task, unit.seed) for unit in every)
        whole = {unit: each for unit, each in every.items() if students[unit.task, unit.seed] == len(plan.students)}
        tasks = [name for name in plan.tasks if any(unit.task == name for unit in whole)]
        return cls(whole, tasks, [(student, way) for student in plan.students for way in WAYS])

    @property
    def groups(self) -> dict[str, list[str]]:
        """What means are taken over, by name."""
        glue = [task for task in self.tasks if task in GLUE]
        return ({"GLUE": glue} if glue else {}) | {"all": self.tasks}

    def comparisons(self, column: Column, tasks: Sequence[str]) -> list[TaskComparison]:
        """Those of some tasks, all seeds, task by task."""
        student, way = column
        return [
            getattr(lesson, way)
            for task in tasks
            for unit, lesson in self.lessons.items()
            if (unit.task, unit.student) == (task, student)
        ]

    def scores(self, tasks: Sequence[str]) -> list[float]:
        """Of the majority class, the teacher and each column: means over tasks of means over seeds."""
        first = self.columns[0]
        places: list[tuple[Column, Role]] = [(first, "majority"), (first, "teacher")]
        places += [(column, "student") for column in self.columns]
        return [fmean(self._score(column, role, task) for task in tasks) for column, role in places]

    def _score(self, column: Column, role: Role, task: str) -> float:
        return fmean(each.models[role].score for each in self.comparisons(column, [task]))

    def ratios(self, tasks: Sequence[str], pick: Pick) -> list[Ratio]:
        """The mean share of each column."""
        return [average(self.comparisons(column, tasks), pick) for column in self.columns]

    def proven(self, tasks: Sequence[str]) -> list[str]:
        """Tasks whose teacher beats the majority class under every seed; a share of another says nothing."""
        shares = {task: self.ratios([task], kept_above_majority) for task in tasks}
        return [task for task in tasks if all(ratio.value is not None for ratio in shares[task])]
