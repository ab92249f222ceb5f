r"""Engines side by side: a student of DistilBERT's size in torch, ONNX Runtime and OpenVINO, and OpenVINO by hand.

    python benchmarks/engines.py --json runs/bench/engines.json

The student has random weights, made on the spot, which run as fast as any. Each way to run it first looks for its best
batch shape; then all are timed in turn, each at its best. By hand means the plain API of OpenVINO at the best settings
that were found: a compiled model for each shape, one request of all threads or a stream for each thread, fp32 or bf16
beside int8.
"""

import argparse
import itertools
import math
import tempfile
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import openvino
import torch
from numpy.typing import NDArray
from transformers import DistilBertConfig, DistilBertForSequenceClassification

from common import call, compare_rounds, console, make_parser, measure_in_turn, print_table, write_result
from pocketbert.engines.base import Engine
from pocketbert.engines.description import Description
from pocketbert.engines.exported import files_of, open_file
from pocketbert.export.onnx import write_onnx
from pocketbert.export.openvino import write_openvino
from pocketbert.measure.wording import file_size, times
from pocketbert.models.answering import Answering
from pocketbert.models.describing import as_engine
from pocketbert.shrink.int8_onnx import write_int8_onnx
from pocketbert.shrink.int8_openvino import write_int8_openvino
from random_student import disturb

Shape = tuple[int, int]
"""Texts of a call, and tokens of each."""
Batch = dict[str, NDArray[np.int64]]

INPUTS = ["input_ids", "attention_mask"]
SIZES = {"vocab_size": 30522, "n_layers": 6, "dim": 768, "n_heads": 12, "hidden_dim": 3072}
SHORT_SIZES = {"vocab_size": 1000, "n_layers": 2, "dim": 64, "n_heads": 2, "hidden_dim": 256}
SHAPES: list[Shape] = [(8, 32), (32, 32), (8, 64), (16, 64), (8, 128), (32, 128)]
SHORT_SHAPES: list[Shape] = [(8, 32), (8, 64)]
SINGLE: Shape = (1, 128)
CALIBRATION = 32
"""Random texts, for ranges that nobody reads answers of."""
REFERENCE, OURS = "torch fp32", "OpenVINO int8"
BY_HAND = {True: "OpenVINO int8 by hand", False: "the same, any shape"}
"""By whether a model is compiled for each shape."""


@dataclass
class Way:
    """A way to run the student.

    Attributes:
        call: starts a call.
        finish: waits for the calls that still run.
        bytes: on disk.
        setting: what was chosen among several.
        shape: the best that was found.
        found: tokens a second of each shape that was tried.
    """

    call: Callable[[Batch], Any]
    finish: Callable[[], Any] = lambda: None
    bytes: int | None = None
    setting: str = ""
    shape: Shape = SINGLE
    found: dict[Shape, float] = field(default_factory=dict)

    def rate(self, shape: Shape, seconds: float) -> float:
        """Tokens a second, from calls that go on for some seconds."""
        batch = make_batch(shape, seed=1)
        self.call(batch)
        self.finish()
        start, calls = time.perf_counter(), 0
        while time.perf_counter() - start < seconds or not calls:
            self.call(batch)
            calls += 1
        self.finish()
        return calls * math.prod(shape) / (time.perf_counter() - start)

    def latency(self) -> float:
        """Milliseconds of one text of 128 tokens: the median of some calls."""
        batch = make_batch(SINGLE, seed=2)
        return 1000 * median(self._time(batch) for _ in range(5))

    def _time(self, batch: Batch) -> float:
        start = time.perf_counter()
        self.call(batch)
        self.finish()
        return time.perf_counter() - start


@dataclass
class ByHand:
    """OpenVINO's own API.

    Attributes:
        path: the IR.
        options: of the compilation.
        requests: that run at once.
        fixed: whether a model is compiled for each shape.
    """

    path: Path
    options: dict[str, Any]
    requests: int
    fixed: bool
    _queues: dict[Shape | None, openvino.AsyncInferQueue] = field(default_factory=dict)

    def call(self, batch: Batch) -> None:
        """Start a request, when one is free."""
        shape = batch["input_ids"].shape if self.fixed else None
        if shape not in self._queues:
            core = openvino.Core()
            model = core.read_model(self.path)
            if shape is not None:
                model.reshape({name: openvino.PartialShape(shape) for name in INPUTS})
            compiled = core.compile_model(model, "CPU", self.options)
            self._queues[shape] = openvino.AsyncInferQueue(compiled, self.requests)
        self._queues[shape].start_async(batch, share_inputs=True)

    def finish(self) -> None:
        """Wait for all requests."""
        for queue in self._queues.values():
            queue.wait_all()


def main() -> None:
    """Make the student, find the shapes, time in turn, print and write."""
    flags = _flags()
    torch.set_num_threads(flags.threads)
    shapes, seconds, rounds = (SHORT_SHAPES, 0.05, 2) if flags.short else (SHAPES, flags.seconds, flags.rounds)
    if flags.scratch:
        Path(flags.scratch).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=flags.scratch) as name:
        ways = make_ways(Path(name), SHORT_SIZES if flags.short else SIZES, flags.threads, shapes, seconds)
        for label, way in ways.items():
            console.print(f"{label}: looking for its best shape", highlight=False)
            _settle_shape(way, shapes, seconds)
        rates = measure_in_turn({label: _at_best(way, seconds) for label, way in ways.items()}, rounds)
        waits = measure_in_turn({label: way.latency for label, way in ways.items()}, rounds)
    rows = [_row(label, way, rates, waits) for label, way in ways.items()]
    print_table(f"{flags.threads} threads, {rounds} rounds in turn, each at its best shape", *_table(rows))
    headline = next(row["against_torch_fp32"] for row in rows if row["way"] == OURS)
    write_result(flags.json, "engines", headline, "times the tokens/s of torch fp32, OpenVINO int8", rows)


def _flags() -> argparse.Namespace:
    parser = make_parser(__doc__ or "")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--threads", type=int, default=2, metavar="N", help="of every engine")
    parser.add_argument("--rounds", type=int, default=7, metavar="N", help="rounds in turn")
    parser.add_argument("--seconds", type=float, default=1.0, metavar="X", help="of each measurement of a rate")
    parser.add_argument("--scratch", metavar="DIR", help="where the files lie meanwhile")
    return parser.parse_args()


def make_ways(folder: Path, sizes: dict[str, int], threads: int, shapes: list[Shape], seconds: float) -> dict[str, Way]:
    """Every way to run one student of these sizes."""
    torch.manual_seed(0)
    model = DistilBertForSequenceClassification(DistilBertConfig(**sizes, num_labels=2)).eval()
    disturb(model)
    files = write_files(model, folder)
    weights = sum(weight.numel() for weight in model.parameters())
    ways = {
        REFERENCE: Way(as_engine(model, INPUTS, "classification").run, bytes=4 * weights),
        "torch bf16": Way(
            as_engine(deepcopy(model).to(torch.bfloat16), INPUTS, "classification").run, bytes=2 * weights
        ),
    }
    for label, path in files.items():
        engine: Engine = open_file(path, threads)
        ways[label] = Way(engine.run, bytes=sum(part.stat().st_size for part in files_of(path)))
    for fixed, label in BY_HAND.items():
        console.print(f"{label}: looking for its best settings", highlight=False)
        ways[label] = _best_by_hand(files[OURS], threads, shapes, seconds, fixed)
        ways[label].bytes = ways[OURS].bytes
    return ways


def write_files(model: DistilBertForSequenceClassification, folder: Path) -> dict[str, Path]:
    """The student in every format and precision."""
    description = Description(task="classification", labels=["no", "yes"], max_length=512)
    files = {"ONNX Runtime fp32": folder / "model.onnx"}
    write_onnx(Answering(model, INPUTS), description, files["ONNX Runtime fp32"])
    for precision in ("fp32", "bf16"):
        path = files[f"OpenVINO {precision}"] = folder / f"openvino_{precision}.xml"
        write_openvino(folder / "model.onnx", description.model_copy(update={"precision": precision}), path)
    int8, texts = description.model_copy(update={"precision": "int8"}), _calibration()
    files["ONNX Runtime int8"], files[OURS] = folder / "model_int8.onnx", folder / "openvino_int8.xml"
    write_int8_onnx(files["ONNX Runtime fp32"], int8, texts, files["ONNX Runtime int8"])
    write_int8_openvino(files["ONNX Runtime fp32"], int8, texts, files[OURS])
    order = ["ONNX Runtime fp32", "ONNX Runtime int8", "OpenVINO fp32", "OpenVINO bf16", OURS]
    return {label: files[label] for label in order}


def make_batch(shape: Shape, seed: int) -> Batch:
    """Random texts without padding."""
    ids = np.random.default_rng(seed).integers(1, SHORT_SIZES["vocab_size"], shape)
    return {"input_ids": ids, "attention_mask": np.ones(shape, dtype=np.int64)}


def _calibration() -> list[Batch]:
    return [make_batch((1, 64), seed) for seed in range(CALIBRATION)]


def _best_by_hand(path: Path, threads: int, shapes: list[Shape], seconds: float, fixed: bool) -> Way:
    found = []
    for label, options, requests in _settings(threads):
        hand = ByHand(path, options, requests, fixed)
        way = Way(hand.call, hand.finish, setting=label)
        found.append((_settle_shape(way, shapes, seconds), way))
    return max(found, key=lambda each: each[0])[1]


def _settings(threads: int) -> Iterator[tuple[str, dict[str, Any], int]]:
    can_bf16 = "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    for precision, streams in itertools.product(("f32", "bf16") if can_bf16 else ("f32",), (1, threads)):
        yield (
            f"{streams} stream{'s' if streams > 1 else ''}, {precision}",
            {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": streams, "INFERENCE_PRECISION_HINT": precision},
            streams,
        )


def _settle_shape(way: Way, shapes: list[Shape], seconds: float) -> float:
    """Find the shape with the most tokens a second, and say how many."""
    way.found = {shape: way.rate(shape, seconds / 2) for shape in shapes}
    way.shape = max(way.found, key=lambda shape: way.found[shape])
    return way.found[way.shape]


def _at_best(way: Way, seconds: float) -> Callable[[], float]:
    return lambda: way.rate(way.shape, seconds)


def _row(label: str, way: Way, rates: dict[str, list[float]], waits: dict[str, list[float]]) -> dict[str, Any]:
    return {
        "way": label,
        "setting": way.setting,
        "bytes": way.bytes,
        "batch_size": way.shape[0],
        "tokens": way.shape[1],
        "tokens_per_second": median(rates[label]),
        "against_torch_fp32": compare_rounds(rates[label], rates[REFERENCE]),
        "against_by_hand": compare_rounds(rates[label], rates[BY_HAND[True]]),
        "latency_ms": median(waits[label]),
        "latency_against_torch_fp32": compare_rounds(waits[REFERENCE], waits[label]),
        "rounds": rates[label],
        "shapes": {f"{texts} × {tokens}": found for (texts, tokens), found in way.found.items()},
    }


def _table(rows: list[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    header = ["way", "weights", "best shape", "tokens/s", "× torch fp32", "× by hand", "1 × 128, ms", "× torch fp32"]
    cells = [
        [
            f"{row['way']} ({row['setting']})" if row["setting"] else row["way"],
            file_size(row["bytes"]),
            f"{row['batch_size']} × {row['tokens']}",
            f"{row['tokens_per_second']:,.0f}",
            times(row["against_torch_fp32"]),
            times(row["against_by_hand"]),
            f"{row['latency_ms']:.1f}",
            times(row["latency_against_torch_fp32"]),
        ]
        for row in rows
    ]
    return header, cells


if __name__ == "__main__":
    call(main)
