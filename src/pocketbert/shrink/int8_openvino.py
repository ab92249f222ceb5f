"""int8 files for OpenVINO, by NNCF."""

import io
import logging
from collections.abc import Collection, Sequence
from contextlib import redirect_stdout
from pathlib import Path

import nncf
import onnx
import openvino
from nncf.quantization.range_estimator import RangeEstimatorParametersSet

from pocketbert.engines.base import Inputs
from pocketbert.engines.description import Description
from pocketbert.export.openvino import read_onnx, save_openvino
from pocketbert.shrink.layers import weighted_nodes
from pocketbert.shrink.zero_points import fold_zero_points

_WEIGHTED = ("MatMul", "Convolution", "GroupConvolution", "Gather")
_ATTENTION = "ScaledDotProductAttention"


def write_int8_openvino(
    source: Path, description: Description, batches: Sequence[Inputs], path: Path, higher: Collection[str] = ()
) -> None:
    """Make a static int8 file: ranges of activations are measured beforehand, so batch-mates change nothing.

    The weights of products have seven bits: without the instructions of VNNI, OpenVINO adds pairs of products in 16
    bits, which eight would overflow, and it has no other kernel to choose. The ranges are those of the texts, where the
    library's own choice, their mean over the batches, cuts off what matters. Attention stays as it was.

    Args:
        source: the fp32 ONNX file.
        description: of the int8 file.
        batches: the texts that ranges are measured on; without padding, whose values nobody reads.
        path: the ``.xml`` to write; the weights go into the ``.bin`` beside it.
        higher: names of the source's nodes that stay in fp32; not all of them.
    """
    model = read_onnx(source)
    ignored = nncf.IgnoredScope(
        names=_names(model, onnx.load(source).graph, higher), types=[_ATTENTION], validate=False
    )
    nncf.set_log_level(logging.ERROR)
    with redirect_stdout(io.StringIO()):  # its progress bars
        quantized = nncf.quantize(
            model,
            nncf.Dataset(batches),
            subset_size=len(batches),
            model_type=nncf.ModelType.TRANSFORMER,
            ignored_scope=ignored,
            advanced_parameters=nncf.AdvancedQuantizationParameters(
                overflow_fix=nncf.OverflowFix.ENABLE,
                disable_bias_correction=True,
                activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX,
            ),
        )
    fold_zero_points(quantized)
    save_openvino(quantized, description, path)


def _names(model: openvino.Model, graph: onnx.GraphProto, nodes: Collection[str]) -> list[str]:
    """What nodes of the ONNX graph are called after conversion, which renames some."""
    outputs = {node.output[0] for node, _ in weighted_nodes(graph) if node.name in nodes}
    return [
        each.get_friendly_name()
        for each in model.get_ops()
        if each.get_type_name() in _WEIGHTED
        and (each.get_friendly_name().removesuffix("/WithoutBiases") in nodes or outputs & each.output(0).get_names())
    ]
