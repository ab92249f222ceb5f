"""Tables of measured results: quality, then size, speed and training time; a row a task."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from pocketbert.measure.comparison import Report, average
from pocketbert.measure.results import Ratio, Role, TaskComparison
from pocketbert.measure.wording import count, describe_ratio, duration, file_size, percent, score, times

Rows = tuple[list[str], list[list[str]]]
"""A table: its header and its rows."""

ROLES: tuple[Role, ...] = ("teacher", "student", "without_teacher", "majority")


@dataclass(frozen=True)
class Result:
    """One run of one task.

    Attributes:
        name: of the task.
        seed: of fine-tuning and distillation.
        report: what the run measured.
    """

    name: str
    seed: int
    report: Report

    @property
    def quality(self) -> TaskComparison:
        """The scores."""
        return self.report.tasks[0]

    @property
    def seconds(self) -> float:
        """Training time of teacher, student and student without a teacher, however often it was stopped."""
        return self.report.provenance.seconds or 0.0


def kept(task: TaskComparison) -> Ratio:
    """Share of the teacher's score."""
    return task.kept


def kept_above_majority(task: TaskComparison) -> Ratio:
    """The same above the majority class."""
    return task.kept_above_majority


def quality_table(results: Sequence[Result]) -> Rows:
    """Scores and what was kept: means over the seeds of a task, and in the last row over the tasks."""
    header = ["task", "decided by", "rows", "teacher", "student", "student without teacher", "majority class"]
    header += ["kept, 95 % interval", "kept above majority", "same answers"]
    rows = [[name, *_quality_cells([each.quality for each in own])] for name, own in _by_task(results)]
    every = [result.quality for result in results]
    means = [describe_ratio(average(every, pick)) for pick in (kept, kept_above_majority)]
    return header, [*rows, ["mean", *[""] * 6, *means, ""]]


def cost_table(results: Sequence[Result]) -> Rows:
    """Size, speed and training time, teacher → student; a speed ratio is the median of paired rounds."""
    header = ["task", "parameters", "bytes", "smaller", "faster, one text at a time", "faster, in batches", "training"]
    return header, [[name, *_cost_cells(own)] for name, own in _by_task(results)]


def _by_task(results: Sequence[Result]) -> list[tuple[str, list[Result]]]:
    names = dict.fromkeys(result.name for result in results)
    return [(name, [result for result in results if result.name == name]) for name in names]


def _quality_cells(tasks: Sequence[TaskComparison]) -> list[str]:
    first = tasks[0]
    scores = [score(fmean(task.models[role].score for task in tasks)) for role in ROLES]
    ratios = [describe_ratio(average(tasks, pick)) for pick in (kept, kept_above_majority)]
    agreement = fmean(task.agreement for task in tasks)
    same = f"r = {agreement:.3f}" if first.task == "regression" else percent(agreement)
    return [", ".join(first.deciding), f"{first.examples:,}", *scores, *ratios, same]


def _cost_cells(repeats: Sequence[Result]) -> list[str]:
    sizes = repeats[0].report.sizes
    teacher, student = sizes["teacher"], sizes["student"]
    speeds = [repeat.report.speed for repeat in repeats if repeat.report.speed]
    return [
        f"{count(teacher.parameters)} → {count(student.parameters)}",
        f"{file_size(teacher.bytes)} → {file_size(student.bytes)}",
        percent(1 - student.bytes / teacher.bytes),
        times(fmean(speed.latency_ratio["student"].median for speed in speeds)),
        times(fmean(speed.throughput_ratio["student"].median for speed in speeds)),
        duration(fmean(repeat.seconds for repeat in repeats)),
    ]
