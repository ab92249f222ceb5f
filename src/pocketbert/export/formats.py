"""Which files there are: a format in a precision is a path, an engine, and a way of writing it."""

import shutil
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import onnx
from onnxruntime.transformers.float16 import convert_float_to_float16

from pocketbert.engines.description import Description, Precision
from pocketbert.engines.exported import files_of
from pocketbert.errors import PocketBertError
from pocketbert.export.onnx import describe_onnx, write_onnx
from pocketbert.models.answering import Answering
from pocketbert.recipe import Format

ONNX: dict[Precision, str] = {
    "fp32": "onnx/model.onnx",
    "fp16": "onnx/model_fp16.onnx",
    "int8": "onnx/model_quantized.onnx",
}
"""The names by which transformers.js finds them."""

OPENVINO: dict[Precision, str] = {
    "fp32": "openvino/openvino_model.xml",
    "fp16": "openvino/openvino_model_fp16.xml",
    "bf16": "openvino/openvino_model_bf16.xml",
    "int8": "openvino/openvino_model_int8.xml",
}
PATHS: dict[Format, dict[Precision, str]] = {"onnx": ONNX, "openvino": OPENVINO}
ENGINES: dict[Format, str] = {"onnx": "onnxruntime", "openvino": "openvino"}


@dataclass(frozen=True)
class Wanted:
    """A file to write."""

    format: Format
    precision: Precision

    @property
    def path(self) -> str:
        """From the model directory."""
        return PATHS[self.format][self.precision]

    @property
    def engine(self) -> str:
        """That runs it."""
        return ENGINES[self.format]


def wanted_files(formats: list[Format], precisions: list[Precision]) -> list[Wanted]:
    """All files of some formats and precisions; a precision that one format lacks is left out there.

    Raises:
        PocketBertError: none of the formats has a precision, or the library of a format is not installed.
    """
    if "openvino" in formats:
        require_openvino("export")
    found = [Wanted(each, precision) for precision in precisions for each in formats if precision in PATHS[each]]
    for precision in precisions:
        if not any(file.precision == precision for file in found):
            raise PocketBertError(f"export: {precision} is not to be had in {', '.join(formats)}; leave it out")
    return found


def require_openvino(verb: str) -> None:
    """Refuse before the work what would need the library after it.

    Raises:
        PocketBertError: it is not installed.
    """
    if find_spec("openvino") is None:
        raise PocketBertError(f"{verb}: openvino is not installed; pip install 'pocketbert[openvino]'")


def write_files(
    files: list[Wanted], module: Answering, description: Description, source: Path, folder: Path, work: Path
) -> None:
    """Write files.

    Args:
        files: which.
        module: the model.
        description: of the fp32 file.
        source: the model directory; int8 files are taken from there, where ``quantize`` has put them.
        folder: the model directory to be.
        work: for what is only needed on the way.

    Raises:
        ModelError: the architecture cannot be exported.
        PocketBertError: int8 is wanted of a model that was not quantized.
    """
    graph = work / "model.onnx"
    write_onnx(module, description, graph)
    for file in files:
        path = folder / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        described = description.model_copy(update={"precision": file.precision})
        if file.precision == "int8":
            _take_int8(file, described, source, path)
        elif file.format == "openvino":
            _openvino().write_openvino(graph, described, path)
        elif file.precision == "fp16":
            _write_half(graph, described, path)
        else:
            shutil.copyfile(graph, path)


def _take_int8(file: Wanted, description: Description, source: Path, path: Path) -> None:
    made = source / file.path
    if not made.is_file():
        raise PocketBertError(f"export: {made}: not there; int8 files are made by quantize, which comes before export")
    for each in files_of(made):
        shutil.copyfile(each, path.with_suffix(each.suffix))
    # What it answers was settled now: labels and length may be those of the data.
    describe = _openvino().describe_openvino if file.format == "openvino" else describe_onnx
    describe(path, description)


def _openvino() -> Any:
    """The module that needs the library, which not every install has."""
    return import_module("pocketbert.export.openvino")


def _write_half(graph: Path, description: Description, path: Path) -> None:
    onnx.save(convert_float_to_float16(onnx.load(graph), keep_io_types=True), path)
    describe_onnx(path, description)
