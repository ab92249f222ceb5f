"""Heads that look at chosen positions only."""

import pytest
import torch

import tiny
from pocketbert.distill.places import find_places
from pocketbert.models.inside import Inside
from pocketbert.models.projection import Projection, accepted_inputs, model_inputs

FAMILIES = pytest.mark.parametrize("family", tiny.FAMILIES)


def batch(family):
    tokenizer = tiny.make_tokenizer(family)
    encoded = tokenizer(["the cat saw a dog", "grey"], ["near the barn", "park"], padding=True, return_tensors="pt")
    return tokenizer, dict(encoded)


@FAMILIES
def test_logits_of_chosen_positions_are_those_of_the_full_head(family):
    tokenizer, inputs = batch(family)
    model = tiny.make_model(family, "MaskedLM", tokenizer)
    positions = torch.zeros_like(inputs["input_ids"], dtype=torch.bool)
    positions[0, 1] = positions[0, 4] = positions[1, 2] = True
    inputs = model_inputs(inputs, accepted_inputs(model))
    full = model(**inputs, output_hidden_states=True)
    last = model.config.num_hidden_layers - 1
    outputs = Projection(model, Inside(states=frozenset({last}))).choose(inputs, find_places(positions))
    assert outputs.logits.decode().shape == (3, len(tokenizer))
    assert torch.allclose(outputs.logits.decode(), full.logits[positions], atol=1e-5)
    assert torch.allclose(outputs.inside.states[last], full.hidden_states[-1], atol=1e-6)


@FAMILIES
def test_one_and_no_position(family):
    tokenizer, inputs = batch(family)
    model = tiny.make_model(family, "MaskedLM", tokenizer)
    positions = torch.zeros_like(inputs["input_ids"], dtype=torch.bool)
    inputs = model_inputs(inputs, accepted_inputs(model))
    projection = Projection(model)
    assert projection.choose(inputs, find_places(positions)).logits.decode().shape == (0, len(tokenizer))
    positions[1, 1] = True
    assert projection.choose(inputs, find_places(positions)).logits.decode().shape == (1, len(tokenizer))


@FAMILIES
def test_without_positions_the_model_answers_as_ever_before_and_after(family):
    tokenizer, inputs = batch(family)
    model = tiny.make_model(family, "MaskedLM", tokenizer)
    inputs = model_inputs(inputs, accepted_inputs(model))
    before = model(**inputs).logits
    projection = Projection(model)
    projection.choose(inputs, find_places(inputs["attention_mask"]))
    assert torch.equal(projection(inputs).logits, before)
    assert torch.equal(model(**inputs).logits, before)


def test_the_hook_is_gone_after_an_error():
    model = tiny.make_model("bert", "MaskedLM", tiny.make_tokenizer("bert"))
    with pytest.raises(IndexError):
        Projection(model)({"input_ids": torch.tensor([[10_000]])})
    assert not model.base_model._forward_hooks


def test_question_answering_stacks_start_and_end():
    tokenizer, inputs = batch("bert")
    model = tiny.make_model("bert", "QuestionAnswering", tokenizer)
    full = model(**inputs)
    logits = Projection(model)(inputs).logits
    assert torch.equal(logits[..., 0], full.start_logits) and torch.equal(logits[..., 1], full.end_logits)


@pytest.mark.parametrize(("family", "types"), [(family, family not in ("distilbert",)) for family in tiny.FAMILIES])
def test_inputs_are_those_that_forward_names(family, types):
    model = tiny.make_model(family, "MaskedLM", tiny.make_tokenizer(family))
    assert ("token_type_ids" in accepted_inputs(model)) is types
    assert {"input_ids", "attention_mask"} <= accepted_inputs(model)
