"""What goes on a phone: a plain ONNX file with the operators it needs, an ExecuTorch program, and a card of both."""

import json
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
from onnxruntime.tools.ort_format_model import OrtFormatModelProcessor

from pocketbert.engines.description import Description
from pocketbert.errors import ModelError, PocketBertError
from pocketbert.files import hash_file, write_atomically
from pocketbert.models.answering import Answering

CARD = "mobile.json"

_OPERATORS = ".required_operators.config"
_LEVELS = (
    onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
    onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
)
_STANDARD = {"", "ai.onnx"}


def write_mobile_onnx(source: Path, path: Path) -> None:
    """Copy a plain ONNX file, and write beside it which operators it needs of ONNX Runtime.

    The list is in the format of ``--include_ops_by_config``, with which ONNX Runtime is built to be small. It has the
    operators of the file, and those that ONNX Runtime makes of them on an ARM processor, at any of its levels of
    optimisation: what an application sets there does not matter.

    Args:
        source: the ONNX file, in any precision.
        path: the file to write; its folder exists.

    Raises:
        ModelError: the file has operators that are not of the standard.
    """
    _check_standard(source)
    shutil.copyfile(source, path)
    found: dict[str, dict[int, set[str]]] = {}
    with tempfile.TemporaryDirectory() as work:
        for level in _LEVELS:
            loaded = Path(work) / f"{level.name}.ort"
            _convert(source, level, loaded)
            OrtFormatModelProcessor(str(loaded), found, None).process()
    lines = [
        f"{domain};{opset};{','.join(sorted(operators))}"
        for domain, opsets in sorted(found.items())
        for opset, operators in sorted(opsets.items())
    ]
    write_atomically(operators_of(path), "\n".join([f"# What {path.name} needs of ONNX Runtime.", *lines, ""]))


def operators_of(path: Path) -> Path:
    """The list of operators that belongs to a plain ONNX file."""
    return path.with_suffix(_OPERATORS)


def fixed_lengths(lengths: Iterable[int], max_length: int) -> list[int]:
    """Tokens that an ExecuTorch program has a method for: those asked for that are below ``max_length``, and that."""
    return sorted({length for length in lengths if length < max_length} | {max_length})


def write_mobile_program(module: Answering, description: Description, lengths: Iterable[int], path: Path) -> None:
    """Write an ExecuTorch program; see :func:`~pocketbert.export.executorch.write_executorch`.

    Args:
        module: the model in fp32, on the CPU, and which answer it gives.
        description: what the program says about itself; fp32 or int8.
        lengths: tokens of a method, beside ``max_length``.
        path: the ``.pte`` file to write; its folder exists.

    Raises:
        PocketBertError: ExecuTorch is not installed.
        ModelError: the architecture cannot be exported, or not in int8.
    """
    try:
        from pocketbert.export.executorch import write_executorch  # the library takes seconds to import
    except ModuleNotFoundError as error:
        raise PocketBertError(f"{path}: {error.name} is not installed; pip install 'pocketbert[mobile]'") from None
    write_executorch(module, description, fixed_lengths(lengths, description.max_length), path)


def write_card(folder: Path, described: Mapping[str, Description], lengths: Iterable[int]) -> None:
    """Write ``mobile.json``: what an application has to know of the files, in a form that it reads without a library.

    Args:
        folder: that holds the files.
        described: by name of the file what it says about itself.
        lengths: that the ExecuTorch programs were asked to have.
    """
    shared = next(iter(described.values()))
    files: dict[str, Any] = {}
    for name, description in described.items():
        path = folder / name
        files[name] = {
            "precision": description.precision,
            "bytes": path.stat().st_size,
            "sha256": hash_file(path),
            **({"lengths": fixed_lengths(lengths, description.max_length)} if path.suffix == ".pte" else {}),
        }
    card = {**shared.model_dump(mode="json", exclude={"precision"}, exclude_none=True), "files": files}
    write_atomically(folder / CARD, json.dumps(card, ensure_ascii=False, indent=2) + "\n")


def _check_standard(path: Path) -> None:
    """Refuse operators that are not of the standard.

    Raises:
        ModelError: which they are.
    """
    model = onnx.load(path, load_external_data=False)
    nodes = [*model.graph.node, *(node for function in model.functions for node in function.node)]
    others = sorted({f"{node.domain}.{node.op_type}" for node in nodes if node.domain not in _STANDARD})
    own = {f"{function.domain}.{function.name}" for function in model.functions}
    if foreign := [name for name in others if name not in own]:
        raise ModelError(f"{path}: has operators outside the ONNX standard ({', '.join(foreign)}); export it plain")


def _convert(source: Path, level: onnxruntime.GraphOptimizationLevel, path: Path) -> None:
    """Write a file as ONNX Runtime has it in memory on an ARM processor, in its own format."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = level
    options.optimized_model_filepath = str(path)
    options.log_severity_level = 3
    options.add_session_config_entry("session.save_model_format", "ORT")
    options.add_session_config_entry("session.qdqisint8allowed", "1")
    # A layout of convolutions that is for x86 alone; the converter of ONNX Runtime leaves it out for phones, too.
    x86 = ["NchwcTransformer"]
    onnxruntime.InferenceSession(str(source), options, providers=["CPUExecutionProvider"], disabled_optimizers=x86)
