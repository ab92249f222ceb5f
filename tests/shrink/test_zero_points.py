"""Folded zero points leave every value as it was, and no range that begins below zero where one could be folded."""

import numpy as np
import openvino
import pytest
from openvino import opset13 as operations

from pocketbert.shrink.zero_points import fold_zero_points

LOW, HIGH = -0.7, 3.1
WIDTH, OUTPUTS = 6, 5


@pytest.fixture
def random_():
    return np.random.default_rng(0)


def constant(values):
    return operations.constant(np.asarray(values, dtype=np.float32))


def rounding(source, low=LOW, high=HIGH):
    ends = (constant(low), constant(high))
    return operations.fake_quantize(source, *ends, *ends, 256)


def weights(random_, transposed):
    """In int8 and scales, as NNCF stores them."""
    shape = (OUTPUTS, WIDTH) if transposed else (WIDTH, OUTPUTS)
    scales = random_.uniform(0.01, 0.02, (OUTPUTS, 1) if transposed else (1, OUTPUTS))
    stored = operations.constant(random_.integers(-63, 64, shape).astype(np.int8))
    return operations.multiply(operations.convert(stored, "f32"), constant(scales))


def product(source, random_, transposed=True, bias=None):
    found = operations.matmul(source, weights(random_, transposed), transpose_a=False, transpose_b=transposed)
    return found if bias is None else operations.add(found, constant(bias))


def make_model(build):
    source = operations.parameter([-1, -1, WIDTH], np.float32)
    return openvino.Model(build(source), [source], "quantized")


def answers(model, values):
    """What the graph computes as it is written, none of it in int8."""
    options = {"INFERENCE_PRECISION_HINT": "f32", "LP_TRANSFORMS_MODE": "OFF"}
    compiled = openvino.Core().compile_model(model.clone(), "CPU", options)
    return [np.array(found) for found in compiled([values]).values()]


def lows(model):
    roundings = [node for node in model.get_ordered_ops() if node.get_type_name() == "FakeQuantize"]
    return [float(node.input_value(3).get_node().data) for node in roundings]


@pytest.mark.parametrize("transposed", [True, False])
@pytest.mark.parametrize("bias", [None, (OUTPUTS,), (1, 1, OUTPUTS)], ids=["none", "row", "block"])
def test_a_zero_point_goes_into_the_bias(random_, transposed, bias):
    values = None if bias is None else random_.normal(size=bias)
    model = make_model(lambda source: [product(rounding(source), random_, transposed, values)])
    inputs = random_.normal(1, 1, (2, 3, WIDTH)).astype(np.float32)
    before = answers(model, inputs)
    fold_zero_points(model)
    assert lows(model) == [0]
    assert np.allclose(answers(model, inputs)[0], before[0], atol=1e-5)


def test_all_that_read_a_value_get_their_own(random_):
    def build(source):
        rounded = rounding(source)
        first = product(rounded, random_, bias=random_.normal(size=OUTPUTS))
        second = product(rounded, random_, transposed=False)
        return [first, operations.relu(second), operations.tanh(second)]

    model = make_model(build)
    inputs = random_.normal(1, 1, (4, 2, WIDTH)).astype(np.float32)
    before = answers(model, inputs)
    fold_zero_points(model)
    assert lows(model) == [0]
    for found, true in zip(answers(model, inputs), before, strict=True):
        assert np.allclose(found, true, atol=1e-5)


def test_two_products_that_share_a_bias_are_not_mixed_up(random_):
    shared = constant(random_.normal(size=OUTPUTS))

    def build(source):
        return [operations.add(product(rounding(source, low=low), random_), shared) for low in (-0.5, -2.0)]

    model = make_model(build)
    inputs = random_.normal(0, 1, (1, 3, WIDTH)).astype(np.float32)
    before = answers(model, inputs)
    fold_zero_points(model)
    for found, true in zip(answers(model, inputs), before, strict=True):
        assert np.allclose(found, true, atol=1e-5)


def read_twice(source, random_):
    rounded = rounding(source)
    return [product(rounded, random_), operations.tanh(rounded)]


@pytest.mark.parametrize(
    ("build", "left"),
    [
        (lambda source, random_: [operations.add(rounding(source), source)], 1),
        (read_twice, 1),
        (lambda source, random_: [product(rounding(source), random_), operations.tanh(rounding(source))], 1),
        (lambda source, random_: [operations.matmul(rounding(source), rounding(source), False, True)], 2),
        (lambda source, random_: [product(rounding(source, low=0.0), random_)], 0),
    ],
    ids=["residual", "read twice", "one of two", "product of two values", "from zero on"],
)
def test_what_is_read_otherwise_is_left(random_, build, left):
    model = make_model(lambda source: build(source, random_))
    inputs = random_.normal(1, 1, (2, 3, WIDTH)).astype(np.float32)
    before = answers(model, inputs)
    fold_zero_points(model)
    assert sum(low < 0 for low in lows(model)) == left
    for found, true in zip(answers(model, inputs), before, strict=True):
        assert np.allclose(found, true, atol=1e-5)
