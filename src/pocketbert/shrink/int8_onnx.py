"""int8 files for ONNX Runtime: products of matrices in int8, embedding tables as bytes, everything else in fp32."""

import logging
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from pocketbert.engines.base import Inputs
from pocketbert.engines.description import Description
from pocketbert.export.onnx import describe_onnx
from pocketbert.shrink.layers import LOOKUP, PRODUCTS, weighted_nodes

_BACK = "DequantizeLinear"
"""The operator that makes numbers of int8 again."""
_SMALLEST_TABLE = 4096
"""Values from which on a table is worth the operators that make its rows numbers again."""


def write_int8_onnx(
    source: Path, description: Description, batches: Sequence[Inputs], path: Path, higher: Collection[str] = ()
) -> None:
    """Make a static int8 file: ranges of activations are measured beforehand, so batch-mates change nothing.

    Weights are signed, with a scale for each output, and activations unsigned: the only pair that every processor of
    the project multiplies fast. Products give fp32, for what follows them (additions, normalisation, GELU, attention)
    is fp32.

    Args:
        source: the fp32 file.
        description: of the int8 file.
        batches: the texts that ranges are measured on; without padding, whose values nobody reads.
        path: the file to write; its folder exists.
        higher: names of nodes that stay in fp32; not all of them.
    """
    weighted = [(node, table) for node, table in weighted_nodes(onnx.load(source).graph) if node.name not in higher]
    nodes = [node for node, _ in weighted]
    with _quietly(), tempfile.TemporaryDirectory() as folder:
        quantize_static(
            source,
            Path(folder) / path.name,
            _Reader(batches),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(PRODUCTS),
            nodes_to_quantize=[node.name for node in nodes if node.op_type in PRODUCTS],
            per_channel=True,
            reduce_range=_shares_products(weighted),
            weight_type=QuantType.QInt8,
            activation_type=QuantType.QUInt8,
            extra_options={
                "MatMulConstBOnly": True,
                "QDQKeepRemovableActivations": True,
                # A convolution that gives fp32 would be computed in fp32.
                "OpTypesToExcludeOutputQuantization": ["MatMul", "Gemm"],
            },
        )
        _finish(Path(folder) / path.name, description, path, {node.name for node in nodes})


def _shares_products(weighted: Sequence[tuple[onnx.NodeProto, onnx.TensorProto]]) -> bool:
    """Whether several products have the same weights, as in ALBERT.

    These then have seven bits: without instructions for int8, such a file can only be run by a kernel that eight would
    overflow (engines/onnxruntime.py).
    """
    names = [table.name for node, table in weighted if node.op_type in PRODUCTS]
    return len(set(names)) < len(names)


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    """Hands batches out one by one, as the library asks for them."""

    def __init__(self, batches: Sequence[Inputs]) -> None:
        self._rest: Iterator[Inputs] = iter(batches)

    def get_next(self) -> Any:
        return next(self._rest, None)


def _finish(made: Path, description: Description, path: Path, nodes: Collection[str]) -> None:
    """Finish what the library made, drop its notes on shapes, and write the file with its description."""
    model = onnx.load(made)
    _spare_readers(model.graph)
    _shrink_tables(model.graph, nodes)
    del model.graph.value_info[:]
    onnx.save(model, path)
    describe_onnx(path, description)


def _spare_readers(graph: onnx.GraphProto) -> None:
    """Give what was rounded for a product to no one else.

    The library gives it to all who read the tensor: to the residual connections, whose rounding adds up from layer to
    layer, and to products that stay in fp32.
    """
    made_by = {name: node for node in graph.node for name in node.output}
    rounded = {
        node.output[0]: made_by[node.input[0]].input[0]
        for node in graph.node
        if node.op_type == _BACK and node.input[0] in made_by and not _is_given_rounded(node, made_by)
    }
    for node in graph.node:
        if not _multiplies_int8(node, made_by):
            for place, name in enumerate(node.input):
                node.input[place] = rounded.get(name, name)


def _is_given_rounded(node: onnx.NodeProto, made_by: Mapping[str, onnx.NodeProto]) -> bool:
    """Whether a convolution gave these values: without rounding behind it, it would not be int8."""
    source = made_by.get(made_by[node.input[0]].input[0])
    return source is not None and source.op_type == "Conv"


def _multiplies_int8(node: onnx.NodeProto, made_by: Mapping[str, onnx.NodeProto]) -> bool:
    """Whether the weights of a product are constants of int8."""
    weights = made_by.get(node.input[PRODUCTS[node.op_type]]) if node.op_type in PRODUCTS else None
    return weights is not None and weights.op_type == _BACK and weights.input[0] not in made_by


def _shrink_tables(graph: onnx.GraphProto, nodes: Collection[str]) -> None:
    """Keep the tables of lookups as int8 with a scale for each row.

    The library would give a whole table one scale, and so lose rows of small values. Only rows that are looked up
    become fp32 again.
    """
    for node, table in list(weighted_nodes(graph)):
        if node.op_type != LOOKUP or node.name not in nodes or np.prod(table.dims) < _SMALLEST_TABLE:
            continue
        values = onnx.numpy_helper.to_array(table)  # (rows, width)
        scales = np.maximum(np.abs(values).max(axis=1, keepdims=True) / 127, np.finfo(np.float32).tiny)
        parts = {"int8": np.round(values / scales).astype(np.int8), "scale": scales.astype(np.float32)}
        for suffix, part in parts.items():
            if f"{table.name}.{suffix}" not in {each.name for each in graph.initializer}:
                graph.initializer.append(onnx.numpy_helper.from_array(part, f"{table.name}.{suffix}"))
        _replace(graph, node, _lookup(node, table.name))
    _drop_unused(graph)


def _lookup(node: onnx.NodeProto, table: str) -> list[onnx.NodeProto]:
    """The nodes that take the place of a lookup: row × scale of the row."""
    make, name, ids = onnx.helper.make_node, node.name, node.input[1]
    return [
        make(LOOKUP, [f"{table}.int8", ids], [f"{name}.row"], f"{name}.row"),
        make("Cast", [f"{name}.row"], [f"{name}.values"], f"{name}.values", to=onnx.TensorProto.FLOAT),
        make(LOOKUP, [f"{table}.scale", ids], [f"{name}.scale"], f"{name}.scale"),
        make("Mul", [f"{name}.values", f"{name}.scale"], [node.output[0]], name),
    ]


def _replace(graph: onnx.GraphProto, node: onnx.NodeProto, others: Sequence[onnx.NodeProto]) -> None:
    place = next(number for number, each in enumerate(graph.node) if each.name == node.name)
    del graph.node[place]
    for other in reversed(others):
        graph.node.insert(place, other)


def _drop_unused(graph: onnx.GraphProto) -> None:
    used = {name for node in graph.node for name in node.input}
    for each in [each for each in graph.initializer if each.name not in used]:
        graph.initializer.remove(each)


@contextmanager
def _quietly() -> Iterator[None]:
    """The library speaks through the root logger, of steps that are taken care of here."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
