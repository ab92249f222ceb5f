"""Which files there are: a format in a precision is a path and a way of writing it."""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import onnx
from onnxruntime.transformers.float16 import convert_float_to_float16

from pocketbert.engines.description import Description, Precision
from pocketbert.engines.exported import files_of
from pocketbert.errors import PocketBertError
from pocketbert.export.mobile import write_card, write_mobile_onnx, write_mobile_program
from pocketbert.export.onnx import describe_onnx, write_onnx
from pocketbert.models.answering import Answering
from pocketbert.recipe import ExportStage, Format

Kind = Literal["onnx", "openvino", "browser", "mobile", "program"]
"""Of a file: for the format ``mobile`` there is an ONNX file and an ExecuTorch program."""

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
BROWSER: dict[Precision, str] = {precision: f"browser/{path}" for precision, path in ONNX.items()}
MOBILE: dict[Precision, str] = {"fp32": "mobile/model.onnx", "int8": "mobile/model_int8.onnx"}
PROGRAM: dict[Precision, str] = {"fp32": "mobile/model.pte", "int8": "mobile/model_int8.pte"}
PATHS: dict[Kind, dict[Precision, str]] = {
    "onnx": ONNX,
    "openvino": OPENVINO,
    "browser": BROWSER,
    "mobile": MOBILE,
    "program": PROGRAM,
}
KINDS: dict[Format, tuple[Kind, ...]] = {
    "onnx": ("onnx",),
    "openvino": ("openvino",),
    "browser": ("browser",),
    "mobile": ("mobile", "program"),
}


@dataclass(frozen=True)
class Wanted:
    """A file to write."""

    kind: Kind
    precision: Precision

    @property
    def path(self) -> str:
        """From the model directory."""
        return PATHS[self.kind][self.precision]


def wanted_files(options: ExportStage) -> list[Wanted]:
    """All files of some formats and precisions; a precision that one format lacks is left out there.

    Raises:
        PocketBertError: none of the formats has a precision, or the library of a format is not installed.
    """
    if "openvino" in options.formats:
        require("openvino", "openvino", "export")
    if "mobile" in options.formats:
        require("executorch", "mobile", "export")
    kinds = [kind for each in options.formats for kind in KINDS[each]]
    found = [Wanted(kind, precision) for precision in options.precisions for kind in kinds if precision in PATHS[kind]]
    for precision in options.precisions:
        if not any(file.precision == precision for file in found):
            raise PocketBertError(f"export: {precision} is not to be had in {', '.join(options.formats)}; leave it out")
    return found


def int8_sources(model: Path, files: Iterable[Wanted]) -> list[Path]:
    """Where ``quantize`` has put what int8 files are copies of; a program for a phone is made anew.

    Raises:
        PocketBertError: it was not quantized.
    """
    sources = {"onnx": ONNX, "browser": ONNX, "mobile": ONNX, "openvino": OPENVINO}
    paths = [sources[file.kind]["int8"] for file in files if file.precision == "int8" and file.kind in sources]
    found = [each for path in dict.fromkeys(paths) for each in files_of(model / path)]
    for path in found:
        if not path.is_file():
            raise PocketBertError(
                f"export: {path}: not there; int8 files are made by quantize, which comes before export"
            )
    return found


def require(library: str, extra: str, verb: str) -> None:
    """Refuse before the work what would need a library after it.

    Raises:
        PocketBertError: it is not installed.
    """
    if find_spec(library) is None:
        raise PocketBertError(f"{verb}: {library} is not installed; pip install 'pocketbert[{extra}]'")


def write_files(
    files: list[Wanted],
    module: Answering,
    description: Description,
    source: Path,
    folder: Path,
    work: Path,
    lengths: list[int],
) -> None:
    """Write files.

    Args:
        files: which.
        module: the model.
        description: of the fp32 file.
        source: the model directory; int8 files are taken from there, where ``quantize`` has put them.
        folder: the model directory to be.
        work: for what is only needed on the way.
        lengths: tokens of the methods of an ExecuTorch program.

    Raises:
        ModelError: the architecture cannot be exported.
        PocketBertError: int8 is wanted of a model that was not quantized.
    """
    graph = work / "model.onnx"
    write_onnx(module, description, graph)
    made: dict[Precision, Path] = {"fp32": graph}
    for file in files:
        path = folder / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        described = description.model_copy(update={"precision": file.precision})
        if file.kind == "program":
            write_mobile_program(module, described, lengths, path)
        elif file.kind == "openvino":
            _write_openvino(graph, described, source, path)
        else:
            if file.precision not in made:
                made[file.precision] = _make_onnx(graph, described, source, work)
            (write_mobile_onnx if file.kind == "mobile" else shutil.copyfile)(made[file.precision], path)
    mobile = [file for file in files if file.kind in ("mobile", "program")]
    if mobile:
        described_files = {
            Path(file.path).name: description.model_copy(update={"precision": file.precision}) for file in mobile
        }
        write_card(folder / "mobile", described_files, lengths)


def _make_onnx(graph: Path, description: Description, source: Path, work: Path) -> Path:
    """The ONNX file of another precision than fp32."""
    path = work / f"{description.precision}.onnx"
    if description.precision == "int8":
        shutil.copyfile(source / ONNX["int8"], path)
    else:
        onnx.save(convert_float_to_float16(onnx.load(graph), keep_io_types=True), path)
    describe_onnx(path, description)
    return path


def _write_openvino(graph: Path, description: Description, source: Path, path: Path) -> None:
    if description.precision != "int8":
        _openvino().write_openvino(graph, description, path)
        return
    for each in files_of(source / OPENVINO["int8"]):
        shutil.copyfile(each, path.with_suffix(each.suffix))
    # What it answers was settled now: labels and length may be those of the data.
    _openvino().describe_openvino(path, description)


def _openvino() -> Any:
    """The module that needs the library, which not every install has."""
    return import_module("pocketbert.export.openvino")
