import numpy as np
import parts
import pytest
import torch

import tiny
from pocketbert.distill import prediction
from pocketbert.distill.datasets import EncodedRows
from pocketbert.shrink.importance import Importance, measure_importance
from pocketbert.tasks.base import Encoded

ROWS = [([2, 9, 11, 30, 7, 3], 1), ([2, 14, 3], 0), ([2, 8, 8, 3], 0)]


def rows(token_labels=False):
    """Three rows of unequal length."""
    features = [
        {
            "input_ids": ids,
            "attention_mask": [1] * len(ids),
            "labels": [-100, *[label] * (len(ids) - 2), -100] if token_labels else label,
        }
        for ids, label in ROWS
    ]
    return EncodedRows(Encoded(features, [], list(range(len(ROWS)))), 0)


def row_loss(model, ids, label):
    """What stock code says the loss of a row is."""
    inputs = {"input_ids": torch.tensor([ids])}
    if isinstance(label, np.ndarray) and "QuestionAnswering" in type(model).__name__:
        start, end = torch.tensor(label)[:, None]
        # Stock code takes the mean of both losses where the objective takes their sum.
        return 2 * model(**inputs, start_positions=start, end_positions=end).loss.item()
    return model(**inputs, labels=torch.tensor(np.array([label]))).loss.item()


def gate_derivatives(model, scale, labels=None):
    """Mean over rows of the size of the derivative of a row's loss by a gate, from the loss on both sides of 1.

    Args:
        model: answers single rows, in fp64.
        scale: multiplies what passes the gate, in place.
        labels: of the rows; those of ``ROWS`` when absent.
    """
    step = 1e-5
    sizes = []
    for (ids, own), label in zip(ROWS, labels or [None] * len(ROWS), strict=True):
        losses = []
        for factor in (1 + step, (1 - step) / (1 + step)):
            scale(factor)
            with torch.no_grad():
                losses.append(row_loss(model, ids, own if label is None else label))
        scale(1 / (1 - step))
        sizes.append(abs(losses[0] - losses[1]) / (2 * step))
    return sum(sizes) / len(sizes)


def scaler(*tensors):
    """Multiply parts of weights."""

    def scale(factor):
        with torch.no_grad():
            for tensor in tensors:
                tensor.mul_(factor)

    return scale


@pytest.fixture
def bert():
    model, anatomy = parts.make("bert", layers=2)
    found = measure_importance(model, anatomy, rows(), "classification")
    return model.double(), found


def test_a_neuron_weighs_the_derivative_of_the_loss_by_its_gate(bert):
    model, found = bert
    narrow = model.bert.encoder.layer[1].output.dense.weight
    for neuron in (0, 77):
        expected = gate_derivatives(model, scaler(narrow[:, neuron]))
        assert found.neurons[1, neuron].item() == pytest.approx(expected, rel=1e-3, abs=1e-6)


def test_a_head_weighs_the_derivative_of_the_loss_by_its_gate(bert):
    model, found = bert
    merge = model.bert.encoder.layer[0].attention.output.dense.weight
    for head in (0, 3):
        expected = gate_derivatives(model, scaler(merge[:, 16 * head : 16 * head + 16]))
        assert found.heads[0, head].item() == pytest.approx(expected, rel=1e-3, abs=1e-6)


def test_a_dimension_weighs_the_derivative_by_one_gate_at_all_depths(bert):
    model, found = bert
    norms = [module for name, module in model.named_modules() if name.endswith("LayerNorm")]
    assert len(norms) == 5
    for dimension in (5, 63):
        places = [each[dimension : dimension + 1] for norm in norms for each in (norm.weight, norm.bias)]
        expected = gate_derivatives(model, scaler(*places))
        assert found.hidden[dimension].item() == pytest.approx(expected, rel=1e-3, abs=1e-6)


def test_the_layer_before_the_answer_weighs_by_its_own_gates(bert):
    model, found = bert
    expected = gate_derivatives(model, scaler(model.classifier.weight[:, 9]))
    assert found.pooled[9].item() == pytest.approx(expected, rel=1e-3, abs=1e-6)


def test_a_layer_weighs_the_derivative_between_it_and_none(bert):
    model, found = bert
    gate = [1.0]

    def fade(_module, inputs, output):
        return inputs[0] + gate[0] * (output - inputs[0])

    def scale(factor):
        gate[0] *= factor

    layer = model.bert.encoder.layer[1].register_forward_hook(fade)
    expected = gate_derivatives(model, scale)
    layer.remove()
    assert found.layers[1].item() == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("head", parts.HEADS[:2])
@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_parts_that_give_nothing_weigh_nothing(family, head):
    model, anatomy = parts.make(family, head)
    silent = parts.random_importance(anatomy)
    parts.silence_neurons(model, anatomy, silent, 40)
    task = "classification" if head == "SequenceClassification" else "token_classification"
    found = measure_importance(model, anatomy, rows(task == "token_classification"), task)
    assert torch.equal((found.neurons > 0).sum(dim=1), torch.full((len(anatomy.blocks),), 40))
    assert found.layers.shape == (3,) and (found.layers > 0).all()
    assert found.heads.shape == (len(anatomy.blocks), 4) and (found.heads > 0).all()
    if anatomy.narrows:
        assert found.hidden.shape == (64,) and (found.hidden > 0).all()
        assert found.pooled.shape == ((64,) if anatomy.has_pooled else (0,))


@pytest.mark.parametrize(
    ("task", "head", "labels", "fields"),
    [
        ("multi_label", "SequenceClassification", list(np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 0.0]])), {}),
        ("regression", "SequenceClassification", [0.5, 2.0, -1.0], {"num_labels": 1}),
        ("question_answering", "QuestionAnswering", list(np.array([[1, 3], [0, 0], [2, 2]])), {}),
    ],
)
def test_every_task_weighs_by_its_own_loss(task, head, labels, fields):
    model, anatomy = parts.make("bert", head, layers=2, **fields)
    data = rows()
    for feature, label in zip(data.encoded.features, labels, strict=True):
        feature["labels"] = label
    found = measure_importance(model, anatomy, data, task)
    narrow = model.double().bert.encoder.layer[0].output.dense.weight
    # ``transformers`` takes the mean over the labels of a text where ours is their sum.
    summed = len(labels[0]) if task == "multi_label" else 1
    expected = summed * gate_derivatives(model, scaler(narrow[:, 5]), labels)
    assert found.neurons[0, 5].item() == pytest.approx(expected, rel=1e-3, abs=1e-6)


def test_importance_does_not_depend_on_the_batches_and_leaves_the_model_alone(monkeypatch):
    model, anatomy = parts.make("distilbert")
    before = parts.logits(model)
    together = measure_importance(model, anatomy, rows(), "classification")
    monkeypatch.setattr(prediction, "TOKENS_PER_BATCH", 6)
    alone = measure_importance(model, anatomy, rows(), "classification")
    for one, other in zip(vars(together).values(), vars(alone).values(), strict=True):
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-6)
    assert torch.equal(parts.logits(model), before)
    assert all(weight.requires_grad and weight.grad is None for weight in model.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_importance_is_read_as_it_was_written(tmp_path):
    _, anatomy = parts.make("bert", "TokenClassification")
    importance = parts.random_importance(anatomy)
    importance.save(tmp_path / "importance.safetensors")
    again = Importance.load(tmp_path / "importance.safetensors")
    assert all(torch.equal(value, getattr(again, name)) for name, value in vars(importance).items())
    assert [path.name for path in tmp_path.iterdir()] == ["importance.safetensors"]
