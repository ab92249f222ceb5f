"""An ONNX file as OpenVINO IR: the interchange format stays ONNX, so both files answer from one graph."""

from pathlib import Path

import openvino

from pocketbert.engines.description import PREFIX, Description


def write_openvino(source: Path, description: Description, path: Path) -> None:
    """Convert a file.

    Args:
        source: the ONNX file, in fp32.
        description: goes into the metadata; weights are stored in half the bytes where it says fp16 or bf16.
        path: the ``.xml`` to write; the weights go into the ``.bin`` beside it.
    """
    save_openvino(openvino.convert_model(source), description, path)


def save_openvino(model: openvino.Model, description: Description, path: Path) -> None:
    """Write a model with its description."""
    for key, value in description.to_metadata().items():
        model.set_rt_info(value, [PREFIX.rstrip("."), key.removeprefix(PREFIX)])
    openvino.save_model(model, path, compress_to_fp16=description.precision in ("fp16", "bf16"))


def describe_openvino(path: Path, description: Description) -> None:
    """Write a description into an IR, in place of the one it may have; the weights stay as they are."""
    # The weights are read from the file while they are written: into another one, therefore.
    fresh = path.with_name(f"{path.stem}.part.xml")
    save_openvino(openvino.Core().read_model(path), description, fresh)
    for suffix in (".bin", ".xml"):
        fresh.with_suffix(suffix).replace(path.with_suffix(suffix))
