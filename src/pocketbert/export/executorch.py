"""A torch model as an ExecuTorch program: a method for each fixed length, run by XNNPACK, weights stored once."""

import copy
import logging
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
from executorch.backends.xnnpack.utils.configs import get_transform_passes, get_xnnpack_edge_compile_config
from executorch.exir import ExecutorchBackendConfig, to_edge_transform_and_lower
from torch import nn
from torchao.quantization import Int8DynamicActivationIntxWeightConfig, IntxWeightOnlyConfig, PerAxis, quantize_

from pocketbert.engines.description import Description
from pocketbert.errors import ModelError
from pocketbert.models.answering import Answering
from pocketbert.models.executorch_engine import INPUTS, METHOD


def write_executorch(module: Answering, description: Description, lengths: Sequence[int], path: Path) -> None:
    """Export a model.

    int8 needs no calibration: weights are rounded once, by output channel, and activations as they come, by token, so
    that an answer depends neither on the padding nor on other texts.

    Args:
        module: the model in fp32, on the CPU, and which answer it gives.
        description: what the program says about itself, a method for each fact; fp32 or int8.
        lengths: tokens of each method.
        path: the ``.pte`` file to write; its folder exists.

    Raises:
        ModelError: the architecture cannot be exported, or not in int8.
    """
    prepared = _prepare(module, description.precision)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("torch.export").setLevel(logging.ERROR)
        try:
            program = to_edge_transform_and_lower(
                {f"{METHOD}{length}": _trace(prepared, length) for length in lengths},
                transform_passes=get_transform_passes(),
                partitioner=[XnnpackPartitioner()],
                compile_config=get_xnnpack_edge_compile_config(),
                constant_methods=description.to_metadata(),
            ).to_executorch(ExecutorchBackendConfig(do_quant_fusion_and_const_prop=True))
        except Exception as error:  # whatever the tracer or one of the many passes raises
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ModelError(f"{type(module.model).__name__}: cannot be exported to ExecuTorch: {reason}") from None
    with path.open("wb") as file:
        program.write_to_file(file)


def _prepare(module: Answering, precision: str) -> Answering:
    """A copy in the form that XNNPACK takes most of.

    Raises:
        ModelError: int8 is wanted of an architecture whose layers are convolutions.
    """
    prepared = copy.deepcopy(module).eval()
    # Attention in one operator would be taken apart again, with a check for rows of padding alone that breaks the
    # graph into twice as many pieces: half the speed at 128 tokens.
    prepared.model.set_attn_implementation("eager")
    if precision == "int8":
        _quantize(prepared)
    return prepared


def _quantize(module: Answering) -> None:
    """Round the weights of linear layers and embeddings, in place."""
    name = type(module.model).__name__
    if any(isinstance(each, nn.Conv1d) for each in module.modules()):
        raise ModelError(f"{name}: its convolutions cannot be int8 in ExecuTorch; export it in fp32")
    by_row = PerAxis(0)
    linear = Int8DynamicActivationIntxWeightConfig(weight_dtype=torch.int8, weight_granularity=by_row)
    quantize_(module, linear)
    embeddings = IntxWeightOnlyConfig(weight_dtype=torch.int8, granularity=by_row)
    quantize_(module, embeddings, lambda each, _: isinstance(each, nn.Embedding))
    for each in module.modules():
        if isinstance(each, nn.Embedding):
            each.padding_idx = None  # only training reads it, and the pass that fuses int8 embeddings knows none


def _trace(module: Answering, length: int) -> torch.export.ExportedProgram:
    example = tuple(torch.ones((1, length), dtype=torch.int64) for name in INPUTS if name in module.inputs)
    return torch.export.export(module, example)
