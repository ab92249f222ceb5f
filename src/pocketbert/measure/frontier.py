"""What prunings were worth, and the geometry of the frontier: the worth of candidates against their cost."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pocketbert.measure.charts import BOTTOM, LEFT, RIGHT, TOP, Tick, nice_ticks, pad
from pocketbert.measure.results import Candidate, Frontier, Outcome
from pocketbert.measure.wording import file_size, score


@dataclass(frozen=True, slots=True)
class Mark:
    """A candidate at a place of the drawing.

    Attributes:
        x: in the drawing's units.
        y: likewise, downwards.
        text: what it is.
        chosen: whether the search ended with it.
    """

    x: float
    y: float
    text: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class ScatterPlot:
    """Marks between two axes."""

    title: str
    summary: str
    across: str
    marks: list[Mark]
    x_ticks: list[Tick]
    y_ticks: list[Tick]


@dataclass(frozen=True, slots=True)
class _Measure:
    """Something a candidate was measured by, and how its values are written."""

    title: str
    value: Callable[[Candidate], float | None]
    write: Callable[[float], str]


_SCORE = _Measure("validation score after a short recovery", lambda each: each.score, score)
_CHANGE = _Measure("change of the answers when cut (less is better)", lambda each: each.change, "{:.4g}".format)
_BYTES = _Measure("bytes", lambda each: each.bytes, file_size)


def read_frontiers(manifests: Mapping[str, Any]) -> dict[str, Frontier]:
    """The frontiers that manifests hold, by the name of the stage.

    Args:
        manifests: as plain values, by name.
    """
    return {name: Frontier.model_validate(values) for name, values in _measured(manifests, "frontier").items()}


def read_prunings(manifests: Mapping[str, Any]) -> dict[str, Outcome]:
    """What prunings took out and were worth, likewise."""
    return {name: Outcome.model_validate(values) for name, values in _measured(manifests, "pruning").items()}


def _measured(manifests: Mapping[str, Any], what: str) -> dict[str, Any]:
    found = {name: manifest.get("metrics", {}).get(what) for name, manifest in manifests.items()}
    return {name: values for name, values in found.items() if values}


def plot_frontier(frontier: Frontier) -> list[ScatterPlot]:
    """Scores (where shapes were tried) and changes of the answers, against bytes and latency, as far as measured."""
    latency = _Measure(
        f"milliseconds for one text of {frontier.tokens} tokens", lambda each: each.latency_ms, "{:.3g} ms".format
    )
    plots = []
    for worth in (_SCORE, _CHANGE):
        for cost in (_BYTES, latency):
            values = [(each, cost.value(each), worth.value(each)) for each in frontier.candidates]
            known = [(each, x, y) for each, x, y in values if x is not None and y is not None]
            if len(known) > 1:
                plots.append(_place(known, cost, worth))
    return plots


def _place(known: Sequence[tuple[Candidate, float, float]], cost: _Measure, worth: _Measure) -> ScatterPlot:
    x_low, x_high = pad(min(x for _, x, _ in known), max(x for _, x, _ in known))
    y_low, y_high = pad(min(y for *_, y in known), max(y for *_, y in known))

    def across(x: float) -> float:
        return LEFT + (x - x_low) / (x_high - x_low) * (RIGHT - LEFT)

    def down(y: float) -> float:
        return BOTTOM - (y - y_low) / (y_high - y_low) * (BOTTOM - TOP)

    texts = [f"{each.shape}: {cost.write(x)}, {worth.write(y)}" for each, x, y in known]
    title = f"{worth.title}, against {cost.title}"
    return ScatterPlot(
        title=title,
        summary=f"{title}: {'; '.join(texts)}",
        across=cost.title,
        marks=[Mark(across(x), down(y), text, each.chosen) for (each, x, y), text in zip(known, texts, strict=True)],
        x_ticks=[Tick(across(x), cost.write(x)) for x in nice_ticks(x_low, x_high)],
        y_ticks=[Tick(down(y), f"{y:.4g}") for y in nice_ticks(y_low, y_high)],
    )
