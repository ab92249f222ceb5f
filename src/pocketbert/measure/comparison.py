"""The report of a run, a bench or a stage: everything it measured, its gates, and where each number came from."""

import json
import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import Field

from pocketbert.files import write_atomically
from pocketbert.machine import Machine, describe_machine
from pocketbert.manifest import LOG, Manifest
from pocketbert.measure.bench_results import Bench
from pocketbert.measure.results import (
    Interval,
    Ratio,
    Result,
    Role,
    Size,
    Speed,
    Spread,
    TaskComparison,
)
from pocketbert.recipe import Gates
from pocketbert.tasks.masked_lm import NAME as MASKED_LM

DEMONSTRATION = (
    "This is a demonstration: a tiny teacher, trained in minutes on English that comes with Python. "
    "Its numbers say that the chain works, not how well a real teacher is kept."
)
NEXT_STEP = "pocketbert run recipes/task.yaml teacher.model=DIRECTORY data.train=train.csv"


class CurvePoint(Result):
    """What one line of a training log says; absent values were not logged at that step."""

    step: int
    loss: float | None = None
    learning_rate: float | None = None
    eval_score: float | None = None
    eval_loss: float | None = None


class Curve(Result):
    """The training log of one stage, by rising step."""

    stage: str
    points: list[CurvePoint]


class GateResult(Result):
    """A gate held against its measured value.

    Attributes:
        name: of the gate in the recipe.
        limit: least value that passes.
        measured: None where this run has not measured it, which fails the gate.
        passed: whether the gate holds.
        reason: why there is no measured value.
    """

    name: str
    limit: float
    measured: float | None
    passed: bool
    reason: str = "not measured in this run"


class Provenance(Result):
    """Where the numbers came from.

    Attributes:
        recipe: as resolved; what it leaves out is not listed.
        manifests: of the model directories, by role or stage.
        data: fingerprints of what was read, by name.
        machine: that ran it.
        seeds: of training and bootstrap, by name.
        seconds: of training, over all stages and however often they were stopped.
    """

    recipe: dict[str, Any] = Field(default_factory=dict)
    manifests: dict[str, Any] = Field(default_factory=dict)
    data: dict[str, Any] = Field(default_factory=dict)
    machine: Machine | None = None
    seeds: dict[str, int] = Field(default_factory=dict)
    seconds: float | None = None


class Report(Result):
    """Everything a run proved; what was not measured is absent.

    Attributes:
        name: of the run.
        created: when, in UTC.
        demonstration: a sentence saying that this is no real result; None for a real one.
        tasks: comparisons; those of one name are repeats with other seeds.
        sizes: of the models by role.
        speed: of teacher and student, by role.
        bench: the teacher and the student after each step, side by side.
        curves: training logs by stage.
        gates: the recipe's, checked.
        provenance: where it all came from.
    """

    name: str
    created: datetime = Field(default_factory=lambda: datetime.now(UTC))
    demonstration: str | None = None
    tasks: list[TaskComparison] = Field(default_factory=list)
    sizes: dict[Role, Size] = Field(default_factory=dict)
    speed: Speed | None = None
    bench: Bench | None = None
    curves: list[Curve] = Field(default_factory=list)
    gates: list[GateResult] = Field(default_factory=list)
    provenance: Provenance = Provenance()

    @property
    def judged(self) -> list[TaskComparison]:
        """The tasks that promises and gates are about: hidden tokens are a means, where there is another task."""
        return [task for task in self.tasks if task.task != MASKED_LM] or self.tasks

    @property
    def kept(self) -> Ratio:
        """Mean share of the teacher's score over the judged tasks."""
        return average(self.judged, lambda task: task.kept)

    @property
    def kept_above_majority(self) -> Ratio:
        """The same above the majority class."""
        return average(self.judged, lambda task: task.kept_above_majority)

    @property
    def smaller(self) -> float | None:
        """Share of the teacher's bytes that the student saves; negative for a larger student."""
        teacher, student = self.sizes.get("teacher"), self.sizes.get("student")
        return 1 - student.bytes / teacher.bytes if teacher and student else None

    @property
    def faster(self) -> Spread | None:
        """The student's throughput as a multiple of the teacher's."""
        return self.speed.throughput_ratio.get("student") if self.speed else None

    def to_json(self, path: Path) -> None:
        """Write the report; a killed write leaves the old file."""
        write_atomically(path, self.model_dump_json(indent=2) + "\n")


def average(tasks: Sequence[TaskComparison], pick: Callable[[TaskComparison], Ratio]) -> Ratio:
    """Mean of a ratio over tasks, first over the repeats within each.

    Repeats share their examples, so their intervals are averaged as they are. Tasks have different examples,
    so the distances from value to end are added in squares (the method of variance estimates recovery).

    Args:
        tasks: comparisons; those of one name are repeats.
        pick: takes the ratio out of a comparison.

    Returns:
        The mean; no value where any ratio has none, no interval where any has none.
    """
    repeats: dict[str, list[Ratio]] = {}
    for task in tasks:
        repeats.setdefault(task.name, []).append(pick(task))
    missing = next((ratio for ratios in repeats.values() for ratio in ratios if ratio.value is None), None)
    if not tasks or missing is not None:
        return Ratio(reason=missing.reason if missing else "no task was compared")
    means = [_average_repeats(ratios) for ratios in repeats.values()]
    value = _mean([value for value, _ in means])
    return Ratio(value=value, interval=_combine(value, means), reason=_first_reason(repeats))


def _average_repeats(ratios: Sequence[Ratio]) -> tuple[float, Interval | None]:
    value = _mean([ratio.value for ratio in ratios if ratio.value is not None])
    intervals = [ratio.interval for ratio in ratios if ratio.interval is not None]
    if len(intervals) < len(ratios):
        return value, None
    low, high = _mean([each.low for each in intervals]), _mean([each.high for each in intervals])
    return value, Interval(low=low, high=high)


def _combine(value: float, means: Sequence[tuple[float, Interval | None]]) -> Interval | None:
    known = [(mean, interval) for mean, interval in means if interval is not None]
    if len(known) < len(means):
        return None
    below = math.hypot(*(mean - interval.low for mean, interval in known)) / len(known)
    above = math.hypot(*(interval.high - mean for mean, interval in known)) / len(known)
    return Interval(low=value - below, high=value + above)


def _first_reason(repeats: dict[str, list[Ratio]]) -> str | None:
    return next((ratio.reason for ratios in repeats.values() for ratio in ratios if ratio.reason), None)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def check_gates(gates: Gates, report: Report) -> list[GateResult]:
    """Hold a report against the limits of a recipe, in the order kept, smaller, faster.

    A share of a teacher that has learnt nothing means nothing, so ``kept`` needs a teacher above the majority class.

    Returns:
        A result for each gate that the recipe sets; one that was not measured has not passed.
    """
    measured = {
        "kept": (gates.kept, None if report.kept_above_majority.value is None else report.kept.value),
        "smaller": (gates.smaller, report.smaller),
        "faster": (gates.faster, report.faster.median if report.faster else None),
    }
    results = [
        GateResult(name=name, limit=limit, measured=value, passed=value is not None and value >= limit)
        for name, (limit, value) in measured.items()
        if limit is not None
    ]
    for result in results:
        if result.name == "kept" and result.measured is None and report.tasks:
            result.reason = report.kept_above_majority.reason or result.reason
    return results


def read_curve(stage: str, log: Path) -> Curve:
    """Read the JSONL log of a stage.

    A killed run may leave a torn line, and one that resumed has logged the steps since its last
    checkpoint twice: torn lines are left out, and of a repeated value the last counts.

    Args:
        stage: a name for people.
        log: lines such as ``{"step": 10, "loss": 2.3, "learning_rate": 5e-05}``.
    """
    points: dict[int, dict[str, Any]] = {}
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        values = _parse_line(line)
        if isinstance(values.get("step"), int):
            points.setdefault(values["step"], {}).update(values)
    return Curve(stage=stage, points=[CurvePoint(**points[step]) for step in sorted(points)])


def _parse_line(line: str) -> dict[str, Any]:
    """The finite values of a log line that a curve shows; none of a torn line."""
    try:
        values = json.loads(line)
    except json.JSONDecodeError:
        return {}
    known = values.items() if isinstance(values, dict) else ()
    return {
        key: value
        for key, value in known
        if key in CurvePoint.model_fields and isinstance(value, int | float) and math.isfinite(value)
    }


def report_bench(bench: Bench) -> Report:
    """A bench as a report, for its page."""
    names = [model.name for model in bench.models]
    return Report(name=" · ".join(names), bench=bench, provenance=Provenance(machine=describe_machine()))


def report_stage(folder: Path, manifest: Manifest) -> Report:
    """A stage as a report, for its page: its curves, the search it made, and its manifest.

    Args:
        folder: that the stage has made.
        manifest: of it.
    """
    log = folder / LOG
    return Report(
        name=folder.name,
        curves=[read_curve(folder.name, log)] if log.is_file() else [],
        provenance=Provenance(manifests={folder.name: manifest.model_dump(mode="json")}, machine=manifest.machine),
    )
