"""A torch model as an ONNX file: dynamic batch and length, attention as one operator, nothing outside the standard."""

import ast
import logging
import warnings
from pathlib import Path

import onnx
import torch

from pocketbert.engines.description import Description
from pocketbert.errors import ModelError
from pocketbert.models.answering import Answering

OPSET = 23
"""The first in which attention is one operator of the standard (and GELU, layer normalisation, since 20 and 17)."""

_SCOPES = "pkg.torch.onnx.name_scopes"
"""Where the exporter notes the modules that a node was made in."""

_SHAPE = {0: "batch", 1: "tokens"}


def write_onnx(module: Answering, description: Description, path: Path) -> None:
    """Export a model.

    Args:
        module: the model in fp32, on the CPU, and which answer it gives.
        description: goes into the metadata.
        path: the file to write; its folder exists.

    Raises:
        ModelError: the exporter cannot follow the architecture.
    """
    module.eval()
    program = _export(module)
    program.model.graph.name = "pocketbert"
    program.save(path)
    _name_nodes(path)
    describe_onnx(path, description)


def describe_onnx(path: Path, description: Description) -> None:
    """Write a description into the metadata of an ONNX file, in place of the one it may have."""
    model = onnx.load(path)
    onnx.helper.set_model_props(model, description.to_metadata())
    model.producer_name = "pocketbert"
    onnx.save(model, path)


def _name_nodes(path: Path) -> None:
    """Name each node by the module it comes from; what else the exporter notes, source lines among it, is dropped."""
    model = onnx.load(path)
    for number, node in enumerate(model.graph.node):
        noted = {each.key: each.value for each in node.metadata_props}
        modules = [scope for scope in ast.literal_eval(noted.get(_SCOPES, "[]")) if "." in scope]
        node.name = f"{modules[-1] if modules else 'model'}/{node.op_type}_{number}"
        del node.metadata_props[:]
    for part in (model, model.graph, *model.graph.value_info, *model.graph.input, *model.graph.output):
        del part.metadata_props[:]
    del model.graph.value_info[:]
    onnx.save(model, path)


def _export(module: Answering) -> torch.onnx.ONNXProgram:
    # Sizes above 1 and all different, so that the exporter takes none of them for a constant.
    example = {name: torch.ones((2, 7), dtype=torch.int64) for name in module.inputs}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        try:
            program = torch.onnx.export(
                module,
                kwargs=example,
                dynamo=True,
                opset_version=OPSET,
                input_names=module.inputs,
                output_names=module.outputs,
                dynamic_shapes={
                    name: _SHAPE if name in module.inputs else None
                    for name in ("input_ids", "attention_mask", "token_type_ids")
                    if name in module.inputs
                },
                verbose=False,
            )
        except Exception as error:  # the exporter raises whatever the tracer or its converters raise
            name = type(module.model).__name__
            reason = str(error).strip().splitlines()[0]
            raise ModelError(f"{name}: cannot be exported to ONNX: {reason}") from None
    if program is None:
        raise ModelError(f"{type(module.model).__name__}: cannot be exported to ONNX")
    return program
