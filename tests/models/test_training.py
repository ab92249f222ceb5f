"""How a model is set up to train: the same answers, and the model directory does not know."""

import json

import pytest
import torch

import tiny
from pocketbert.models import training
from pocketbert.models.projection import accepted_inputs, model_inputs
from pocketbert.models.training import choose_attention


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_answers_stay_the_same_and_so_does_what_is_saved(tmp_path, family):
    tokenizer = tiny.make_tokenizer(family)
    model = tiny.make_model(family, "MaskedLM", tokenizer)
    batch = dict(tokenizer(["the cat saw a dog", "grey"], padding=True, return_tensors="pt"))
    inputs = model_inputs(batch, accepted_inputs(model))
    before = model(**inputs).logits
    model.save_pretrained(tmp_path / "before")
    choose_attention(model, torch.device("cpu"), learns=True)
    assert model.config._attn_implementation == "eager"
    assert torch.allclose(model(**inputs).logits, before, atol=1e-5)
    model.save_pretrained(tmp_path / "after")
    first, second = (json.loads((tmp_path / name / "config.json").read_text()) for name in ("before", "after"))
    assert first == second


@pytest.mark.parametrize(
    ("family", "device", "learns", "amx", "expected"),
    [
        ("bert", "cuda", True, False, "sdpa"),
        ("bert", "cuda", False, True, "sdpa"),
        ("bert", "cpu", True, True, "eager"),
        ("bert", "cpu", False, False, "eager"),
        ("bert", "cpu", False, True, "sdpa"),
        ("squeezebert", "cpu", False, True, "eager"),
    ],
)
def test_the_fastest_attention_of_each_device(family, device, learns, amx, expected, monkeypatch):
    monkeypatch.setattr(training, "has_amx", lambda: amx)
    model = tiny.make_model(family, "MaskedLM", tiny.make_tokenizer(family))
    choose_attention(model, torch.device(device), learns)
    assert model.config._attn_implementation == expected
