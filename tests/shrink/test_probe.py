import parts
import pytest
import torch

from pocketbert.distill.datasets import EncodedRows
from pocketbert.measure.results import Candidate
from pocketbert.shrink import probe as module
from pocketbert.shrink.probe import Probe
from pocketbert.shrink.surgery import choose_parts, cut_model
from pocketbert.tasks.base import Encoded

SMALL = {"layers": 2, "feed_forward": 64}


@pytest.fixture
def made(monkeypatch):
    monkeypatch.setattr(module, "SECONDS", 0.05)
    model, anatomy = parts.make("bert")
    importance = parts.random_importance(anatomy)
    batch = parts.inputs()
    features = [
        {"input_ids": ids[mask.bool()].tolist(), "attention_mask": [1] * int(mask.sum()), "labels": 0}
        for ids, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True)
    ]
    rows = EncodedRows(Encoded(features, [], [0, 1]), 0)
    return model, anatomy, importance, Probe(model, anatomy, importance, rows, "classification", 20)


def test_a_change_is_the_divergence_of_the_answers(made):
    model, anatomy, importance, probe = made
    shape = anatomy.shape.model_copy(update=SMALL)
    small = cut_model(model, anatomy, choose_parts(importance, anatomy, shape))
    before, after = parts.logits(model).double().softmax(dim=1), parts.logits(small).double().softmax(dim=1)
    expected = (before * (before / after).log()).sum(dim=1).mean().item()
    assert expected > 0.01
    assert probe.change(shape) == pytest.approx(expected, rel=1e-3)
    assert probe.change(anatomy.shape) == pytest.approx(0, abs=1e-6)


def test_a_candidate_is_measured(made):
    _, anatomy, _, probe = made
    shape = anatomy.shape.model_copy(update=SMALL)
    parameters, size = anatomy.count(shape)
    found = probe.examine(Candidate(shape=shape, parameters=parameters, bytes=size, change=99.0))
    assert found.change == probe.change(shape) and 0 < found.importance < 1
    assert found.latency_ms > 0 and found.faster.low <= found.faster.median <= found.faster.high
    assert torch.is_grad_enabled()
