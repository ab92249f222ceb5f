"""Looking into models: against what stock code gives when it is asked for everything."""

import math

import pytest
import torch

import tiny
from pocketbert.errors import ModelError
from pocketbert.models.inside import EMBEDDINGS, Inside
from pocketbert.models.projection import Projection, accepted_inputs, model_inputs

FAMILIES = pytest.mark.parametrize("family", tiny.FAMILIES)
LAYERS = 3


def make(family):
    tokenizer = tiny.make_tokenizer(family)
    model = tiny.make_model(family, "MaskedLM", tokenizer, layers=LAYERS)
    inputs = dict(tokenizer(["the cat saw a dog", "grey"], padding=True, return_tensors="pt"))
    return model, model_inputs(inputs, accepted_inputs(model))


@FAMILIES
def test_states_and_attention_are_those_of_the_model(family):
    model, inputs = make(family)
    model.set_attn_implementation("eager")
    full = model(**inputs, output_hidden_states=True, output_attentions=True)
    wanted = Inside(states=frozenset(range(EMBEDDINGS, LAYERS)), attention=frozenset(range(LAYERS)))
    inside = Projection(model, wanted)(inputs).inside
    for layer in wanted.states:
        assert torch.equal(inside.states[layer], full.hidden_states[layer + 1])
    heads, real = model.config.num_attention_heads, inputs["attention_mask"].bool()
    for layer in wanted.attention:
        queries, keys = (
            part.unflatten(-1, (heads, -1)).transpose(1, 2)
            for part in (inside.attention[layer].queries, inside.attention[layer].keys)
        )
        scores = queries @ keys.mT / math.sqrt(queries.shape[-1])
        maps = scores.masked_fill(~real[:, None, None, :], -math.inf).softmax(dim=-1)
        # What SqueezeBERT gives for attentions are its scores.
        theirs = full.attentions[layer].softmax(dim=-1) if family == "squeezebert" else full.attentions[layer]
        assert torch.allclose(maps, theirs, atol=1e-5)


@FAMILIES
def test_a_look_ends_where_all_is_seen(family):
    model, inputs = make(family)
    full = Projection(model, Inside(frozenset({0, 2}), frozenset({1})))(inputs).inside
    ran = []
    head = [module for name, module in model.named_modules() if name and not name.startswith(model.base_model_prefix)]
    for module in head:
        module.register_forward_hook(lambda *_: ran.append("head"))
    seen = Projection(model, Inside(frozenset({0}), frozenset({1}))).look(inputs)
    assert set(seen.states) == {0} and set(seen.attention) == {1} and not ran
    assert torch.equal(seen.states[0], full.states[0])
    assert torch.equal(seen.attention[1].values, full.attention[1].values)
    # The last states are seen only at the end.
    assert torch.equal(Projection(model, Inside(frozenset({2}))).look(inputs).states[2], full.states[2])
    assert not any(module._forward_hooks for module in model.base_model.modules())


def test_a_look_runs_no_layer_too_many():
    model, inputs = make("bert")
    ran = []
    for number, layer in enumerate(model.bert.encoder.layer):
        layer.output.register_forward_hook(lambda *_, number=number: ran.append(number))
    Projection(model, Inside(attention=frozenset({1}))).look(inputs)
    assert ran == [0]


@pytest.mark.parametrize("field", ["num_hidden_groups", "inner_group_num"])
def test_an_albert_of_several_groups_is_refused_but_for_its_last_states(field):
    model = tiny.make_model("albert", "MaskedLM", tiny.make_tokenizer("albert"), layers=4, **{field: 2})
    with pytest.raises(ModelError, match="an ALBERT whose layers do not all share one set of weights"):
        Projection(model, Inside(states=frozenset({0})))
    assert Projection(model, Inside(states=frozenset({3})))


def test_a_family_without_known_names_is_refused_but_for_its_last_states():
    model, inputs = make("bert")
    model.config.model_type = "mpnet"
    with pytest.raises(ModelError, match="a mpnet model cannot be looked into; losses that compare layers need one of"):
        Projection(model, Inside(states=frozenset({0})))
    assert Projection(model, Inside(states=frozenset({LAYERS - 1}))).look(inputs).states[LAYERS - 1].shape[0] == 2
