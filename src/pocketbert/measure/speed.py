"""Speed: engines timed in turn on the same real texts."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pocketbert.distill.prediction import select_inputs
from pocketbert.engines.base import Engine
from pocketbert.measure.results import Speed, Spread, Timing
from pocketbert.tasks.base import Feature, collate

_TEXTS = 32
"""Different texts for latency: enough to cover a task's lengths."""

_BATCHES = 4
"""Different batches for throughput: few, for a batch of a large teacher takes seconds on a CPU."""

FEWEST_ROUNDS = 3
MOST_ROUNDS = 200


@dataclass(frozen=True, slots=True)
class Runnable:
    """A model ready to be timed.

    Attributes:
        engine: runs it.
        features: inputs of the same rows in the same order for every model compared.
        pad_token_id: what fills short rows.
        device: where it runs.
    """

    engine: Engine
    features: Sequence[Feature]
    pad_token_id: int = 0
    device: str = "cpu"


@dataclass(frozen=True, slots=True)
class Work:
    """What is timed as one: padded batches, run one after the other.

    Attributes:
        batches: arrays of shape (batch, tokens) by name.
        texts: how many there are.
        tokens: of the texts, padding not counted.
    """

    batches: list[dict[str, NDArray[Any]]]
    texts: int
    tokens: int


def measure_speed(models: Mapping[str, Runnable], *, seconds: float = 20.0, batch_size: int = 32) -> Speed:
    """Time models in turn in one run: one text at a time, then in batches.

    Tokenisation is not timed. Every round times each model once on the same texts, in an order that
    rotates, so that a machine that slows down slows all of them; ratios are taken round by round.

    Args:
        models: by name; the first is the reference of the ratios.
        seconds: about how long to measure; at least three rounds of each kind are timed.
        batch_size: texts per batch of the throughput.

    Raises:
        ValueError: there is no model, or the models differ in the number of rows.
    """
    counts = {len(model.features) for model in models.values()}
    if len(counts) != 1 or 0 in counts:
        raise ValueError("speed needs models with the same rows, at least one")
    runs = list(models.values())
    engines = [run.engine for run in runs]
    singles = [_walk_through(run, 1, _TEXTS) for run in runs]
    batches = [_walk_through(run, batch_size, _BATCHES) for run in runs]
    latency = time_in_turn(engines, singles, seconds / 2)
    throughput = time_in_turn(engines, batches, seconds / 2)
    lengths = [len(feature["input_ids"]) for feature in runs[0].features]
    return Speed(
        models={
            name: _summarise(model.engine, latency[:, column], throughput[:, column], batches[column])
            for column, (name, model) in enumerate(models.items())
        },
        latency_ratio=compare_rounds(list(models), latency),
        throughput_ratio=compare_rounds(list(models), throughput),
        latency_rounds=len(latency),
        throughput_rounds=len(throughput),
        batch_size=batch_size,
        tokens_p50=math.ceil(np.median(lengths)),
        tokens_p95=math.ceil(np.quantile(lengths, 0.95)),
        threads=torch.get_num_threads(),
        device=runs[0].device,
    )


def time_in_turn(
    engines: Sequence[Engine],
    works: Sequence[Sequence[Work]],
    seconds: float,
    read: Callable[[], float] = time.perf_counter,
) -> NDArray[np.float64]:
    """Have every engine do one of its works a round, until the time is up.

    Args:
        engines: of the models.
        works: of each engine; equally many, and of equal rows at equal places.
        seconds: of the rounds; a warm-up of up to a quarter of it goes before, one work of each engine at least.
        read: what is measured: a reading that rises, in seconds for a clock.

    Returns:
        Readings of shape (rounds, engines): work ``round % works`` of each.
    """
    for engine, own in zip(engines, works, strict=True):
        _warm_up(engine, own, seconds / (4 * len(engines)))
    wanted = len(works[0])
    times: list[list[float]] = []
    end = time.perf_counter() + seconds
    while len(times) < FEWEST_ROUNDS or (len(times) < MOST_ROUNDS and time.perf_counter() < end):
        number = len(times)
        # The second term changes who is first each time the works come round again.
        first = number + number // wanted
        times.append(_time_round(engines, [own[number % wanted] for own in works], first, read))
    return np.array(times)


def make_work(run: Runnable, groups: Sequence[Sequence[int]]) -> Work:
    """Batches of the rows of each group, one after the other."""
    rows = [row for group in groups for row in group]
    inputs = select_inputs(run.features, run.engine)
    return Work(
        batches=[collate([inputs[row] for row in group], run.pad_token_id) for group in groups],
        texts=len(rows),
        tokens=sum(len(inputs[row]["input_ids"]) for row in rows),
    )


def compare_rounds(names: Sequence[str], times: NDArray[np.float64]) -> dict[str, Spread]:
    """The first model's times over those of each other, round by round."""
    ratios = times[:, :1] / times
    return {
        name: Spread(
            median=float(np.median(ratios[:, column])),
            low=float(np.min(ratios[:, column])),
            high=float(np.max(ratios[:, column])),
        )
        for column, name in enumerate(names)
        if column
    }


def rate(times: NDArray[np.float64], works: Sequence[Work], unit: str) -> float:
    """Texts or tokens a second: the median round.

    Args:
        times: (rounds,) seconds of the works in turn.
        works: of the model.
        unit: ``texts`` or ``tokens``.
    """
    done = np.array([getattr(works[number % len(works)], unit) for number in range(len(times))])
    return float(np.median(done / times))


def _summarise(
    engine: Engine, latency: NDArray[np.float64], throughput: NDArray[np.float64], batches: Sequence[Work]
) -> Timing:
    return Timing(
        latency_p50=1000 * float(np.median(latency)),
        latency_p95=1000 * float(np.quantile(latency, 0.95)),
        tokens_per_second=rate(throughput, batches, "tokens"),
        texts_per_second=rate(throughput, batches, "texts"),
        precision=engine.description.precision,
        engine=engine.name,
    )


def _walk_through(run: Runnable, batch_size: int, wanted: int) -> list[Work]:
    """Batches that each walk through all rows, for neighbours are often of one class or length."""
    rows = np.linspace(0, len(run.features), batch_size * wanted, endpoint=False).astype(int)
    return [make_work(run, [walk.tolist()]) for walk in rows.reshape(batch_size, wanted).T]


def _warm_up(engine: Engine, works: Sequence[Work], seconds: float) -> None:
    """Run each shape once: the first call of a shape plans its kernels."""
    end = time.perf_counter() + seconds
    for work in works:
        _time_work(engine, work, time.perf_counter)
        if time.perf_counter() > end:
            return


def _time_round(engines: Sequence[Engine], works: Sequence[Work], first: int, read: Callable[[], float]) -> list[float]:
    times = [0.0] * len(engines)
    for turn in range(len(engines)):
        column = (first + turn) % len(engines)
        times[column] = _time_work(engines[column], works[column], read)
    return times


def _time_work(engine: Engine, work: Work, read: Callable[[], float]) -> float:
    """An engine's answer is in the CPU's memory when it returns, so that nothing is left to wait for."""
    start = read()
    for batch in work.batches:
        engine.run(batch)
    return read() - start
