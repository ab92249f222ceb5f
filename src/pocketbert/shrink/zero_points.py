"""Zero points of activations, folded into the biases that follow: the same numbers by a faster kernel.

A range that is not symmetric, [low, high], is stored as q = x - low from zero on, so that a product is
W x + b = W q + (b + low ΣW), where ΣW adds up each row of W: a constant, which belongs to the bias. Left as it is, the
zero point is subtracted at run time, by kernels that are slower, and values with a sign cost more than those without
(Jacob et al. 2018, Quantization and Training of Neural Networks, section 2.3).
"""

from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray
from openvino import opset13 as operations

_LOW, _HIGH = 3, 4
"""Inputs of a rounding that say which values come out of it."""


def fold_zero_points(model: openvino.Model) -> None:
    """Fold those of all values that are read by nothing but products with constant weights.

    Args:
        model: quantized by NNCF; changed in place.
    """
    for rounding in model.get_ordered_ops():
        if rounding.get_type_name() != "FakeQuantize":
            continue
        readers = [(port.get_node(), port.get_index()) for port in rounding.output(0).get_target_inputs()]
        low = _constant(rounding.input_value(_LOW).get_node())
        products = [(product, _weights(product)) for product, index in readers if index == 0]
        if low is None or low.size != 1 or low.item() >= 0 or len(products) < len(readers):
            continue
        if any(weights is None for _, weights in products):
            continue
        _raise_range(rounding, low)
        for product, weights in products:
            _add_to_bias(product, low.item() * weights.sum(axis=0))
    model.validate_nodes_and_infer_types()


def _raise_range(rounding: openvino.Node, low: NDArray[np.float32]) -> None:
    """Let a rounding give [0, high - low] in place of [low, high]."""
    high = _constant(rounding.input_value(_HIGH).get_node())
    rounding.input(_LOW).replace_source_output(operations.constant(np.zeros_like(low)).output(0))
    rounding.input(_HIGH).replace_source_output(operations.constant(high - low).output(0))


def _add_to_bias(product: openvino.Node, constant: NDArray[np.float32]) -> None:
    """Add to what a product gives: (outputs,)."""
    readers = list(product.output(0).get_target_inputs())
    following = readers[0].get_node()
    if len(readers) == 1 and following.get_type_name() == "Add":
        port = following.input(1 - readers[0].get_index())
        bias = _constant(port.get_source_output().get_node())
        if bias is not None and bias.shape[-1:] == constant.shape:
            port.replace_source_output(operations.constant(bias + constant).output(0))
            return
    added = operations.add(product, operations.constant(constant))
    for reader in readers:
        reader.replace_source_output(added.output(0))


def _weights(product: openvino.Node) -> Any:
    """Weights of a product (inputs, outputs) as they are multiplied; None where it is none, or has no constant."""
    if product.get_type_name() != "MatMul":
        return None
    weights = _constant(product.input_value(1).get_node())
    if weights is None or weights.ndim != 2:
        return None
    return weights.T if product.get_attributes()["transpose_b"] else weights


def _constant(node: openvino.Node) -> Any:
    """What a constant, or one that is stored in int8 and multiplied by its scales, comes to; None for all else."""
    kind = node.get_type_name()
    if kind == "Constant":
        return node.data
    if kind not in ("Convert", "Multiply", "Reshape"):
        return None
    first, *others = (_constant(node.input_value(port).get_node()) for port in range(node.get_input_size()))
    if first is None or any(other is None for other in others):
        return None
    if kind == "Convert":
        return first.astype(np.float32)
    return first * others[0] if kind == "Multiply" else first.reshape(others[0])
