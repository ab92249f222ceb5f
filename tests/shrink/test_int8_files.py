"""int8 files of every task head answer like the model; batch-mates change the answers of dynamic ones alone."""

from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import openvino
import pytest
from onnxruntime.quantization import QuantType, quantize_dynamic

from exported import HEADS, exported
from pocketbert.engines.description import Description
from pocketbert.engines.exported import open_file
from pocketbert.engines.golden import Golden
from pocketbert.engines.parity import measure_parity
from pocketbert.export.formats import ONNX
from pocketbert.export.onnx import describe_onnx
from pocketbert.recipe import Limits
from pocketbert.shrink.int8_onnx import write_int8_onnx
from pocketbert.shrink.int8_openvino import write_int8_openvino

WRITERS = {"onnxruntime": write_int8_onnx, "openvino": write_int8_openvino}


@cache
def int8_path(task: str, engine: str) -> Path:
    """Where the file of :func:`int8_parity` lies."""
    name = "model.xml" if engine == "openvino" else "model.onnx"
    return Path(mkdtemp(prefix=f"int8-{task}-{engine}-")) / name


@cache
def int8_parity(task: str, engine: str):
    """An int8 file of a model, calibrated on the golden texts, held against their answers."""
    folder = exported(task)
    golden = Golden.read(folder / "golden")
    fp32 = open_file(folder / ONNX["fp32"], threads=1)
    description = fp32.description.model_copy(update={"precision": "int8"})
    path = int8_path(task, engine)
    if engine == "dynamic":
        quantize_dynamic(
            folder / ONNX["fp32"],
            path,
            op_types_to_quantize=["MatMul", "Gemm"],
            per_channel=True,
            weight_type=QuantType.QInt8,
        )
        describe_onnx(path, description)
        return measure_parity(open_file(path, threads=1), golden)
    batches = [{key: values for key, values in as_batch(ids).items() if key in fp32.inputs} for ids in golden.ids]
    WRITERS[engine](folder / ONNX["fp32"], description, batches, path)
    made = open_file(path, threads=1)
    assert made.description == description and isinstance(made.description, Description)
    return measure_parity(made, golden)


def test_weights_for_openvino_have_a_scale_for_each_output():
    int8_parity("classification", "openvino")
    model = openvino.Core().read_model(int8_path("classification", "openvino"))
    products = [node for node in model.get_ordered_ops() if node.get_type_name() == "MatMul"]
    scales = [scale for node in products if (scale := _weight_scale(node)) is not None]
    assert len(scales) >= 6  # of a layer; others are lookups
    assert all(shape[0] > 1 and np.prod(shape) == shape[0] for shape in scales)


def _weight_scale(product):
    """Shape of what the int8 weights of a product are multiplied by; None where they are not int8."""
    scaled = product.input_value(1).get_node()
    if scaled.get_type_name() != "Multiply":
        return None
    parts = [scaled.input_value(place).get_node() for place in (0, 1)]
    whole = next((part for part in parts if part.get_type_name() == "Convert"), None)
    if whole is None or whole.input_value(0).get_element_type() != openvino.Type.i8:
        return None
    return tuple(next(part for part in parts if part is not whole).get_output_shape(0))


def as_batch(ids):
    return {"input_ids": ids[:1], "attention_mask": np.ones_like(ids[:1]), "token_type_ids": ids[1:]}


@pytest.mark.parametrize("task", HEADS)
@pytest.mark.parametrize("engine", WRITERS)
def test_parity_of_int8_with_the_model(task, engine):
    assert int8_parity(task, engine).relative < Limits().int8


@pytest.mark.parametrize("task", HEADS)
@pytest.mark.parametrize("engine", WRITERS)
def test_batchmates_do_not_change_a_static_answer(task, engine):
    assert int8_parity(task, engine).relative_batch_mates < 1e-4


@pytest.mark.parametrize("task", ["classification", "token_classification", "masked_lm"])
def test_batchmates_change_a_dynamic_answer(task):
    dynamic, static = int8_parity(task, "dynamic"), int8_parity(task, "onnxruntime")
    assert dynamic.relative_batch_mates > 1e-3 > 10 * static.relative_batch_mates
