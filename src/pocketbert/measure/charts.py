"""Geometry of the report's drawings; the template turns it into SVG, so all text is escaped in one place."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pocketbert.measure.comparison import Curve, Report
from pocketbert.measure.results import ROLE_NAMES, Interval, Ratio, Speed, TaskComparison
from pocketbert.measure.wording import (
    count,
    describe_ratio,
    file_size,
    percent,
    percent_range,
    score,
)

PLOT_WIDTH, PLOT_HEIGHT = 420, 230
"""Of a line plot, in its own units."""

LEFT, RIGHT, TOP, BOTTOM = 52, 408, 14, 196
"""Edges of the area inside the axes."""

_MOST_POINTS = 240
"""Points of a line beyond which neighbours share a pixel and are averaged."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A label of an axis, at a position in the drawing's units."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class LinePlot:
    """A line with its axes: ``points`` is an SVG list of coordinates."""

    title: str
    summary: str
    points: str
    last_x: float
    last_y: float
    x_ticks: list[Tick]
    y_ticks: list[Tick]


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar from ``start`` over ``width``, with an interval; all in percent of the axis."""

    role: str
    name: str
    value: str
    detail: str
    start: float
    width: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Dot:
    """A value on an interval; all in percent of the axis."""

    name: str
    text: str
    at: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class DotPlot:
    """Ratios around the line where student and teacher are equal."""

    dots: list[Dot]
    ticks: list[Tick]
    equal: float


@dataclass(frozen=True, slots=True)
class BarGroup:
    """Bars of one measure."""

    title: str
    bars: list[Bar]


def nice_ticks(low: float, high: float) -> list[float]:
    """Round numbers between two ends, at most five steps: multiples of 1, 2 or 5 times a power of ten."""
    span = (high - low) or 1.0
    power = 10.0 ** math.floor(math.log10(span / 5))
    step = next(power * factor for factor in (1, 2, 5, 10) if span / (power * factor) <= 5)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


def plot_curves(curve: Curve) -> list[LinePlot]:
    """Training loss, validation score and validation loss of a stage, as far as they were logged."""
    measures = {"loss": "training loss", "eval_score": "validation score", "eval_loss": "validation loss"}
    plots = []
    for name, title in measures.items():
        logged = [(point.step, getattr(point, name)) for point in curve.points]
        points = [(float(step), value) for step, value in logged if value is not None]
        if len(points) > 1:
            plots.append(plot_line(title, points))
    return plots


def plot_line(title: str, points: Sequence[tuple[float, float]]) -> LinePlot:
    """Place points, by rising first coordinate, between the axes of a plot."""
    thin = _thin(points)
    xs, ys = [x for x, _ in thin], [y for _, y in thin]
    x_low, x_high = min(0.0, xs[0]), xs[-1]
    y_low, y_high = pad(min(ys), max(ys))

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - x_low) / (x_high - x_low) if x_high > x_low else 0.5
        return LEFT + across * (RIGHT - LEFT), BOTTOM - (y - y_low) / (y_high - y_low) * (BOTTOM - TOP)

    placed = [place(x, y) for x, y in zip(xs, ys, strict=True)]
    return LinePlot(
        title=title,
        summary=f"{title}: from {points[0][1]:.4g} at step {points[0][0]:g} "
        f"to {points[-1][1]:.4g} at step {points[-1][0]:g}",
        points=" ".join(f"{x:.1f},{y:.1f}" for x, y in placed),
        last_x=placed[-1][0],
        last_y=placed[-1][1],
        x_ticks=[Tick(place(x, y_low)[0], _label_step(x)) for x in nice_ticks(x_low, x_high)],
        y_ticks=[Tick(place(x_low, y)[1], f"{y:.4g}") for y in nice_ticks(y_low, y_high)],
    )


def score_bars(task: TaskComparison) -> list[Bar]:
    """A bar with its interval for each model of a task.

    The axis runs from zero to one, for a bar's length is what is compared; from below zero where a score is.
    """
    least = min([0.0, *(scores.interval.low for scores in task.models.values())])

    def place(value: float) -> float:
        return 100 * (value - least) / (1 - least)

    return [
        Bar(
            role=role,
            name=ROLE_NAMES[role],
            value=score(scores.score),
            detail=percent_range(scores.interval),
            start=place(min(0.0, scores.score)),
            width=place(abs(scores.score)) - place(0.0),
            low=place(scores.interval.low),
            high=place(scores.interval.high),
        )
        for role, scores in task.models.items()
    ]


def kept_dots(rows: Mapping[str, Ratio]) -> DotPlot | None:
    """Ratios with their intervals on a common axis; None where no ratio has a value."""
    known = [
        (name, ratio, ratio.value, ratio.interval or Interval(low=ratio.value, high=ratio.value))
        for name, ratio in rows.items()
        if ratio.value is not None
    ]
    if not known:
        return None
    least = min(span.low for *_, span in known)
    most = max(span.high for *_, span in known)
    low, high = pad(min(1.0, least), max(1.0, most))

    def place(value: float) -> float:
        return 100 * (value - low) / (high - low)

    dots = [
        Dot(name, describe_ratio(ratio), place(value), place(span.low), place(span.high))
        for name, ratio, value, span in known
    ]
    ticks = [Tick(place(value), f"{100 * value:g} %") for value in nice_ticks(low, high)]
    return DotPlot(dots, ticks, place(1.0))


def size_and_speed_bars(report: Report) -> list[BarGroup]:
    """Bars of bytes, parameters, throughput and latency, as far as they were measured."""
    groups = []
    if report.sizes:
        sizes = [(role, size.bytes, file_size(size.bytes)) for role, size in report.sizes.items()]
        weights = [(role, size.parameters, count(size.parameters)) for role, size in report.sizes.items()]
        groups += [_group_bars("weights on disk", sizes), _group_bars("parameters", weights)]
    return groups + (_speed_bars(report.speed) if report.speed else [])


@dataclass(frozen=True, slots=True)
class ConfusedPair:
    """A true label that was answered with another one: how often, and as a share of the true label."""

    true: str
    answered: str
    count: str
    share: str


def confused_pairs(matrix: Sequence[Sequence[int]], labels: Sequence[str]) -> list[ConfusedPair]:
    """The ten largest counts off the diagonal of (true label, answered label)."""
    cells = [
        (number, true, answered)
        for true, row in enumerate(matrix)
        for answered, number in enumerate(row)
        if number and true != answered
    ]
    cells.sort(key=lambda cell: -cell[0])
    return [
        ConfusedPair(labels[true], labels[answered], f"{number:,}", percent(number / sum(matrix[true])))
        for number, true, answered in cells[:10]
    ]


def _speed_bars(speed: Speed) -> list[BarGroup]:
    rates = [
        (name, timing.tokens_per_second, f"{count(timing.tokens_per_second)} tokens/s")
        for name, timing in speed.models.items()
    ]
    waits = [
        (name, timing.latency_p50, f"{timing.latency_p50:.1f} ms (p95 {timing.latency_p95:.1f})")
        for name, timing in speed.models.items()
    ]
    return [
        _group_bars(f"throughput, batches of {speed.batch_size}", rates),
        _group_bars("median latency, one text at a time", waits),
    ]


def _group_bars(title: str, rows: Sequence[tuple[str, float, str]]) -> BarGroup:
    """Bars from rows of role, value and its words; the longest fills the axis."""
    most = max(value for _, value, _ in rows) or 1.0
    bars = [Bar(role, ROLE_NAMES.get(role, role), words, "", 0.0, 100 * value / most) for role, value, words in rows]
    return BarGroup(title, bars)


def _thin(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Average runs of neighbours where there are more points than pixels; the ends stay."""
    run = math.ceil(len(points) / _MOST_POINTS)
    if run == 1:
        return list(points)
    groups = [points[start : start + run] for start in range(0, len(points), run)]
    means = [(sum(x for x, _ in g) / len(g), sum(y for _, y in g) / len(g)) for g in groups]
    return [points[0], *means[1:-1], points[-1]]


def pad(low: float, high: float) -> tuple[float, float]:
    """A little room at both ends; a flat line gets some of its own."""
    room = 0.06 * (high - low) or 0.05 * abs(high) or 0.05
    return low - room, high + room


def _label_step(step: float) -> str:
    return f"{step / 1000:g}k" if step >= 10_000 else f"{step:g}"
