"""The HTML report: one page with everything in it, that asks nothing of the network."""

import json
import re
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pocketbert.files import write_atomically
from pocketbert.measure import bench_charts, charts, wording
from pocketbert.measure.bench_results import Bench
from pocketbert.measure.bench_table import milliseconds
from pocketbert.measure.comparison import NEXT_STEP, Curve, Report
from pocketbert.measure.frontier import ScatterPlot, plot_frontier, read_frontiers, read_prunings
from pocketbert.measure.results import ROLE_NAMES, Ratio, TaskComparison

LARGEST_HEAT_TABLE = 12
"""Labels beyond which a matrix is shown as its most confused pairs."""


def write_html(report: Report, path: Path) -> None:
    """Write the report as one HTML file; a killed write leaves the old one."""
    write_atomically(path, render_html(report))


def render_html(report: Report) -> str:
    """The report as HTML: styles and drawings inside, every text escaped, nothing loaded."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        score=wording.score,
        gain=wording.describe_gain,
        gate=wording.describe_gate,
        duration=wording.duration,
        file_size=wording.file_size,
        count=wording.count,
        times=wording.times,
        milliseconds=milliseconds,
        shape=bench_charts.describe_shape,
        mcnemar=wording.describe_mcnemar,
        agreement=wording.describe_agreement,
        examples=wording.describe_examples,
        ratio=wording.describe_ratio,
        spread=wording.describe_spread,
        percent=wording.percent,
        tight=_hold_together,
        yaml=_as_yaml,
        json=_as_json,
    )
    return environment.get_template("report.html").render(
        report=report,
        role_names=ROLE_NAMES,
        next_step=NEXT_STEP,
        promises=wording.promises(report),
        kept_plots=_plot_kept(report),
        tasks=[_draw_task(task) for task in report.tasks],
        prunings=read_prunings(report.provenance.manifests),
        frontiers=_draw_frontiers(report),
        curves=[_draw_curve(curve) for curve in report.curves],
        bar_groups=charts.size_and_speed_bars(report),
        bench=_draw_bench(report.bench) if report.bench else None,
        plot=charts,
        edge=bench_charts.EDGE,
    )


def _plot_kept(report: Report) -> list[tuple[str, charts.DotPlot]]:
    """Both readings of what was kept, each on an axis of its own: their scales differ."""
    names = _name_repeats(report.tasks)
    readings: list[tuple[str, dict[str, Ratio]]] = [
        ("kept of the teacher's score", {name: task.kept for name, task in names.items()}),
        ("kept above the majority class", {name: task.kept_above_majority for name, task in names.items()}),
    ]
    plots = []
    for title, rows in readings:
        plot = charts.kept_dots(rows)
        if plot is not None:
            plots.append((title, plot))
    return plots


def _name_repeats(tasks: list[TaskComparison]) -> dict[str, TaskComparison]:
    """Tasks by name; repeats of one name are numbered."""
    names: dict[str, TaskComparison] = {}
    for task in tasks:
        repeat = sum(other.name == task.name for other in names.values()) + 1
        names[task.name if repeat == 1 else f"{task.name} ({repeat})"] = task
    return names


def _draw_task(task: TaskComparison) -> dict[str, Any]:
    labels = task.labels or []
    small = len(labels) <= LARGEST_HEAT_TABLE
    return {
        "data": task,
        "bars": charts.score_bars(task),
        "metrics": list(next(iter(task.models.values())).metrics),
        "matrices": task.confusion if small else {},
        "pairs": {}
        if small
        else {role: charts.confused_pairs(matrix, labels) for role, matrix in task.confusion.items()},
    }


def _draw_frontiers(report: Report) -> dict[str, list[ScatterPlot]]:
    found = read_frontiers(report.provenance.manifests)
    return {name: plot_frontier(frontier) for name, frontier in found.items()}


def _draw_curve(curve: Curve) -> dict[str, Any]:
    return {"stage": curve.stage, "plots": charts.plot_curves(curve)}


def _draw_bench(bench: Bench) -> dict[str, Any]:
    return {
        "scatters": bench_charts.plot_quality(bench),
        "latency": bench_charts.plot_latency(bench),
        "shape": bench_charts.shown_shape(bench),
        "metered": bench.models[0].throughput[-1].joules is not None,
    }


def _hold_together(text: str) -> str:
    """Keep a number and its unit, and both ends of an interval, on one line."""
    return re.sub(r" (?=[%×])|(?<=\d,) (?=-?\d)", "\u00a0", text)


def _as_yaml(value: Any) -> str:
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True)


def _as_json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)
