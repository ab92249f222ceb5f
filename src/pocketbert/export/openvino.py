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
    save_openvino(read_onnx(source), description, path)


def read_onnx(source: Path) -> openvino.Model:
    """An ONNX file as a graph of OpenVINO.

    The library's own conversion looks for NaN after each attention, and puts zeros where a token attends to none. Every
    text has a token and every token attends to all of them, so there is none to find, and the look takes 2 to 3 % of
    the time: it is left out. A model of which this were not true would not pass its gate.
    """
    model = openvino.convert_model(source)
    for node in model.get_ordered_ops():
        looked_at = _guarded(node)
        if looked_at is not None:
            for reader in node.output(0).get_target_inputs():
                reader.replace_source_output(looked_at)
    model.validate_nodes_and_infer_types()
    return model


def _guarded(node: openvino.Node) -> openvino.Output | None:
    """The attention that a node replaces by zeros where it is NaN; None where the node is another."""
    if node.get_type_name() != "Select":
        return None
    condition = node.input_value(0).get_node()
    if condition.get_type_name() != "IsNaN":
        return None
    looked_at = condition.input_value(0)
    return looked_at if looked_at.get_node().get_type_name() == "ScaledDotProductAttention" else None


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
