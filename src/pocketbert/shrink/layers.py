"""Which parts of a model become int8, and where each stands in the exported graph."""

import hashlib
from collections.abc import Iterator

import numpy as np
import onnx
from numpy.typing import NDArray
from torch import nn

from pocketbert.errors import ModelError

Quantizable = nn.Linear | nn.Conv1d | nn.Embedding
"""The modules that hold nearly all bytes of a model and do nearly all of its work."""

PRODUCTS = {"MatMul": 1, "Gemm": 1, "Conv": 1}
"""Operators that multiply by weights, and which of their inputs these are."""
LOOKUP = "Gather"
"""The operator that takes rows from an embedding table, its first input."""


def quantizable_modules(model: nn.Module) -> dict[str, Quantizable]:
    """All of these modules, by name."""
    return {name: module for name, module in model.named_modules() if isinstance(module, Quantizable)}


def weighted_nodes(graph: onnx.GraphProto) -> Iterator[tuple[onnx.NodeProto, onnx.TensorProto]]:
    """Each node that multiplies by weights or looks them up, and these weights."""
    constants = {each.name: each for each in graph.initializer}
    place = PRODUCTS | {LOOKUP: 0}
    for node in graph.node:
        weights = constants.get(node.input[place[node.op_type]]) if node.op_type in place else None
        if weights is not None and len(weights.dims) > 1 and weights.data_type == onnx.TensorProto.FLOAT:
            yield node, weights


def find_nodes(model: nn.Module, graph: onnx.GraphProto) -> dict[str, list[str]]:
    """Names of the nodes that have a module's weights, by the module's name; several where layers have the same.

    The exporter renames, transposes and folds; the numbers are what stays, so they are what is compared.

    Args:
        model: in fp32.
        graph: that it was exported to.

    Raises:
        ModelError: a node has weights of no module.
    """
    owners: dict[str, list[str]] = {}
    for name, module in quantizable_modules(model).items():
        for arrangement in _arrangements(module):
            owners.setdefault(_digest(arrangement), []).append(name)
    found: dict[str, list[str]] = {}
    for node, weights in weighted_nodes(graph):
        equals = owners.get(_digest(onnx.numpy_helper.to_array(weights)))
        if equals is None:
            raise ModelError(
                f"{type(model).__name__}: the weights of {node.name} in the exported graph are those of no layer, so "
                "that it cannot be quantized"
            )
        for owner in equals:
            found.setdefault(owner, []).append(node.name)
    return found


def _arrangements(module: Quantizable) -> list[NDArray[np.float32]]:
    """The weights as they are and, of a linear layer, as a product of matrices takes them."""
    weights = module.weight.detach().cpu().numpy()
    return [weights, weights.T] if isinstance(module, nn.Linear) else [weights]


def _digest(array: NDArray[np.float32]) -> str:
    """Of the numbers and their arrangement."""
    return hashlib.sha256(repr(array.shape).encode() + np.ascontiguousarray(array).tobytes()).hexdigest()
