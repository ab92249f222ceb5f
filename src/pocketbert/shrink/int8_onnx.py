"""An ONNX file in int8: embeddings by rows, matrix products by their calibrated ranges, everything else as it was."""

import logging
import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from pocketbert.shrink.calibration import Batch

PRODUCTS = ("MatMul", "Gemm")
"""Operators whose int8 kernels are fast; products of two activations (attention) stay as they are."""

_LAYER = re.compile(r"\.layers?\.(\d+)\b|\.albert_layers\.(\d+)\b")


def shrink_embeddings(source: Path, path: Path) -> None:
    """Store embedding tables as int8 with a scale a row; a row is widened again when it is looked up.

    Args:
        source: the fp32 file.
        path: the file to write.
    """
    model = onnx.load(source)
    tables = {each.name: each for each in model.graph.initializer}
    nodes: list[NodeProto] = []
    for node in model.graph.node:
        table = tables.get(node.input[0]) if node.op_type == "Gather" else None
        if table is None or table.data_type != onnx.TensorProto.FLOAT or len(table.dims) != 2:
            nodes.append(node)
            continue
        quantized, scales = _by_rows(numpy_helper.to_array(table))
        rows, factors = f"{table.name}_int8", f"{table.name}_scale"
        if rows not in tables:
            for name, values in ((rows, quantized), (factors, scales)):
                tables[name] = numpy_helper.from_array(values, name)
                model.graph.initializer.append(tables[name])
        nodes += _look_up(node, rows, factors)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    _drop_unused(model)
    onnx.save(model, path)


def quantize_products(source: Path, path: Path, batches: Sequence[Batch], keep: Collection[str] = ()) -> None:
    """Static int8 for ONNX Runtime: weights by channel, activations by the ranges of the calibration rows.

    The outputs of products stay fp32: only what enters a product is rounded. Weights are signed and activations are
    not, the pair that x86 and ARM multiply fastest.

    Args:
        source: the file, in fp32.
        path: the file to write.
        batches: calibration rows.
        keep: names of nodes that stay in fp32.
    """
    logging.getLogger().setLevel(logging.ERROR)
    quantize_static(
        str(source),
        str(path),
        _Reader(batches),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=list(PRODUCTS),
        per_channel=True,
        weight_type=QuantType.QInt8,
        activation_type=QuantType.QUInt8,
        nodes_to_exclude=list(keep),
        extra_options={
            "MatMulConstBOnly": True,
            "QDQKeepRemovableActivations": True,
            "OpTypesToExcludeOutputQuantization": list(PRODUCTS),
        },
    )


def products_by_layer(path: Path) -> dict[str, list[str]]:
    """Names of the nodes that can be int8, by the layer they belong to: ``layer 0``, …, ``head``.

    Args:
        path: an ONNX file that the exporter wrote.
    """
    model = onnx.load(path, load_external_data=False)
    constant = {each.name for each in model.graph.initializer}
    found: dict[str, list[str]] = {}
    for node in model.graph.node:
        if node.op_type in PRODUCTS and node.input[1] in constant:
            layer = _LAYER.search(node.name)
            name = f"layer {layer[1] or layer[2]}" if layer else "head"
            found.setdefault(name, []).append(node.name)
    return found


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    """Calibration rows as the library asks for them."""

    def __init__(self, batches: Sequence[Batch]) -> None:
        self._batches: Iterator[Batch] = iter(batches)

    def get_next(self) -> Batch | None:
        return next(self._batches, None)


def _by_rows(table: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """(rows, width) → int8 of the same shape, and a scale a row, (rows, 1)."""
    scales = np.maximum(np.abs(table).max(axis=1, keepdims=True), 1e-12) / 127
    return np.round(table / scales).astype(np.int8), scales.astype(np.float32)


def _look_up(node: NodeProto, rows: str, factors: str) -> list[NodeProto]:
    ids, made = node.input[1], node.output[0]
    return [
        helper.make_node("Gather", [rows, ids], [f"{made}_int8"], name=node.name, axis=0),
        helper.make_node(
            "Cast", [f"{made}_int8"], [f"{made}_wide"], name=f"{node.name}_cast", to=onnx.TensorProto.FLOAT
        ),
        helper.make_node("Gather", [factors, ids], [f"{made}_scale"], name=f"{node.name}_scale", axis=0),
        helper.make_node("Mul", [f"{made}_wide", f"{made}_scale"], [made], name=f"{node.name}_widen"),
    ]


def _drop_unused(model: ModelProto) -> None:
    used = {name for node in model.graph.node for name in node.input}
    kept = [each for each in model.graph.initializer if each.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
