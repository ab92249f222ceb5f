"""What stands of a plan, as tables need it: scores of each task over its seeds, and shares with their intervals.

An interval comes from resamples of the reported rows, and where there are several seeds, of these too: the same rows
and seeds for all models. So it covers both, but with one seed not what another seed would have changed.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from lessons import Lesson, found
from plan import Plan, Unit
from pocketbert.measure.results import Difference, Interval, Ratio, Role, TaskComparison
from pocketbert.measure.scores import kept as share_of
from settings import GLUE

WAYS = {"alone": "labels alone", "distilled": "distilled"}
"""Ways of teaching a student a task, and what a reader calls them."""
_ROLES: dict[str, Role] = {"alone": "without_teacher", "distilled": "student"}
Column = tuple[str, str]
"""A student and a way."""
_LEAST = 1e-9
"""A lead below this is rounding, and dividing by it is noise."""


@dataclass(frozen=True)
class Scores:
    """Of one model on one task.

    Attributes:
        seeds: (seeds,) on all reported rows.
        draws: (resamples,) means over resampled seeds, on resampled rows.
    """

    seeds: NDArray[np.float64]
    draws: NDArray[np.float64]

    @property
    def mean(self) -> float:
        """Over the seeds."""
        return float(self.seeds.mean())

    @property
    def deviation(self) -> float | None:
        """Standard deviation of the seeds; None of a single one."""
        return float(self.seeds.std(ddof=1)) if len(self.seeds) > 1 else None


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
        """What means are taken over, by name: GLUE, and all tasks where there are others."""
        glue = [task for task in self.tasks if task in GLUE]
        every = {} if glue == self.tasks else {"all": self.tasks}
        return ({"GLUE": glue} if glue else {}) | every

    def comparisons(self, column: Column, task: str) -> list[TaskComparison]:
        """Those of a task, a seed each."""
        return [getattr(lesson, column[1]) for lesson in self._own(column[0], task)]

    def student(self, column: Column, task: str) -> Scores:
        """Of a student."""
        return self._scores(column[0], task, _ROLES[column[1]])

    def teacher(self, task: str) -> Scores:
        """Of the teacher."""
        return self._scores(self.columns[0][0], task, "teacher")

    def majority(self, task: str) -> Scores:
        """Of the majority class."""
        return self._scores(self.columns[0][0], task, "majority")

    def is_proven(self, task: str) -> bool:
        """Whether the teacher is above the majority class beyond doubt: a share of another says nothing."""
        return _interval(self.teacher(task).draws - self.majority(task).draws).low > 0

    def kept(self, column: Column, tasks: Sequence[str], above_majority: bool = False) -> Ratio:
        """Mean over tasks of the share of the teacher's score; within a task the scores are means over its seeds."""
        values, draws = [], []
        for task in tasks:
            student, teacher, floor = self.student(column, task), self.teacher(task), self.majority(task)
            least = floor.mean if above_majority else 0.0
            value = share_of(teacher.mean, student.mean, least)
            if value is None:
                return Ratio(reason=f"the teacher is not above {'the majority class' if above_majority else 'zero'}")
            values.append(value)
            floors = floor.draws if above_majority else np.zeros_like(floor.draws)
            lead = teacher.draws - floors
            draws.append((student.draws - floors) / np.where(lead > _LEAST, lead, np.nan))
        if not values:
            return Ratio(reason="no teacher is above the majority class")
        return Ratio(value=fmean(values), interval=_interval(np.mean(draws, axis=0)))

    def share_of_mean(self, column: Column, tasks: Sequence[str]) -> Ratio:
        """The student's mean score over tasks as a share of the teacher's, which is how the paper counts."""
        student, teacher = self.mean(column, tasks), self.mean(None, tasks)
        value = share_of(teacher.mean, student.mean)
        if value is None:
            return Ratio(reason="the teacher is not above zero")
        return Ratio(value=value, interval=_interval(student.draws / teacher.draws))

    def mean(self, column: Column | None, tasks: Sequence[str]) -> Scores:
        """Mean over tasks of a student's scores, or of the teacher's where there is no column."""
        each = [self.student(column, task) if column else self.teacher(task) for task in tasks]
        return Scores(np.array([fmean(one.mean for one in each)]), np.mean([one.draws for one in each], axis=0))

    def gain(self, student: str, tasks: Sequence[str]) -> Difference:
        """Mean over tasks of what the teacher adds to the labels, in score."""
        taught, alone = self.mean((student, "distilled"), tasks), self.mean((student, "alone"), tasks)
        return Difference(value=taught.mean - alone.mean, interval=_interval(taught.draws - alone.draws))

    def _own(self, student: str, task: str) -> list[Lesson]:
        return [each for unit, each in self.lessons.items() if (unit.task, unit.student) == (task, student)]

    def _scores(self, student: str, task: str, role: Role) -> Scores:
        own = self._own(student, task)
        seeds = np.array([lesson.distilled.models[role].score for lesson in own])
        draws = np.array([lesson.draws[role] for lesson in own])
        count, resamples = draws.shape
        chosen = _choose_seeds(task, count, resamples)
        return Scores(seeds, draws[chosen, np.arange(resamples)].mean(axis=0))


@cache
def _choose_seeds(task: str, count: int, resamples: int) -> NDArray[np.int64]:
    """(seeds, resamples) which seeds a resample has: the same ones for all models of a task."""
    return np.random.default_rng([*task.encode()]).integers(0, count, (count, resamples))


def _interval(draws: NDArray[np.float64]) -> Interval:
    low, high = np.nanquantile(draws, [0.025, 0.975])
    return Interval(low=float(low), high=float(high))
