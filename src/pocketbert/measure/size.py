"""Size of a model: its weights, and the bytes on disk of what is loaded."""

import math
from pathlib import Path

from safetensors import safe_open

from pocketbert.engines.exported import files_of, is_exported, model_folder
from pocketbert.errors import ModelError
from pocketbert.measure.results import Size
from pocketbert.models.loading import local_folder


def measure_size(reference: str) -> Size:
    """Count the weights of a model, and the bytes of the files that its engine loads.

    Tied weights are stored once and so counted once. The weights of an exported file are those of its model directory.

    Raises:
        ModelError: the model directory has no weights in safetensors.
    """
    if is_exported(reference):
        path = Path(reference)
        return Size(parameters=_count_all(_weights(model_folder(path))), bytes=_add_up(files_of(path)))
    files = _weights(local_folder(reference))
    return Size(parameters=_count_all(files), bytes=_add_up(files))


def _weights(folder: Path) -> list[Path]:
    files = sorted(folder.glob("model*.safetensors"))
    if not files:
        raise ModelError(f"{folder}: no model.safetensors; save the model with save_pretrained")
    return files


def _count_all(files: list[Path]) -> int:
    return sum(_count_weights(file) for file in files)


def _count_weights(file: Path) -> int:
    with safe_open(file, framework="numpy") as weights:
        return sum(math.prod(weights.get_slice(name).get_shape()) for name in weights.keys())  # noqa: SIM118


def _add_up(files: list[Path]) -> int:
    return sum(file.stat().st_size for file in files)
