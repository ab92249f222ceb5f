"""The timed parts of a bench: start, calls of one shape, and the mixed sample."""

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from pocketbert.engines.batching import batches_by_length
from pocketbert.measure.bench_results import Latency, Throughput
from pocketbert.measure.energy import EnergyMeter
from pocketbert.measure.opening import OpenModel
from pocketbert.measure.results import Startup
from pocketbert.measure.sample import MixedSample, rows_of_length
from pocketbert.measure.schedule import Schedule
from pocketbert.measure.speed import FEWEST_ROUNDS, Runnable, Work, compare_rounds, make_work, rate, time_in_turn
from pocketbert.measure.startup import measure_startup
from pocketbert.measure.wording import counted
from pocketbert.tasks.base import Feature

BATCH_TOKENS = 1024
"""Of a batch of the mixed sample, padding included: from about a thousand tokens on engines get no faster."""

_STARTS = 3
"""How often each model is started, where the time allows."""

_START_BATCHES = 4
"""Batches of the mixed sample that a started model runs, the largest, for its memory."""

_VARIANTS = 4
"""Different batches of one shape."""

_WARM = 1.25
"""Rounds with their warm-up, which takes up to a quarter of their time."""

_ALWAYS = 1.0
"""Seconds: a shape that takes less is timed even where no time is left."""

_ENOUGH = {0.95: 20, 0.99: 100}
"""Calls that it takes to tell a percentile."""

Models = Mapping[str, OpenModel]
"""By reference; the first is what the others are compared with."""


@dataclass(frozen=True)
class Shapes:
    """What is timed, each in rising order.

    Attributes:
        lengths: tokens of a text.
        batch_sizes: texts of a call.
    """

    lengths: list[int]
    batch_sizes: list[int]

    @property
    def by_work(self) -> list[tuple[int, int]]:
        """Batch size and length of each shape, the cheapest first: what no time is left for is the dearest."""
        return sorted(product(self.batch_sizes, self.lengths), key=lambda shape: (shape[0] * shape[1], shape))


def time_starts(models: Models, sample: MixedSample, threads: int, seconds: float) -> dict[str, Startup]:
    """Start each model in a process of its own, in turn, once at least.

    Returns:
        By reference: medians of the times, and the greatest of the memory.
    """
    found: dict[str, list[Startup]] = {reference: [] for reference in models}
    limit = time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as folder:
        for number in range(_STARTS):
            begun = time.monotonic()
            for reference in _rotated(list(models), number):
                model = models[reference]
                batches = _starting_batches(_runnable(model, sample.features[reference]))
                task = model.engine.description.task
                found[reference].append(measure_startup(reference, task, threads, batches, Path(folder)))
            if time.monotonic() + (time.monotonic() - begun) > limit:
                break
    return {reference: _summarise_starts(starts) for reference, starts in found.items()}


def time_shapes(
    models: Models, sample: MixedSample, shapes: Shapes, threads: int, schedule: Schedule, seconds: float
) -> tuple[dict[str, list[Latency]], list[str]]:
    """Time calls of each shape, the models in turn.

    Args:
        models: with engines of so many threads.
        sample: its texts fill the rows.
        shapes: what is timed.
        threads: of the engines.
        schedule: is told what comes.
        seconds: for all of it; what it does not suffice for is left out.

    Returns:
        The latencies of each model, and a note on each shape that was left out.
    """
    found: dict[str, list[Latency]] = {reference: [] for reference in models}
    notes = []
    limit = schedule.elapsed + seconds
    per_token = 0.0
    for number, (batch_size, tokens) in enumerate(order := shapes.by_work):
        left = limit - schedule.elapsed
        needed = per_token * batch_size * tokens * (FEWEST_ROUNDS + 1)
        shape = f"{batch_size} × {tokens} tokens on {counted(threads, 'thread')}"
        if needed > max(left, _ALWAYS):
            notes.append(
                f"{shape}: not timed, for it takes about {needed:.0f} s and {max(left, 0):.0f} s were left; "
                "give the bench more time"
            )
            continue
        schedule.begin(shape)
        times = _time_shape(models, sample, batch_size, tokens, left / (len(order) - number))
        per_token = float(np.median(times, axis=0).sum()) / (batch_size * tokens)
        ratios = compare_rounds(list(models), times)
        for column, reference in enumerate(models):
            calls = 1000 * times[:, column]
            found[reference].append(
                Latency(
                    tokens=tokens,
                    batch_size=batch_size,
                    threads=threads,
                    rounds=len(calls),
                    p50=float(np.median(calls)),
                    p95=_percentile(calls, 0.95),
                    p99=_percentile(calls, 0.99),
                    ratio=ratios.get(reference),
                )
            )
    return found, notes


def time_sample(
    models: Models, sample: MixedSample, threads: int, seconds: float, meter: EnergyMeter | None
) -> dict[str, Throughput]:
    """Time the mixed sample, in batches of like lengths, the models in turn.

    Args:
        models: with engines of so many threads.
        sample: of texts.
        threads: of the engines.
        seconds: for all of it; half of them for energy, where there is a meter.
        meter: of energy.
    """
    engines = [model.engine for model in models.values()]
    works = [[_sample_work(_runnable(model, sample.features[reference]))] for reference, model in models.items()]
    share = seconds / (_WARM if meter is None else 2 * _WARM)
    times = time_in_turn(engines, works, share)
    joules = None if meter is None else time_in_turn(engines, works, share, meter.read)
    ratios = compare_rounds(list(models), times)
    return {
        reference: Throughput(
            threads=threads,
            rounds=len(times),
            texts_per_second=rate(times[:, column], works[column], "texts"),
            tokens_per_second=rate(times[:, column], works[column], "tokens"),
            joules=None if joules is None else 1000 * median(joules[:, column]) / works[column][0].texts,
            ratio=ratios.get(reference),
        )
        for column, reference in enumerate(models)
    }


def _time_shape(
    models: Models, sample: MixedSample, batch_size: int, tokens: int, seconds: float
) -> NDArray[np.float64]:
    works = []
    for model in models.values():
        rows = _runnable(model, rows_of_length(model, sample.texts, tokens, _VARIANTS * batch_size))
        starts = range(0, _VARIANTS * batch_size, batch_size)
        works.append([make_work(rows, [range(start, start + batch_size)]) for start in starts])
    return time_in_turn([model.engine for model in models.values()], works, seconds / _WARM)


def _percentile(calls: NDArray[np.float64], share: float) -> float | None:
    return float(np.quantile(calls, share)) if len(calls) >= _ENOUGH[share] else None


def _sample_work(run: Runnable) -> Work:
    return make_work(run, batches_by_length(_lengths(run), BATCH_TOKENS))


def _starting_batches(run: Runnable) -> list[dict[str, NDArray[np.int64]]]:
    """A text of median length alone, then the largest batches."""
    lengths = _lengths(run)
    middle = int(np.argsort(lengths)[len(lengths) // 2])
    batches = batches_by_length(lengths, BATCH_TOKENS)
    return make_work(run, [[middle], *batches[:_START_BATCHES]]).batches


def _summarise_starts(starts: Sequence[Startup]) -> Startup:
    return Startup(
        load_seconds=median(start.load_seconds for start in starts),
        first_answer_seconds=median(start.first_answer_seconds for start in starts),
        peak_bytes=max(start.peak_bytes for start in starts),
    )


def _runnable(model: OpenModel, features: Sequence[Feature]) -> Runnable:
    return Runnable(model.engine, features, model.tokenizer.pad_token_id, model.device)


def _lengths(run: Runnable) -> list[int]:
    return [len(feature["input_ids"]) for feature in run.features]


def _rotated(names: list[str], by: int) -> list[str]:
    first = by % len(names)
    return names[first:] + names[:first]
