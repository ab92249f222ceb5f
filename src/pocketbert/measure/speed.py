"""Speed and size: models timed in turn on the same real texts, and their bytes on disk."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from torch import Tensor, nn

from pocketbert.errors import ModelError
from pocketbert.measure.results import Size, Speed, Spread, Timing
from pocketbert.models.projection import accepted_inputs
from pocketbert.tasks.base import Feature, collate

_PRECISIONS = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}

_TEXTS = 32
"""Different texts for latency: enough to cover a task's lengths."""

_BATCHES = 4
"""Different batches for throughput: few, for a batch of a large teacher takes seconds on a CPU."""

_FEWEST_ROUNDS = 3
_MOST_ROUNDS = 200


@dataclass(frozen=True, slots=True)
class Runnable:
    """A model ready to be timed.

    Attributes:
        forward: takes tensors of shape (batch, tokens) by keyword.
        features: inputs that ``forward`` takes, of the same rows in the same order for every model compared.
        pad_token_id: what fills short rows.
        device: where the tensors go.
        precision: type of the weights, as it will be reported.
    """

    forward: Callable[..., Any]
    features: Sequence[Feature]
    pad_token_id: int = 0
    device: str = "cpu"
    precision: str = "fp32"

    @classmethod
    def from_module(cls, module: nn.Module, features: Sequence[Feature], pad_token_id: int) -> Self:
        """Take device, precision and the names of inputs from a module, which is put in evaluation mode."""
        weight = next(module.parameters())
        precision = _PRECISIONS.get(weight.dtype, str(weight.dtype))
        accepted = accepted_inputs(module)
        inputs = [{key: value for key, value in feature.items() if key in accepted} for feature in features]
        return cls(module.eval(), inputs, pad_token_id, str(weight.device), precision)


@dataclass(frozen=True, slots=True)
class _Batch:
    """Padded inputs, and what they hold without padding."""

    inputs: dict[str, Tensor]
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
    latency, _ = _time_in_turn(models, 1, _TEXTS, seconds / 2)
    throughput, batches = _time_in_turn(models, batch_size, _BATCHES, seconds / 2)
    texts = np.array([[batch.texts for batch in row] for row in batches])
    tokens = np.array([[batch.tokens for batch in row] for row in batches])
    lengths = [len(feature["input_ids"]) for feature in next(iter(models.values())).features]
    return Speed(
        models={
            name: Timing(
                latency_p50=1000 * float(np.median(latency[:, column])),
                latency_p95=1000 * float(np.quantile(latency[:, column], 0.95)),
                tokens_per_second=float(np.median(tokens[:, column] / throughput[:, column])),
                texts_per_second=float(np.median(texts[:, column] / throughput[:, column])),
                precision=model.precision,
            )
            for column, (name, model) in enumerate(models.items())
        },
        latency_ratio=_compare_rounds(list(models), latency),
        throughput_ratio=_compare_rounds(list(models), throughput),
        latency_rounds=len(latency),
        throughput_rounds=len(throughput),
        batch_size=batch_size,
        tokens_p50=math.ceil(np.median(lengths)),
        tokens_p95=math.ceil(np.quantile(lengths, 0.95)),
        threads=torch.get_num_threads(),
        device=next(iter(models.values())).device,
    )


def measure_size(directory: Path) -> Size:
    """Count the weights of a model directory, and their bytes on disk.

    Tied weights are stored once and so counted once.

    Raises:
        ModelError: the directory has no weights in safetensors.
    """
    files = sorted(directory.glob("model*.safetensors"))
    if not files:
        raise ModelError(f"{directory}: no model.safetensors; save the model with save_pretrained")
    return Size(
        parameters=sum(_count_weights(file) for file in files),
        bytes=sum(file.stat().st_size for file in files),
    )


def _count_weights(file: Path) -> int:
    with safe_open(file, framework="numpy") as weights:
        return sum(math.prod(weights.get_slice(name).get_shape()) for name in weights.keys())  # noqa: SIM118


def _time_in_turn(
    models: Mapping[str, Runnable], batch_size: int, wanted: int, seconds: float
) -> tuple[NDArray[np.float64], list[list[_Batch]]]:
    """Time every model once a round, until the time is up.

    Returns:
        Seconds of shape (rounds, models), and the batches that were run: rounds × models.
    """
    runs = list(models.values())
    batches = [_make_batches(run, batch_size, wanted) for run in runs]
    for run, own in zip(runs, batches, strict=True):
        _warm_up(run, own, seconds / 4)
    times: list[list[float]] = []
    end = time.perf_counter() + seconds
    while len(times) < _FEWEST_ROUNDS or (len(times) < _MOST_ROUNDS and time.perf_counter() < end):
        number = len(times)
        # The second term changes who is first each time the batches come round again.
        first = number + number // wanted
        times.append(_time_round(runs, [own[number % wanted] for own in batches], first))
    ran = [[own[number % wanted] for own in batches] for number in range(len(times))]
    return np.array(times), ran


def _make_batches(run: Runnable, batch_size: int, wanted: int) -> list[_Batch]:
    """Batches that each walk through all rows, for neighbours are often of one class or length."""
    rows = np.linspace(0, len(run.features), batch_size * wanted, endpoint=False).astype(int)
    walks = rows.reshape(batch_size, wanted).T
    return [_make_batch(run, [run.features[row] for row in walk]) for walk in walks]


def _make_batch(run: Runnable, features: Sequence[Feature]) -> _Batch:
    arrays = collate(features, run.pad_token_id)
    return _Batch(
        inputs={key: torch.from_numpy(array).to(run.device) for key, array in arrays.items()},
        texts=len(features),
        tokens=sum(len(feature["input_ids"]) for feature in features),
    )


def _warm_up(run: Runnable, batches: Sequence[_Batch], seconds: float) -> None:
    """Run each shape once: the first call of a shape plans its kernels."""
    end = time.perf_counter() + seconds
    for batch in batches:
        _time_call(run, batch)
        if time.perf_counter() > end:
            return


def _time_round(runs: Sequence[Runnable], batches: Sequence[_Batch], first: int) -> list[float]:
    times = [0.0] * len(runs)
    for turn in range(len(runs)):
        column = (first + turn) % len(runs)
        times[column] = _time_call(runs[column], batches[column])
    return times


@torch.inference_mode()
def _time_call(run: Runnable, batch: _Batch) -> float:
    _synchronize(run.device)
    start = time.perf_counter()
    run.forward(**batch.inputs)
    _synchronize(run.device)
    return time.perf_counter() - start


def _synchronize(device: str) -> None:
    """Wait for an accelerator, which computes behind the program's back."""
    if device != "cpu":
        torch.accelerator.synchronize()


def _compare_rounds(names: Sequence[str], times: NDArray[np.float64]) -> dict[str, Spread]:
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
