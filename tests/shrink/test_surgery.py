import copy

import parts
import pytest
import torch
import transformers

import tiny
from pocketbert.measure.results import Shape
from pocketbert.shrink.importance import Importance
from pocketbert.shrink.surgery import Picks, choose_parts, cut_model, importance_kept

NARROWING = [family for family in tiny.FAMILIES if family != "squeezebert"]
TOLERANCE = 1e-5


def cut(model, anatomy, importance, **sizes):
    shape = anatomy.shape.model_copy(update=sizes)
    return cut_model(model, anatomy, choose_parts(importance, anatomy, shape))


@pytest.mark.parametrize("head", parts.HEADS)
@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_neurons_that_give_nothing_are_not_missed(family, head):
    model, anatomy = parts.make(family, head)
    importance = parts.random_importance(anatomy)
    parts.silence_neurons(model, anatomy, importance, 40)
    small = cut(model, anatomy, importance, feed_forward=40)
    assert torch.allclose(parts.logits(small), parts.logits(model), atol=TOLERANCE)
    other = cut(model, anatomy, parts.random_importance(anatomy, 1), feed_forward=40)
    assert not torch.allclose(parts.logits(other), parts.logits(model), atol=100 * TOLERANCE)


@pytest.mark.parametrize("family", [family for family in tiny.FAMILIES if family != "albert"])
def test_a_layer_that_gives_what_it_gets_is_not_missed(family):
    model, anatomy = parts.make(family)
    parts.silence_layer(model, anatomy, 1)
    importance = parts.random_importance(anatomy)
    importance.layers[:] = torch.tensor([0.2, 0.1, 0.3])
    small = cut(model, anatomy, importance, layers=2)
    assert torch.allclose(parts.logits(small), parts.logits(model), atol=TOLERANCE)
    importance.layers[:] = torch.tensor([0.2, 0.3, 0.1])
    other = cut(model, anatomy, importance, layers=2)
    assert not torch.allclose(parts.logits(other), parts.logits(model), atol=100 * TOLERANCE)


def test_shared_layers_are_run_fewer_times():
    model, anatomy = parts.make("albert", layers=4)
    small = cut(model, anatomy, parts.random_importance(anatomy), layers=3)
    model.config.num_hidden_layers = 3
    assert torch.equal(parts.logits(small), parts.logits(model))


@pytest.mark.parametrize("head", parts.HEADS)
@pytest.mark.parametrize("family", NARROWING)
def test_width_and_heads_that_nobody_reads_are_not_missed(family, head):
    model, anatomy = parts.make(family, head)
    order = torch.randperm(64, generator=torch.Generator().manual_seed(0))
    kept, dropped = order[:32].sort().values, order[32:].sort().values
    heads = torch.tensor([1, 2])
    parts.silence_width(model, kept, dropped, heads)
    blocks = len(anatomy.blocks)
    neurons = torch.arange(anatomy.shape.feed_forward).expand(blocks, -1)
    picks = Picks(torch.arange(3), heads.expand(blocks, -1), neurons, kept, kept)
    small = cut_model(model, anatomy, picks)
    assert small.config.hidden_size == 32 and small.config.num_attention_heads == 2
    assert torch.allclose(parts.logits(small), parts.logits(model), atol=TOLERANCE)
    wrong = Picks(torch.arange(3), torch.tensor([[0, 2]]).expand(blocks, -1), neurons, kept, kept)
    assert not torch.allclose(parts.logits(cut_model(model, anatomy, wrong)), parts.logits(model), atol=100 * TOLERANCE)


@pytest.mark.parametrize("head", parts.HEADS)
@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_the_result_is_a_stock_checkpoint_of_the_asked_sizes(tmp_path, family, head):
    model, anatomy = parts.make(family, head)
    before = copy.deepcopy(model.state_dict())
    heads = 4 if family == "squeezebert" else 2
    shape = Shape(layers=2, heads=heads, feed_forward=56, hidden=16 * heads)
    small = cut_model(model, anatomy, choose_parts(parts.random_importance(anatomy), anatomy, shape))
    small.save_pretrained(tmp_path)
    auto = getattr(transformers, f"AutoModelFor{head}")
    loaded, report = auto.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(report.values())
    config = transformers.AutoConfig.from_pretrained(tmp_path)
    neurons = config.hidden_dim if family == "distilbert" else config.intermediate_size
    assert (config.num_hidden_layers, config.num_attention_heads) == (2, heads)
    assert (config.hidden_size, neurons) == (16 * heads, 56)
    assert torch.allclose(parts.logits(loaded), parts.logits(small), atol=1e-6)
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())


def test_each_layer_keeps_its_own_best():
    _, anatomy = parts.make("bert", layers=2)
    importance = parts.random_importance(anatomy)
    importance.heads[:] = torch.tensor([[4.0, 1.0, 3.0, 2.0], [1.0, 2.0, 3.0, 4.0]])
    importance.neurons.zero_()
    importance.neurons[0, 100:108] = 1
    importance.neurons[1, 3:11] = 1
    picks = choose_parts(importance, anatomy, Shape(layers=2, heads=2, feed_forward=8, hidden=32))
    assert picks.heads.tolist() == [[0, 2], [2, 3]]
    assert picks.neurons.tolist() == [list(range(100, 108)), list(range(3, 11))]
    assert picks.hidden.tolist() == sorted(importance.hidden.topk(32).indices.tolist())


def test_of_equal_parts_the_first_stay():
    _, anatomy = parts.make("bert", layers=3)
    importance = parts.random_importance(anatomy)
    importance.layers.fill_(1)
    assert choose_parts(importance, anatomy, anatomy.shape.model_copy(update={"layers": 2})).layers.tolist() == [0, 1]


def test_importance_kept_is_the_product_of_the_shares():
    _, anatomy = parts.make("bert", layers=2)
    importance = Importance(
        layers=torch.tensor([3.0, 1.0]),
        heads=torch.tensor([[1.0, 1.0, 1.0, 7.0], [100.0, 0.0, 0.0, 0.0]]),
        neurons=torch.ones(2, 128),
        hidden=torch.ones(64),
        pooled=torch.ones(64),
    )
    shape = Shape(layers=1, heads=2, feed_forward=32, hidden=32)
    kept = importance_kept(importance, anatomy, choose_parts(importance, anatomy, shape))
    assert kept == pytest.approx(3 / 4 * 8 / 10 * 1 / 4 * 1 / 2)
    assert importance_kept(importance, anatomy, choose_parts(importance, anatomy, anatomy.shape)) == 1
