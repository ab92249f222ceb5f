"""The int8 files of a model, each held against the gate and measured."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from transformers import PreTrainedModel

from pocketbert.engines.base import Engine, Inputs
from pocketbert.engines.description import Description
from pocketbert.engines.exported import files_of, open_file
from pocketbert.engines.golden import Golden, GoldenText
from pocketbert.engines.parity import Parity, measure_parity
from pocketbert.export.formats import PATHS
from pocketbert.export.onnx import write_onnx
from pocketbert.models.answering import Answering
from pocketbert.models.torch_engine import TorchEngine
from pocketbert.recipe import Format
from pocketbert.shrink.accuracy import Gate, hold_gate, rank_layers
from pocketbert.shrink.calibration import unpadded_batches
from pocketbert.shrink.layers import find_nodes
from pocketbert.shrink.quantized import QuantizedFile
from pocketbert.shrink.simulation import measure_ranges
from pocketbert.tasks.base import Encoded, collate

FORMATS: dict[str, Format] = {"onnxruntime": "onnx", "openvino": "openvino"}
_MEASURED = 64
"""Texts that differences of logits are measured on."""

Writer = Callable[[Path, Description, Sequence[Inputs], Path, Sequence[str]], None]


@dataclass(frozen=True)
class Plan:
    """What files to make, and of what.

    Attributes:
        engines: that are to run them.
        inputs: names of what the tokenizer gives.
        texts: that ranges are measured on.
        gate: to hold.
    """

    engines: Sequence[str]
    inputs: Sequence[str]
    texts: Encoded
    gate: Gate


def make_files(
    model: PreTrainedModel, description: Description, plan: Plan, folder: Path, work: Path
) -> list[QuantizedFile]:
    """Make a model's int8 files.

    Args:
        model: with the head of its task, on the CPU.
        description: of the int8 files.
        plan: which files.
        folder: the model directory to be; exists.
        work: for what is only needed on the way; empty.

    Raises:
        ModelError: the architecture cannot be exported, or not be quantized.
    """
    module, graph = Answering(model, list(plan.inputs)), work / "model.onnx"
    write_onnx(module, description, graph)
    nodes = find_nodes(model, onnx.load(graph).graph)
    batches = unpadded_batches(plan.texts.features, module.inputs)
    golden = _answer_some(TorchEngine(module, description), plan.texts)
    ranked = cache(lambda: rank_layers(module, measure_ranges(module, batches), batches))

    def make(engine: str) -> QuantizedFile:
        name = PATHS[FORMATS[engine]]["int8"]

        def place(higher: Sequence[str]) -> Path:
            return work / f"{engine}-{len(higher)}" / Path(name).name

        def attempt(higher: Sequence[str]) -> Engine:
            path = place(higher)
            path.parent.mkdir()
            kept = [node for layer in higher for node in nodes.get(layer, [])]
            _writer(engine)(graph, description, batches, path, kept)
            return open_file(path)

        verdict, higher = hold_gate(plan.gate, attempt, ranked)
        parity = measure_parity(open_file(place(higher)), golden)
        size = _move(place(higher), folder / name)
        measured = _shares(parity)
        return QuantizedFile(engine=engine, path=name, bytes=size, higher=higher, **verdict.model_dump(), **measured)

    return [make(engine) for engine in plan.engines]


def _writer(engine: str) -> Writer:
    """The function that makes a file for an engine; its library is not in every install."""
    format_ = FORMATS[engine]
    writer: Writer = getattr(import_module(f"pocketbert.shrink.int8_{format_}"), f"write_int8_{format_}")
    return writer


def _answer_some(engine: Engine, texts: Encoded) -> Golden:
    """The fp32 answers to some of the texts, evenly spread, each alone."""
    rows = range(0, len(texts), -(-len(texts) // _MEASURED))
    features = [texts.features[row] for row in rows]
    ids = [np.array([each["input_ids"], each.get("token_type_ids", [0] * len(each["input_ids"]))]) for each in features]
    bare: list[dict[str, Any]] = [{key: each[key] for key in engine.inputs} for each in features]
    answers = [engine.run(collate([each], engine.description.pad_token_id))[0] for each in bare]
    examples = [texts.examples[texts.example_of[row]] for row in rows]
    return Golden([GoldenText(text=each.text, pair=each.pair, what=each.where) for each in examples], ids, answers)


def _shares(parity: Parity) -> dict[str, float]:
    return {
        "difference": parity.relative,
        "flips": parity.flip_share,
        "batch_mates": parity.relative_batch_mates,
    }


def _move(path: Path, place: Path) -> int:
    """Move a file and what belongs to it; their bytes."""
    place.parent.mkdir(parents=True, exist_ok=True)
    parts = files_of(path)
    size = sum(part.stat().st_size for part in parts)
    for part in parts:
        shutil.move(part, place.with_suffix(part.suffix))
    return size
