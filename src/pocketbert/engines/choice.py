"""Which of a directory's files this processor runs, decided when it is loaded and checked on golden answers.

int8 comes first: with instructions for it (VNNI, AMX, NEON) it is several times as fast as fp32, and without them it is
faster still in one engine. bf16 is faster than fp32 on few processors. Which engine is the faster with a precision
depends on the model as much as on the processor (docs/results.md), so that is measured, and remembered beside the
model. No file is taken that does not answer here as it did where it was made, for int8 arithmetic differs between
processors.
"""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import ValidationError

from pocketbert.engines.base import Engine, Inputs
from pocketbert.engines.calibration import calibration_key, recall, remember
from pocketbert.engines.description import Description, Precision
from pocketbert.engines.exported import open_file
from pocketbert.engines.golden import FOLDER, Golden
from pocketbert.engines.parity import differences, limit_of
from pocketbert.errors import ModelError
from pocketbert.machine import granted_cores, multiplies_bf16
from pocketbert.manifest import NAME, ExportedFile, read_manifest
from pocketbert.recipe import Limits

SPOT_CHECKS = 4
"""Golden texts that are run at each load: a moment's work."""
_LENGTHS, _ROUNDS = (16, 64, 256), 2
"""Tokens of the texts that engines are timed on, in turn, and in how many rounds after one that warms up."""

EngineName = Literal["openvino", "onnxruntime"]
ENGINES: tuple[EngineName, ...] = ("openvino", "onnxruntime")
"""Of a server; those of a phone are not in question."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A file of a model directory, loaded.

    Attributes:
        path: from the model directory.
        engine: that runs it.
    """

    path: str
    engine: Engine


def open_directory(
    folder: Path,
    threads: int | None = None,
    streams: int = 1,
    *,
    batch_tokens: int | None = None,
    engine: EngineName | None = None,
    precision: Precision | None = None,
) -> Opened:
    """Open the file of an exported model directory that is the fastest here, of those that answer right.

    Args:
        folder: a directory that ``export`` made.
        threads: of all calls together; all cores that the process was granted when absent.
        streams: calls that run at once and share the threads.
        batch_tokens: of the full batches, padding included, with which it is to be the fastest, as under load; with
            texts alone when absent.
        engine: the only one in question; any when absent.
        precision: the only one in question; any when absent.

    Raises:
        ModelError: it is no such directory, has no such file, or none of its files can be run here and answers right;
            the message says what was wrong with each.
    """
    manifest = read_manifest(folder)
    if manifest is None or not manifest.exports:
        raise ModelError(f"{folder}: holds no exported files; make them with pocketbert export")
    exports = [each for each in manifest.exports if _asked_for(folder, each, engine, precision)]
    if not exports:
        there = ", ".join(each.path for each in manifest.exports)
        raise ModelError(f"{folder}: has no file of {precision or 'any precision'} for {engine or 'a server'}: {there}")
    golden = Golden.read(folder / FOLDER)
    cores = threads or granted_cores()
    options = {"threads": cores, "streams": streams, "engine": engine, "precision": precision, "batch": batch_tokens}
    key = calibration_key(folder, options)
    known = next((each for each in exports if each.path == recall(folder, key)), None)
    if known:
        with suppress(ModelError):  # then the choice is made anew, and tells what is wrong with each
            return Opened(known.path, _open_right(folder, known, _sample(golden), threads, streams))
    chosen, opened = choose(folder, exports, golden, threads, streams, batch_tokens)
    remember(folder, key, chosen.path)
    return Opened(chosen.path, opened)


def _asked_for(folder: Path, exported: ExportedFile, engine: str | None, precision: str | None) -> bool:
    said = understand(folder, exported)[0]
    return exported.engine in ([engine] if engine else ENGINES) and precision in (None, said.precision)


def choose(
    folder: Path,
    exports: Sequence[ExportedFile],
    golden: Golden,
    threads: int | None = None,
    streams: int = 1,
    batch_tokens: int | None = None,
) -> tuple[ExportedFile, Engine]:
    """The fastest of the files that answer right, of the precision that this processor should be fastest with.

    Args:
        folder: where they lie.
        exports: the files in question.
        golden: texts and answers, of which some are run.
        threads: of all calls together; all cores that the process was granted when absent.
        streams: calls that run at once and share the threads.
        batch_tokens: of the full batches with which it is to be the fastest; with texts alone when absent.

    Raises:
        ModelError: none of them can be run here and answers right; the message says what was wrong with each.
    """
    sample, refused = _sample(golden), list[str]()
    for group in by_precision(folder, exports):
        right: dict[str, tuple[ExportedFile, Engine]] = {}
        for exported in group:
            if exported.engine in right:
                continue  # the same graph once more, for a browser or a phone
            try:
                right[exported.engine] = exported, _open_right(folder, exported, sample, threads, streams)
            except ModelError as error:
                refused.append(str(error))
        if right:
            found = list(right.values())
            return found[_fastest([engine for _, engine in found], sample, streams, batch_tokens)]
    raise ModelError(f"{folder}: no file answers right on this machine\n  " + "\n  ".join(refused))


def by_precision(folder: Path, exports: Sequence[ExportedFile]) -> Iterator[list[ExportedFile]]:
    """Files of engines for a server, those of one precision together, in the order in which they are worth a try.

    Raises:
        ModelError: the manifest says of a file what cannot be.
    """
    order: tuple[Precision, ...] = ("int8", "fp32", "bf16", "fp16")
    if multiplies_bf16():
        order = ("int8", "bf16", "fp32", "fp16")
    served = [each for each in exports if each.engine in ENGINES]
    for precision in order:
        if group := [each for each in served if understand(folder, each)[0].precision == precision]:
            yield group


def understand(folder: Path, exported: ExportedFile) -> tuple[Description, Limits]:
    """What the manifest says of a file: what it is, and the limits that it has to hold.

    Raises:
        ModelError: it says what cannot be.
    """
    try:
        return Description.model_validate(exported.description), Limits.model_validate(exported.limits)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"]))
        raise ModelError(
            f"{folder / NAME}: says of {exported.path} what cannot be: {where}: {problem['msg']}; export it again"
        ) from None


def _sample(golden: Golden) -> Golden:
    rows = range(0, len(golden.texts), max(1, len(golden.texts) // SPOT_CHECKS))
    texts, ids, logits = golden.texts, golden.ids, golden.logits
    return Golden([texts[row] for row in rows], [ids[row] for row in rows], [logits[row] for row in rows])


def _open_right(folder: Path, exported: ExportedFile, golden: Golden, threads: int | None, streams: int) -> Engine:
    """Open a file.

    Raises:
        ModelError: it cannot be run here, or does not answer right.
    """
    said, limits = understand(folder, exported)
    engine = open_file(folder / exported.path, threads, streams)
    difference, scale = differences(engine, golden)  # some damage shows only when a file runs
    limit = limit_of(limits, said.precision)
    if not difference <= limit * scale:  # not "greater": a NaN is wrong too
        raise ModelError(f"{exported.path}: a logit is off by {difference / scale:.2%}, the limit is {limit:.2%}")
    return engine


def _fastest(engines: Sequence[Engine], golden: Golden, streams: int, batch_tokens: int | None) -> int:
    """Which engine answers soonest, in turn: texts alone, or full batches in all streams.

    Which is the faster differs between the two. The mean over lengths counts short and long texts alike. Each counts
    with its best time, for whatever else the machine does can only add to it.
    """
    if len(engines) == 1:
        return 0
    longest = engines[0].description.max_length
    lengths = sorted({min(length, longest) for length in _LENGTHS})
    batches = [_batch(golden, max(1, (batch_tokens or 0) // length), length) for length in lengths]
    with ThreadPoolExecutor(streams) as threads:
        rounds = [[_seconds(engine, batches, threads, streams) for engine in engines] for _ in range(1 + _ROUNDS)]
    return int(np.log(np.min(rounds[1:], axis=0)).mean(axis=1).argmin())  # the first round warms up


def _batch(golden: Golden, rows: int, length: int) -> Inputs:
    """Golden texts as one, over and over: (rows, length)."""
    ids, types = (np.resize(each, (rows, length)) for each in np.concatenate(golden.ids, axis=1))
    return {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": types}


def _seconds(engine: Engine, batches: Sequence[Inputs], threads: Executor, streams: int) -> list[float]:
    """Of each batch, run by all streams at once."""
    ends = [time.perf_counter()]
    for batch in batches:
        list(threads.map(engine.run, [batch] * streams))
        ends.append(time.perf_counter())
    return np.diff(ends).tolist()
