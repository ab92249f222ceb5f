"""The stage ``quantize``: int8 files that keep the score, and the layers that had to stay in fp32 for it."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from pocketbert.distill.prediction import run_engine
from pocketbert.distill.rows import encode_role, fingerprints, targets, training_inputs
from pocketbert.distill.stage import StageFolder
from pocketbert.engines.base import Engine, Logits
from pocketbert.engines.exported import files_of, open_file
from pocketbert.errors import GateBreach, ModelError, PocketBertError
from pocketbert.export.formats import ONNX, OPENVINO, require
from pocketbert.export.onnx import describe_onnx, write_onnx
from pocketbert.export.stage import copy_model
from pocketbert.export.subject import Subject, read_subject
from pocketbert.files import hash_text
from pocketbert.manifest import Manifest, Parent, hash_options, hash_weights
from pocketbert.measure.wording import file_size, percent
from pocketbert.models.torch_engine import TorchEngine
from pocketbert.recipe import Data, ExportStage, QuantizeStage
from pocketbert.shrink.calibration import Batch, choose_rows, equal_lengths
from pocketbert.shrink.int8_onnx import products_by_layer, quantize_products, shrink_embeddings
from pocketbert.tasks.base import Encoded

PATHS = {"onnxruntime": ONNX["int8"], "openvino": OPENVINO["int8"]}
PROBED = 64
"""Calibration rows on which the sensitivity of a layer is measured."""


@dataclass
class _Work:
    """What is quantized, and what it is held against."""

    subject: Subject
    folder: Path
    graph: Path
    batches: list[Batch]
    validation: Encoded
    score: float = 0.0
    sensitivity: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Made:
    """An int8 file that was made."""

    engine: str
    path: Path
    score: float
    kept: float
    layers: list[str]

    @property
    def bytes(self) -> int:
        return sum(part.stat().st_size for part in files_of(self.path))


def quantize(
    options: QuantizeStage,
    model: str,
    output: Path | str,
    data: Data | None = None,
    *,
    console: Console | None = None,
    replace: bool = False,
) -> Manifest:
    """Make int8 files of a model: static, calibrated on training rows, so that no answer depends on its batch-mates.

    Where a file does not keep the score on the validation rows, the layers that change the logits most stay in fp32,
    one after the other, until it does.

    Args:
        options: engines, calibration, limit.
        model: the model directory.
        output: the model directory to be: the model itself, and its int8 files.
        data: the task and its rows, where the options name none.
        console: for progress and notes; standard error when absent.
        replace: make it anew where the folder holds a model of other inputs.

    Returns:
        The manifest of the model directory; a finished one with the same inputs is left as it is.

    Raises:
        PocketBertError: the data or the model cannot be used, or a library is not installed.
        GateBreach: a file does not keep the score with every layer but the embeddings in fp32.
    """
    console = console or Console(stderr=True)
    data = options.data or data
    if data is None or not data.train:
        raise PocketBertError("quantize: name the rows of a task (data.train); activations are measured on them")
    if not Path(model).is_dir():
        raise ModelError(f"{model}: no such model directory; quantize takes one on this disk")
    if "openvino" in options.engines:
        require("nncf", "openvino", "quantize")
    prints = fingerprints(data)
    key = hash_text("quantize", hash_options(options), training_inputs(data, prints), hash_weights(model))
    stage = StageFolder(Path(output), key, replace)
    if stage.done:
        return stage.skip(console)
    subject = read_subject(ExportStage(), model, data)
    stage.begin()
    shutil.rmtree(stage.whole, ignore_errors=True)
    copy_model(Path(model), stage.whole)
    work = _prepare(subject, options, stage)
    made = [_make_good(work, name, options.kept, console) for name in dict.fromkeys(options.engines)]
    _show(made, work, console)
    manifest = Manifest(
        stage="quantize",
        key=key,
        parents=[Parent(role="model", source=model, weights=subject.description.weights)],
        data=prints,
        options={"data": data.model_dump(mode="json"), **options.model_dump(mode="json", exclude={"data"})},
        notes=subject.rows.notes if subject.rows else [],
        metrics=_metrics(made, work),
    )
    stage.close(manifest)
    return manifest


def _prepare(subject: Subject, options: QuantizeStage, stage: StageFolder) -> _Work:
    """The graph with its embeddings in int8, the calibration batches, and the score to keep."""
    whole, graph = stage.work / "fp32.onnx", stage.work / "embeddings.onnx"
    write_onnx(subject.module, subject.description, whole)
    shrink_embeddings(whole, graph)
    rows = subject.rows
    if rows is None or not rows.train:
        raise PocketBertError("quantize: no training row is left to calibrate on")
    train = encode_role(rows, "train", subject.loaded.tokenizer)
    batches = equal_lengths(choose_rows(train.features, options.calibration), subject.module.inputs)
    work = _Work(subject, stage.whole, graph, batches, encode_role(rows, "validation", subject.loaded.tokenizer))
    work.score = _score(TorchEngine(subject.module, subject.description), work)
    return work


def _make_good(work: _Work, engine: str, limit: float, console: Console) -> _Made:
    """An int8 file that keeps the score, with as few layers in fp32 as that takes.

    Raises:
        GateBreach: it does not, whatever stays.
    """
    products = products_by_layer(work.graph)
    layers: list[str] = []
    made = _make(work, engine, products, layers)
    while made.kept < limit:
        console.print(
            f"quantize: {engine} keeps {made.kept:.2%} of the score, the limit is {limit:.2%}", highlight=False
        )
        work.sensitivity = work.sensitivity or _rank(work, products)
        left = [layer for layer in work.sensitivity if layer not in layers]
        if len(left) <= 1:
            raise GateBreach(
                f"quantize: {engine} keeps {made.kept:.2%} of the score with {', '.join(layers)} in fp32, the limit is "
                f"{limit:.2%}; lower kept, or name more calibration rows",
                made,
            )
        layers = [*layers, left[0]]
        console.print(f"quantize: {left[0]} stays in fp32", highlight=False)
        made = _make(work, engine, products, layers)
    return made


def _make(work: _Work, engine: str, products: dict[str, list[str]], layers: Sequence[str]) -> _Made:
    path = work.folder / PATHS[engine]
    path.parent.mkdir(parents=True, exist_ok=True)
    keep = [name for layer in layers for name in products[layer]]
    description = work.subject.description.model_copy(update={"precision": "int8"})
    if engine == "onnxruntime":
        quantize_products(work.graph, path, work.batches, keep)
        describe_onnx(path, description)
    else:
        from pocketbert.shrink.int8_openvino import quantize_openvino

        quantize_openvino(work.graph, path, description, work.batches, keep)
    score = _score(open_file(path), work)
    return _Made(engine, path, score, score / work.score if work.score > 0 else 1.0, list(layers))


def _rank(work: _Work, products: dict[str, list[str]]) -> list[str]:
    """Layers by how far the logits move when they alone are int8, the farthest first; on calibration rows."""
    batches = work.batches[:: max(1, len(work.batches) * len(work.batches[0]["input_ids"]) // PROBED)]
    true = _run(TorchEngine(work.subject.module, work.subject.description), batches)
    probe, moved = work.graph.with_name("probe.onnx"), {}
    for layer in products:
        others = [name for other, names in products.items() if other != layer for name in names]
        quantize_products(work.graph, probe, work.batches, others)
        describe_onnx(probe, work.subject.description)
        found = _run(open_file(probe), batches)
        moved[layer] = float(np.mean([np.square(one - other).mean() for one, other in zip(found, true, strict=True)]))
    return sorted(moved, key=lambda layer: -moved[layer])


def _run(engine: Engine, batches: Sequence[Batch]) -> list[Logits]:
    full = [{"attention_mask": np.ones_like(batch["input_ids"]), **batch} for batch in batches]
    return [engine.run(batch) for batch in full]


def _score(engine: Engine, work: _Work) -> float:
    rows = work.subject.rows
    if rows is None:
        raise PocketBertError("quantize: name the rows of a task (data)")
    logits = run_engine(engine, work.validation.features, engine.description.pad_token_id)
    scores = rows.task.score(rows.task.decode(logits, work.validation), targets(work.validation.examples))
    return float(np.mean([scores[name] for name in rows.task.deciding]))


def _show(made: Sequence[_Made], work: _Work, console: Console) -> None:
    table = Table("int8 for", "bytes", "validation score", "kept", "in fp32", title="Quantized")
    for each in made:
        kept, stays = percent(each.kept), ", ".join(each.layers) or "–"
        table.add_row(each.engine, file_size(each.bytes), f"{each.score:.4f}", kept, stays)
    console.print(table)
    console.print(f"fp32 validation score {work.score:.4f}", highlight=False)


def _metrics(made: Sequence[_Made], work: _Work) -> dict[str, Any]:
    metrics: dict[str, Any] = {"score": work.score}
    for each in made:
        metrics |= {
            f"{each.engine} score": each.score,
            f"{each.engine} kept": each.kept,
            f"{each.engine} bytes": each.bytes,
            f"{each.engine} in fp32": ", ".join(each.layers) or "nothing",
        }
    return metrics
