"""What is int8 in an ONNX file, and who reads it."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import transformers

import tiny
from pocketbert.engines.description import Description
from pocketbert.export.onnx import write_onnx
from pocketbert.models.answering import Answering
from pocketbert.shrink.int8_onnx import write_int8_onnx
from pocketbert.shrink.layers import find_nodes

DESCRIPTION = Description(task="classification", labels=tiny.LABELS, max_length=tiny.POSITIONS)


def write_both(folder: Path, family: str, stay: tuple[str, ...] = ()) -> tuple[onnx.GraphProto, onnx.GraphProto]:
    """The graphs of a tiny model in fp32 and in int8; layers named by ``stay`` are fp32 in both."""
    model = tiny.make_model(family, "SequenceClassification", tiny.make_tokenizer(family), layers=1)
    module = Answering(model, ["input_ids", "attention_mask", "token_type_ids"])
    write_onnx(module, DESCRIPTION, folder / "fp32.onnx")
    nodes = find_nodes(model, onnx.load(folder / "fp32.onnx").graph)
    numbers = np.random.default_rng(0)
    batches = []
    for tokens in (5, 9):
        ids = numbers.integers(5, model.config.vocab_size, (2, tokens))
        batch = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        batches.append({name: batch[name] for name in module.inputs})
    higher = [node for name, found in nodes.items() for node in found if name.endswith(stay)] if stay else []
    write_int8_onnx(folder / "fp32.onnx", DESCRIPTION, batches, folder / "int8.onnx", higher)
    return onnx.load(folder / "fp32.onnx").graph, onnx.load(folder / "int8.onnx").graph


def _is_transposed(node: onnx.NodeProto) -> bool:
    """Whether a product has its outputs in the rows of its weights."""
    return any(each.name == "transB" and each.i for each in node.attribute)


def readers(graph: onnx.GraphProto, kinds: set[str]) -> dict[str, set[str]]:
    """Which kinds of node read what the activations' rounding gives, by the kind of what was rounded."""
    made_by = {name: node for node in graph.node for name in node.output}
    found: dict[str, set[str]] = {}
    for node in graph.node:
        for name in node.input:
            back = made_by.get(name)
            if back is not None and back.op_type == "DequantizeLinear" and back.input[0] in made_by:
                source = made_by.get(made_by[back.input[0]].input[0])
                found.setdefault(source.op_type if source else "input", set()).add(node.op_type)
    return {source: read & kinds for source, read in found.items()}


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_residual_connections_read_what_was_not_rounded(tmp_path, family):
    fp32, int8 = write_both(tmp_path, family)
    read = readers(int8, {node.op_type for node in fp32.node})
    assert read and all(kinds <= {"MatMul", "Gemm", "Conv"} for source, kinds in read.items() if source != "Conv")
    weights = {each.name: each for each in int8.initializer}
    made_by = {name: node for node in int8.node for name in node.output}
    products = [node for node in int8.node if node.op_type in ("MatMul", "Gemm", "Conv")]
    spared = [node for node in products if made_by[node.input[1]].op_type != "DequantizeLinear"]
    assert not spared or family == "squeezebert"  # multiplies queries by keys without the operator for attention
    for node in products:
        back = made_by[node.input[1]]
        if back.op_type == "DequantizeLinear" and back.input[0] in weights:
            whole = weights[back.input[0]]
            assert whole.data_type == onnx.TensorProto.INT8, node.name
            outputs = whole.dims[0 if node.op_type == "Conv" or _is_transposed(node) else -1]
            assert list(weights[back.input[1]].dims) == [outputs], node.name  # a scale for each
            assert made_by[node.input[0]].op_type == "DequantizeLinear", node.name


def test_a_layer_that_stays_in_fp32_reads_what_was_not_rounded(tmp_path):
    _, int8 = write_both(tmp_path, "bert", stay=("self.query", "intermediate.dense"))
    made_by = {name: node for node in int8.node for name in node.output}
    products = {node.name.split("/")[0]: node for node in int8.node if node.op_type in ("MatMul", "Gemm")}
    for layer, node in products.items():
        stays = layer.endswith(("self.query", "intermediate.dense"))
        assert (made_by[node.input[0]].op_type == "DequantizeLinear") != stays, layer
        assert (node.input[1] in made_by) != stays, layer


def test_tables_are_rounded_by_row(tmp_path):
    tokenizer = tiny.make_tokenizer("distilbert")
    config = tiny.make_config("distilbert", tokenizer, layers=1, width=64)
    torch.manual_seed(0)
    model = transformers.AutoModelForSequenceClassification.from_config(config).eval()
    table = model.distilbert.embeddings.word_embeddings.weight.data  # (pieces, 64): above the smallest that is rounded
    table[7] *= 1e-3
    write_onnx(Answering(model, ["input_ids", "attention_mask"]), DESCRIPTION, tmp_path / "fp32.onnx")
    batch = {name: np.ones((1, 5), dtype=np.int64) for name in ("input_ids", "attention_mask")}
    write_int8_onnx(tmp_path / "fp32.onnx", DESCRIPTION, [batch], tmp_path / "int8.onnx")
    made = onnx.load(tmp_path / "int8.onnx").graph.initializer
    parts = {each.name: onnx.numpy_helper.to_array(each) for each in made}
    name = next(name for name in parts if name.endswith("word_embeddings.weight.int8"))
    rebuilt = parts[name] * parts[name.removesuffix("int8") + "scale"]
    step = table.abs().amax(dim=1, keepdim=True) / 127
    assert (torch.from_numpy(rebuilt) - table).abs().le(step * 0.501).all()
