"""Models side by side: latency by shape and threads, throughput, start, memory, size, energy, and what was kept.

Every round times each model once, in an order that rotates; ratios are taken round by round. All run on the CPU, where
exported files run.
"""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

from pocketbert.distill.cores import torch_threads
from pocketbert.distill.rows import targets
from pocketbert.engines.exported import is_exported, model_folder, open_file
from pocketbert.errors import PocketBertError
from pocketbert.machine import granted_cores
from pocketbert.measure.bench_results import Bench, BenchedModel, Latency, Sample, Throughput
from pocketbert.measure.bench_timing import (
    BATCH_TOKENS,
    Models,
    Shapes,
    time_sample,
    time_shapes,
    time_starts,
)
from pocketbert.measure.energy import EnergyMeter, find_meter
from pocketbert.measure.evaluation import answer, open_for, rows_for, shared_examples
from pocketbert.measure.opening import OpenModel, open_model
from pocketbert.measure.results import Startup, TaskComparison
from pocketbert.measure.sample import MixedSample, sample_embedded, sample_rows
from pocketbert.measure.schedule import Schedule
from pocketbert.measure.scores import compare_predictions
from pocketbert.measure.size import measure_size
from pocketbert.measure.wording import counted
from pocketbert.recipe import Data

LENGTHS = (16, 32, 64, 128)
BATCH_SIZES = (1, 8, 32)
SECONDS = 120.0

_MOST_THREADS = 4
"""For each processor of the machine: more only wait for each other."""
_START_SHARE = 0.15
"""Of the time, for starting each model in a process of its own."""
_SAMPLE_SHARE = 0.3
"""Of the time on so many threads, for the mixed sample."""


@dataclass
class _Timed:
    """What was timed, by reference of the model."""

    starts: dict[str, Startup] = field(default_factory=dict)
    latency: dict[str, list[Latency]] = field(default_factory=dict)
    throughput: dict[str, list[Throughput]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def bench(
    models: Sequence[str],
    against: str | None = None,
    data: Data | None = None,
    *,
    lengths: Sequence[int] | None = None,
    batch_sizes: Sequence[int] = BATCH_SIZES,
    threads: Sequence[int] | None = None,
    seconds: float = SECONDS,
    console: Console | None = None,
) -> Bench:
    """Measure models side by side.

    Args:
        models: model directories, which torch runs, and exported files.
        against: what all are compared with; the first model when absent.
        data: a task; its ``test`` rows, else its ``validation`` rows, else rows held out of ``train`` are scored, and
            a sample of them is timed. Without it nothing is scored, and text that comes with Python is timed.
        lengths: tokens of a text; 16, 32, 64, 128 and the longest that all models take when absent.
        batch_sizes: texts of a call.
        threads: of the engines; one, and all cores that the process was granted, when absent.
        seconds: about how long to time; scoring and loading come on top.
        console: for progress; standard error when absent.

    Raises:
        PocketBertError: a model cannot be opened, answers another task, or takes no text as long as asked.
    """
    references = list(dict.fromkeys([*([against] if against else []), *models]))
    console = console or Console(stderr=True)
    counts = sorted(set(threads or (1, granted_cores())))
    _check_bounds(counts, seconds)
    with torch_threads(_checked(counts, "threads")[-1]):
        opened = _open_all(references, data)
        shapes = Shapes(_settle_lengths(opened, lengths), _checked(sorted(set(batch_sizes)), "batch_sizes"))
        scored, sample, notes = _score(opened, data, console) if data else _score_nothing(opened, shapes)
        with Schedule(seconds, console) as schedule:
            timed = _time_all(opened, sample, shapes, counts, schedule)
            elapsed = schedule.elapsed
    first = next(iter(scored.values()), None)
    return Bench(
        models=[_collect(opened, reference, timed, scored.get(reference)) for reference in references],
        sample=_describe(sample, references[0]),
        lengths=shapes.lengths,
        batch_sizes=shapes.batch_sizes,
        threads=counts,
        task=first.task if first else None,
        examples=first.examples if first else None,
        deciding=first.deciding if first else [],
        seconds=elapsed,
        notes=[*notes, *timed.notes],
    )


def _check_bounds(threads: Sequence[int], seconds: float) -> None:
    if not 0 < seconds < math.inf:
        raise PocketBertError(f"bench: seconds {seconds:g}: name a time above 0")
    most = _MOST_THREADS * (os.cpu_count() or 1)
    if max(threads) > most:
        raise PocketBertError(f"bench: threads {max(threads)}: at most {most} on this machine")


def short_names(models: Models) -> dict[str, str]:
    """By reference: folder, engine and precision; the reference itself where that is not enough."""
    names = {}
    for reference, model in models.items():
        folder = model_folder(Path(reference)) if is_exported(reference) else Path(reference).absolute()
        names[reference] = f"{folder.name} {model.engine.name} {model.engine.description.precision}"
    told = list(names.values())
    return {reference: name if told.count(name) == 1 else reference for reference, name in names.items()}


def _open_all(references: Sequence[str], data: Data | None) -> dict[str, OpenModel]:
    """Open the models, in their order. Without data all are asked what an exported file among them answers."""
    opened: dict[str, OpenModel] = {}
    for reference in sorted(references, key=lambda each: not is_exported(each)):
        if data:
            opened[reference] = open_for(data, reference, on_cpu=True)
        else:
            task = next(iter(opened.values())).engine.description.task if opened else None
            opened[reference] = open_model(reference, task, on_cpu=True)
    if not opened:
        raise PocketBertError("bench: name at least one model")
    return {reference: opened[reference] for reference in references}


def _settle_lengths(models: Models, lengths: Sequence[int] | None) -> list[int]:
    limits = {model.source: model.engine.description.max_length for model in models.values()}
    source = min(limits, key=lambda each: limits[each])
    limit = limits[source]
    if lengths is None:
        return sorted({*(length for length in LENGTHS if length < limit), limit})
    if max(lengths, default=0) > limit:
        raise PocketBertError(f"lengths: {max(lengths)} is more than the {limit} tokens that {source} takes")
    return _checked(sorted(set(lengths)), "lengths", least=8)


def _checked(values: list[int], name: str, least: int = 1) -> list[int]:
    if not values or values[0] < least:
        raise PocketBertError(f"{name}: name at least one number, none below {least}")
    return values


def _score(models: Models, data: Data, console: Console) -> tuple[dict[str, TaskComparison], MixedSample, list[str]]:
    """Score every model on the test rows, beside the first."""
    first = next(iter(models))
    rows = rows_for(data, models[first])
    answers = {}
    with console.status("") as status:
        for reference, model in models.items():
            status.update(f"scoring {reference}")
            answers[reference] = answer(model, rows)
        examples = shared_examples(list(answers.values()))
        true, majority = targets(examples), rows.task.majority(targets(rows.train or examples), examples)
        scored = {
            reference: compare_predictions(rows.task, true, answers[first].predictions, own.predictions, None, majority)
            for reference, own in answers.items()
        }
    return scored, sample_rows(answers, rows), rows.notes


def _score_nothing(models: Models, shapes: Shapes) -> tuple[dict[str, TaskComparison], MixedSample, list[str]]:
    return {}, sample_embedded(models, shapes.lengths[-1]), ["no data was named, so nothing is scored"]


def _time_all(models: Models, sample: MixedSample, shapes: Shapes, counts: list[int], schedule: Schedule) -> _Timed:
    found = find_meter()
    meter, notes = (found, []) if isinstance(found, EnergyMeter) else (None, [f"energy is not measured: {found}"])
    timed = _Timed(notes=notes)
    reserved = _START_SHARE * schedule.left
    for number, count in enumerate(counts):
        end = schedule.elapsed + (schedule.left - reserved) / (len(counts) - number)
        torch.set_num_threads(count)
        threaded = _with_threads(models, count)
        schedule.begin(f"{len(sample.texts)} texts on {counted(count, 'thread')}")
        throughput = time_sample(threaded, sample, count, _SAMPLE_SHARE * (end - schedule.elapsed), meter)
        latency, left_out = time_shapes(threaded, sample, shapes, count, schedule, end - schedule.elapsed)
        for reference in models:
            timed.throughput.setdefault(reference, []).append(throughput[reference])
            timed.latency.setdefault(reference, []).extend(latency[reference])
        timed.notes.extend(left_out)
    schedule.begin("starting each model")
    timed.starts = time_starts(models, sample, counts[-1], reserved)
    return timed


def _with_threads(models: Models, count: int) -> dict[str, OpenModel]:
    """The same models with files loaded for so many threads; those of torch are of the process.

    Loaded anew for each number: ExecuTorch's threads are of the process too, and the last file to be loaded decides.
    """
    return {
        reference: replace(model, engine=open_file(Path(reference), count)) if is_exported(reference) else model
        for reference, model in models.items()
    }


def _collect(models: Models, reference: str, timed: _Timed, scored: TaskComparison | None) -> BenchedModel:
    engine = models[reference].engine
    is_first = reference == next(iter(models))
    return BenchedModel(
        name=short_names(models)[reference],
        reference=reference,
        engine=engine.name,
        precision=engine.description.precision,
        size=measure_size(reference),
        startup=timed.starts[reference],
        latency=timed.latency[reference],
        throughput=timed.throughput[reference],
        quality=scored.models["student"] if scored else None,
        kept=scored.kept if scored and not is_first else None,
        agreement=scored.agreement if scored and not is_first else None,
    )


def _describe(sample: MixedSample, reference: str) -> Sample:
    lengths = [len(feature["input_ids"]) for feature in sample.features[reference]]
    return Sample(
        source=sample.source,
        texts=len(lengths),
        tokens_p50=int(np.median(lengths)),
        tokens_p95=int(np.quantile(lengths, 0.95)),
        batch_tokens=BATCH_TOKENS,
    )
