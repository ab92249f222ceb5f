"""Which of a directory's files this processor runs, decided when it is loaded and checked on golden answers.

int8 arithmetic is fast where the processor has instructions for it, and has been wrong on some that have not. So the
order of preference follows the processor, and no file is taken that does not answer here as it did where it was made.
"""

from collections.abc import Iterator
from pathlib import Path

from pocketbert.engines.base import Engine
from pocketbert.engines.exported import open_file
from pocketbert.engines.golden import FOLDER, Golden
from pocketbert.engines.parity import differences, limit_of
from pocketbert.errors import ModelError
from pocketbert.machine import multiplies_int8
from pocketbert.manifest import ExportedFile, read_manifest
from pocketbert.recipe import Limits

SPOT_CHECKS = 8
"""Golden texts that are run at each load: a moment's work."""

_ENGINES = ("openvino", "onnxruntime")
_FAST_INT8 = ("int8", "fp32", "bf16", "fp16")
_SLOW_INT8 = ("fp32", "bf16", "fp16", "int8")


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
    for exported in _preferred(manifest.exports):
        try:
            engine = open_file(folder / exported.path, threads)
        except ModelError as error:
            refused.append(str(error))
            continue
        difference, scale = differences(engine, golden)
        limit = limit_of(Limits.model_validate(exported.limits), engine.description.precision)
        if difference <= limit * scale:
            return engine
        refused.append(f"{exported.path}: a logit is off by {difference / scale:.2%}, the limit is {limit:.2%}")
    raise ModelError(f"{folder}: no file answers right on this machine\n  " + "\n  ".join(refused))


def _preferred(exports: list[ExportedFile]) -> Iterator[ExportedFile]:
    """Files for the engines at hand, the one that should be fastest first."""
    precisions = _FAST_INT8 if multiplies_int8() else _SLOW_INT8
    known = [each for each in exports if each.engine in _ENGINES]
    yield from sorted(
        known, key=lambda each: (precisions.index(each.description["precision"]), _ENGINES.index(each.engine))
    )


def _sample(golden: Golden) -> Golden:
    rows = range(0, len(golden.texts), max(1, len(golden.texts) // SPOT_CHECKS))
    texts, ids, logits = golden.texts, golden.ids, golden.logits
    return Golden([texts[row] for row in rows], [ids[row] for row in rows], [logits[row] for row in rows])
