"""Which of a directory's files this processor runs, decided when it is loaded and checked on golden answers.

int8 arithmetic is fast where the processor has instructions for it; without them ONNX Runtime still gains by it and
OpenVINO does not (docs/results.md), and it has been wrong on some processors. bf16 is fast with AMX alone. So the order
of preference follows the processor, and no file is taken that does not answer here as it did where it was made.
"""

from pathlib import Path

from pydantic import ValidationError

from pocketbert.engines.base import Engine
from pocketbert.engines.description import Description, Precision
from pocketbert.engines.exported import open_file
from pocketbert.engines.golden import FOLDER, Golden
from pocketbert.engines.parity import differences, limit_of
from pocketbert.errors import ModelError
from pocketbert.machine import multiplies_bf16, multiplies_int8
from pocketbert.manifest import NAME, ExportedFile, read_manifest
from pocketbert.recipe import Limits

SPOT_CHECKS = 8
"""Golden texts that are run at each load: a moment's work."""

Way = tuple[Precision, str]
"""Precision and engine of a file."""
_WITH_BF16: tuple[Way, ...] = (
    ("int8", "openvino"), ("int8", "onnxruntime"), ("bf16", "openvino"), ("fp32", "openvino"), ("fp32", "onnxruntime"),
    ("fp16", "openvino"), ("fp16", "onnxruntime"),
)  # fmt: skip
_WITH_INT8: tuple[Way, ...] = (
    ("int8", "openvino"), ("int8", "onnxruntime"), ("fp32", "openvino"), ("fp32", "onnxruntime"), ("bf16", "openvino"),
    ("fp16", "openvino"), ("fp16", "onnxruntime"),
)  # fmt: skip
_WITHOUT_INT8: tuple[Way, ...] = (
    ("int8", "onnxruntime"), ("fp32", "onnxruntime"), ("fp32", "openvino"), ("int8", "openvino"), ("bf16", "openvino"),
    ("fp16", "openvino"), ("fp16", "onnxruntime"),
)  # fmt: skip
"""The fastest first, where the processor multiplies bf16 and int8, int8 alone, and neither."""


def open_directory(folder: Path, threads: int | None = None) -> Engine:
    """Open the file of an exported model directory that this machine prefers, of those that answer right here.

    Args:
        folder: a directory that ``export`` made.
        threads: of one call; all cores that the process was granted when absent.

    Raises:
        ModelError: it is no such directory, or none of its files can be run here and answers right; the message says
            what was wrong with each.
    """
    manifest = read_manifest(folder)
    if manifest is None or not manifest.exports:
        raise ModelError(f"{folder}: holds no exported files; make them with pocketbert export")
    golden, refused = _sample(Golden.read(folder / FOLDER)), []
    for exported in preferred(folder, manifest.exports):
        said, limits = understand(folder, exported)
        try:
            engine = open_file(folder / exported.path, threads)
            difference, scale = differences(engine, golden)  # some damage shows only when a file runs
        except ModelError as error:
            refused.append(str(error))
            continue
        limit = limit_of(limits, said.precision)
        if difference <= limit * scale:
            return engine
        refused.append(f"{exported.path}: a logit is off by {difference / scale:.2%}, the limit is {limit:.2%}")
    raise ModelError(f"{folder}: no file answers right on this machine\n  " + "\n  ".join(refused))


def preferred(folder: Path, exports: list[ExportedFile]) -> list[ExportedFile]:
    """Files of engines for a server, in the order in which this processor should be fastest with them.

    Raises:
        ModelError: the manifest says of a file what cannot be.
    """
    order = _WITH_BF16 if multiplies_bf16() else _WITH_INT8 if multiplies_int8() else _WITHOUT_INT8

    def way(each: ExportedFile) -> Way:
        return understand(folder, each)[0].precision, each.engine

    return sorted((each for each in exports if way(each) in order), key=lambda each: order.index(way(each)))


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
