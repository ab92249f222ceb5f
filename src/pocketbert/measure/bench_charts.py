"""Geometry of a bench's drawings: quality against bytes and latency, latency by length. Models go by number."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pocketbert.measure.bench_results import Bench, BenchedModel, Latency
from pocketbert.measure.bench_table import milliseconds
from pocketbert.measure.charts import BOTTOM, LEFT, TOP, Tick, nice_ticks
from pocketbert.measure.wording import counted, file_size, score

EDGE = 392
"""Right edge of the area inside the axes: beyond it the numbers of the lines."""

_ROOM = 12.0
"""Least distance between two numbers, or a number and a dot."""

_LINE_ROOM = 15.0
"""Least distance between the numbers of two lines."""

_MOST_TICKS = 4
"""Of an axis whose labels are side by side, on a phone too."""

_ROUND = [math.radians(angle) for angle in (-45, -135, 45, 135, -90, 0, 180, 90)]
"""Where around its dot a number may stand, the best place first; downwards is greater."""


@dataclass(frozen=True, slots=True)
class Point:
    """A model: a dot with its interval, and its number beside it."""

    number: int
    x: float
    y: float
    low: float
    high: float
    label_x: float
    label_y: float


@dataclass(frozen=True, slots=True)
class ScatterPlot:
    """Models between two axes."""

    title: str
    summary: str
    x_name: str
    points: list[Point]
    x_ticks: list[Tick]
    y_ticks: list[Tick]


@dataclass(frozen=True, slots=True)
class Series:
    """A model's line: ``points`` is an SVG list of coordinates."""

    number: int
    points: str
    last_x: float
    last_y: float
    label_y: float


@dataclass(frozen=True, slots=True)
class SeriesPlot:
    """A line for each model between two axes."""

    title: str
    summary: str
    x_name: str
    series: list[Series]
    x_ticks: list[Tick]
    y_ticks: list[Tick]


def plot_quality(bench: Bench) -> list[ScatterPlot]:
    """Score against bytes, and against the latency of one text; none where nothing was scored."""
    scored = [(number, model) for number, model in enumerate(bench.models, start=1) if model.quality]
    if not scored:
        return []
    plots = [_plot_scatter("score against bytes", "bytes", scored, lambda model: model.size.bytes, _round_size)]
    shape = shown_shape(bench)
    if shape:
        name = f"ms, {describe_shape(shape)}"

        def wait(model: BenchedModel) -> float:
            return _wait(model, shape)

        plots.append(_plot_scatter("score against latency", name, scored, wait, lambda value: f"{value:g}"))
    return plots


def plot_latency(bench: Bench) -> SeriesPlot | None:
    """Median latency by length, of the fewest texts on the most threads; None of fewer than two lengths."""
    shape = shown_shape(bench)
    lines = [[each for each in model.latency if shape and _key(each)[1:] == _key(shape)[1:]] for model in bench.models]
    if shape is None or len(lines[0]) < 2:
        return None
    waits = [each.p50 for line in lines for each in line]
    place_x = _log_axis([each.tokens for each in lines[0]], LEFT, EDGE)
    place_y = _log_axis(waits, BOTTOM, TOP)
    labels = _spread([place_y(line[-1].p50) for line in lines])
    called = describe_shape(shape).partition(", ")[2]
    return SeriesPlot(
        title=f"median latency by length, {called}",
        summary="; ".join(f"model {number}: {_describe_line(line)}" for number, line in enumerate(lines, start=1)),
        x_name="tokens",
        series=[
            Series(
                number,
                " ".join(f"{place_x(each.tokens):.1f},{place_y(each.p50):.1f}" for each in line),
                place_x(line[-1].tokens),
                place_y(line[-1].p50),
                label,
            )
            for number, (line, label) in enumerate(zip(lines, labels, strict=True), start=1)
        ],
        x_ticks=[Tick(place_x(each.tokens), f"{each.tokens}") for each in lines[0]],
        y_ticks=[Tick(place_y(value), f"{value:g} ms") for value in _log_ticks(min(waits), max(waits))],
    )


def shown_shape(bench: Bench) -> Latency | None:
    """The reference's calls that stand for its latency: the fewest texts, the most threads, 128 tokens or near it."""
    calls = bench.models[0].latency
    if not calls:
        return None
    return min(calls, key=lambda each: (each.batch_size, -each.threads, abs(math.log(each.tokens / 128))))


def describe_shape(latency: Latency) -> str:
    """``128 tokens, 1 text on 2 threads``."""
    return f"{latency.tokens} tokens, {counted(latency.batch_size, 'text')} on {counted(latency.threads, 'thread')}"


def _plot_scatter(
    title: str,
    x_name: str,
    models: Sequence[tuple[int, BenchedModel]],
    pick: Callable[[BenchedModel], float],
    show: Callable[[float], str],
) -> ScatterPlot:
    scores = [(model.quality.score, model.quality.interval) for _, model in models if model.quality]
    low, high = min(span.low for _, span in scores), max(span.high for _, span in scores)
    room = 0.06 * (high - low) or 0.02

    def place_y(value: float) -> float:
        return BOTTOM - (value - low + room) / (high - low + 2 * room) * (BOTTOM - TOP)

    values = [pick(model) for _, model in models]
    place_x = _log_axis(values, LEFT, EDGE)
    dots = [(place_x(value), place_y(own)) for value, (own, _) in zip(values, scores, strict=True)]
    return ScatterPlot(
        title=title,
        summary="; ".join(
            f"model {number}: {score(own)} at {show(value)}"
            for (number, _), value, (own, _) in zip(models, values, scores, strict=True)
        ),
        x_name=x_name,
        points=[
            Point(number, x, y, place_y(span.low), place_y(span.high), *label)
            for (number, _), (x, y), (_, span), label in zip(models, dots, scores, _place_numbers(dots), strict=True)
        ],
        x_ticks=[Tick(place_x(value), show(value)) for value in _log_ticks(min(values), max(values))],
        y_ticks=[Tick(place_y(value), f"{value:.4g}") for value in nice_ticks(low - room, high + room)],
    )


def _round_size(size: float) -> str:
    """``12.0 MB`` as ``12 MB``."""
    return file_size(size).replace(".0 ", " ")


def _log_axis(values: Sequence[float], start: float, end: float) -> Callable[[float], float]:
    """A logarithmic axis with a little room at both ends: twice as much is as far everywhere."""
    low, high = math.log(min(values)), math.log(max(values))
    room = 0.06 * (high - low) or 0.5
    return lambda value: start + (math.log(value) - low + room) / (high - low + 2 * room) * (end - start)


def _log_ticks(low: float, high: float) -> list[float]:
    """At most four: multiples of 1, 2 and 5 times powers of ten, or other round numbers where that is hardly one."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1, 2, 5), (1,)):
        ticks = [factor * 10.0**power for power in powers for factor in factors if low <= factor * 10.0**power <= high]
        if len(ticks) <= _MOST_TICKS:
            break
    ticks = ticks if len(ticks) > 1 else nice_ticks(low, high)
    return ticks[:: math.ceil(len(ticks) / _MOST_TICKS)]


def _place_numbers(dots: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """A place for each dot's number, away from all dots and the other numbers."""
    taken = list(dots)
    places = []
    for x, y in dots:
        around = [
            (x + radius * math.cos(angle), y + radius * math.sin(angle)) for radius in (13, 24, 36) for angle in _ROUND
        ]
        free = [place for place in around if min(math.dist(place, other) for other in taken) >= _ROOM]
        places.append((free or around)[0])
        taken.append(places[-1])
    return places


def _spread(wanted: Sequence[float]) -> list[float]:
    """Heights near the wanted ones that are far enough apart."""
    heights = [0.0] * len(wanted)
    last = -math.inf
    for number in sorted(range(len(wanted)), key=lambda each: wanted[each]):
        last = heights[number] = max(wanted[number], last + _LINE_ROOM)
    return heights


def _wait(model: BenchedModel, shape: Latency) -> float:
    return next(each.p50 for each in model.latency if _key(each) == _key(shape))


def _key(latency: Latency) -> tuple[int, int, int]:
    return latency.tokens, latency.batch_size, latency.threads


def _describe_line(line: Sequence[Latency]) -> str:
    first, last = (f"{milliseconds(each.p50)} ms at {each.tokens} tokens" for each in (line[0], line[-1]))
    return f"{first} to {last}"
