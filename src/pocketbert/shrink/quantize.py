"""The stage ``quantize``: int8 files for engines that keep the score of the model they were made from."""

import copy
import shutil
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rich.console import Console

from pocketbert.distill import ranks
from pocketbert.distill.learning import TASK_LOSSES, learn_rows
from pocketbert.distill.phases import Course
from pocketbert.distill.rows import (
    TaskRows,
    check_purpose,
    encode_role,
    fingerprints,
    label_order,
    read_rows,
    training_inputs,
)
from pocketbert.distill.stage import StageFolder
from pocketbert.engines.description import Description
from pocketbert.errors import GateBreach, PocketBertError
from pocketbert.files import hash_text, write_atomically
from pocketbert.manifest import Manifest, Parent, hash_options, hash_weights
from pocketbert.models.answering import Answering
from pocketbert.models.describing import as_engine, describe
from pocketbert.models.loading import LoadedModel, check_length, load_model
from pocketbert.recipe import Data, QuantizeStage, Training
from pocketbert.shrink.accuracy import Gate
from pocketbert.shrink.calibration import choose_texts, unpadded_batches
from pocketbert.shrink.int8_files import Plan, make_files
from pocketbert.shrink.quantized import (
    Quantization,
    describe_breaches,
    describe_file,
    quantization_table,
)
from pocketbert.shrink.simulation import measure_ranges, simulated
from pocketbert.tasks.base import Encoded
from pocketbert.tasks.embedding import Embedding
from pocketbert.tasks.registry import make_task


@dataclass(frozen=True)
class _Work:
    """What the steps of a quantization share."""

    options: QuantizeStage
    loaded: LoadedModel
    rows: TaskRows
    texts: Encoded
    gate: Gate
    stage: StageFolder
    console: Console


def quantize(
    options: QuantizeStage,
    model: str,
    output: Path | str,
    data: Data | None = None,
    *,
    console: Console | None = None,
    replace: bool = False,
) -> Manifest:
    """Make int8 files of a model that keep its score.

    Ranges of activations are measured on training rows, the gate is held on validation rows. Where it does not hold,
    the layers that int8 hurts most stay in fp32, up to half of all; where it still does not, the weights learn from
    the model itself to bear int8, if ``recover`` asks for it.

    Args:
        options: engines, calibration, gate and recovery.
        model: a model directory or hub name, with the head of the task.
        output: the model directory to be: the model, and its int8 files.
        data: the task and its rows, where the options name none.
        console: for progress and notes; standard error when absent.
        replace: make it anew where the folder holds a model of other inputs.

    Returns:
        The manifest of the model directory; a finished one with the same inputs is left as it is.

    Raises:
        PocketBertError: the data or the model cannot be used.
        GateBreach: the gate does not hold; nothing is written.
        Interrupted: asked to stop; the state is saved.
    """
    console = console or Console(stderr=True)
    data = options.data or data
    if data is None:
        raise PocketBertError("quantize: name the rows of a task (data)")
    if data.task == Embedding.name:
        raise PocketBertError("quantize: a model of embeddings has no answers to hold int8 to; export it as it is")
    _check_libraries(options)
    parent = Parent(role="start", source=model, weights=hash_weights(model))
    prints = fingerprints(data)
    settled = options.model_copy(update={"recover": None})
    learnt = hash_options(options.recover) if options.recover else ""
    key = hash_text("quantize", hash_options(settled), learnt, training_inputs(data, prints), parent.weights)
    stage = StageFolder(Path(output), key, replace)
    if stage.done:
        return stage.skip(console)
    work = _prepare(options, model, data, stage, console)
    stage.begin()
    made, summary = _quantize(work)
    console.print(quantization_table(made))
    _refuse_breaches(made, options)
    manifest = Manifest(
        stage="quantize",
        key=key,
        parents=[parent],
        data=prints,
        notes=[*work.rows.notes, *map(describe_file, made.files)],
        metrics={"quantization": made.model_dump(mode="json"), **summary},
        options={"data": data.model_dump(mode="json"), **options.model_dump(mode="json", exclude={"data"})},
    )
    with ranks.main_first():
        if ranks.is_main():
            stage.close(manifest)
    return manifest


def _check_libraries(options: QuantizeStage) -> None:
    extras = {"onnxruntime": "train", "openvino": "openvino", "nncf": "train"}
    for engine in options.engines:
        lacking = [name for name in (engine, *(["nncf"] if engine == "openvino" else [])) if find_spec(name) is None]
        if lacking:
            raise PocketBertError(
                f"quantize: {lacking[0]} is not installed; pip install 'pocketbert[{extras[lacking[0]]}]', or leave "
                f"{engine} out of engines"
            )


def _prepare(options: QuantizeStage, model: str, data: Data, stage: StageFolder, console: Console) -> _Work:
    task = make_task(data)
    loaded = load_model(model, task.head)
    check_purpose(task, loaded)
    rows = read_rows(data, loaded)
    check_length(loaded.model, data.max_length, model)
    texts = choose_texts(rows.task, rows.train, loaded.tokenizer, options.calibration)
    validation = encode_role(rows, "validation", loaded.tokenizer)
    reference = as_engine(loaded.model, loaded.tokenizer.model_input_names, rows.task.name)
    gate = Gate(rows.task, validation, texts, reference, options.kept)
    return _Work(options, loaded, rows, texts, gate, stage, console)


def _quantize(work: _Work) -> tuple[Quantization, dict[str, Any]]:
    """The files, and what a recovery says of itself."""
    recover = work.options.recover
    made = _make_once(work, "straight")
    if made.held or recover is None:
        return made, {}
    work.console.print(f"quantize: the gate does not hold\n  {describe_breaches(made)}", highlight=False)
    work.console.print("quantize: the weights learn to bear int8", highlight=False)
    summary = _learn(work, recover)
    return _make_once(work, "recovered"), summary


def _make_once(work: _Work, name: str) -> Quantization:
    """Make the files, or find them as they were made before a kill."""
    path = work.stage.work / f"{name}.json"
    with ranks.main_first():
        if not path.is_file():
            write_atomically(path, _make(work).model_dump_json())
    return Quantization.model_validate_json(path.read_bytes())


def _make(work: _Work) -> Quantization:
    model, tokenizer, folder = work.loaded.model.cpu(), work.loaded.tokenizer, work.stage.whole
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    plan = Plan(work.options.engines, tokenizer.model_input_names, work.texts, work.gate)
    with tempfile.TemporaryDirectory(dir=work.stage.work) as temporary:
        files = make_files(model, _describe(work), plan, folder, Path(temporary))
    return Quantization(
        score=work.gate.score,
        bytes=sum(path.stat().st_size for path in folder.glob("*.safetensors")),
        examples=len(work.gate.validation.examples),
        texts=len(work.texts.examples),
        least=work.options.kept,
        files=files,
    )


def _describe(work: _Work) -> Description:
    told = describe(work.loaded.model, work.rows.task.name)
    return told.model_copy(
        update={
            "labels": label_order(work.rows.task, work.loaded) or told.labels,
            "max_length": work.rows.task.data.max_length,
            "precision": "int8",
            "weights": hash_weights(str(work.stage.whole)),
        }
    )


def _learn(work: _Work, recover: Training) -> dict[str, Any]:
    """Let the weights learn from the model itself, with the rounding of int8 in every layer."""
    model, tokenizer = work.loaded.model, work.loaded.tokenizer
    # Copies learn and teach: training leaves a model computing in other types.
    student, teacher = copy.deepcopy(model), copy.deepcopy(model)
    module = Answering(student, list(tokenizer.model_input_names))
    ranges = measure_ranges(module, unpadded_batches(work.texts.features, module.inputs))
    with simulated(student, ranges):
        summary = learn_rows(
            "quantize",
            student,
            tokenizer,
            work.rows,
            recover,
            Course.of(TASK_LOSSES),
            work.stage,
            work.console,
            teacher,
        )
    model.load_state_dict(student.state_dict())
    return summary


def _refuse_breaches(made: Quantization, options: QuantizeStage) -> None:
    if not made.held:
        advice = "" if options.recover else "\n  set recover to let the weights learn to bear int8, or lower kept"
        raise GateBreach(f"quantize: the gate does not hold\n  {describe_breaches(made)}{advice}", made)
