"""A BERT from nothing."""

import pytest
import torch

import tiny
from pocketbert.models.loading import load_tokenizer
from pocketbert.models.scratch import build_bert


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return load_tokenizer(str(tiny.make_checkpoint(tmp_path_factory.mktemp("scratch"))))


def build(tokenizer, **changes):
    shape = {"layers": 2, "hidden_size": 128, "heads": 4, "feed_forward": None, "positions": 64, "seed": 3}
    return build_bert(tokenizer, **(shape | changes))


def looked_at(model, length=40):
    """Attention of the first layer over random tokens, ``(heads, length, length)``."""
    ids = torch.randint(5, model.config.vocab_size, (1, length), generator=torch.Generator().manual_seed(1))
    model.set_attn_implementation("eager")
    return model(ids, output_attentions=True).attentions[0][0].detach()


@pytest.mark.parametrize(("hidden_size", "heads"), [(128, 4), (256, 8), (768, 12)])
def test_heads_of_the_first_layer_look_at_the_neighbours(tokenizer, hidden_size, heads):
    attention = looked_at(build(tokenizer, hidden_size=hidden_size, heads=heads))
    # Tokens at the edges have no neighbour on one side.
    inner = torch.arange(8, 32)
    for head, offset in zip(attention, (-1, 1, -2, 2, -3, 3), strict=False):
        # A token is like itself, so each head looks at its own too; of the others, at the one it is meant for.
        by_distance = {step: head[inner, inner + step].mean().item() for step in range(-8, 9) if step}
        assert max(by_distance, key=by_distance.get) == offset
        assert by_distance[offset] > 0.25


def test_further_heads_look_nowhere_in_particular(tokenizer):
    attention = looked_at(build(tokenizer, hidden_size=256, heads=8))
    assert attention[6:].amax() < 0.3 and attention[:6].amax() > 0.9


@pytest.mark.parametrize(("hidden_size", "heads"), [(32, 4), (15, 5), (30, 2), (4, 4)])
def test_any_width_that_heads_can_share_will_do(tokenizer, hidden_size, heads):
    model = build(tokenizer, hidden_size=hidden_size, heads=heads)
    logits = model(torch.arange(5, 15)[None]).logits
    assert logits.shape == (1, 10, len(tokenizer)) and logits.isfinite().all()


def test_first_weights_keep_the_scale_of_bert(tokenizer):
    for hidden_size, deviation in ((768, 0.02), (192, 0.04)):
        model = build(tokenizer, hidden_size=hidden_size, heads=4)
        words = model.bert.embeddings.word_embeddings.weight[5:]
        assert words.std().item() == pytest.approx(deviation, rel=0.05)


def test_the_seed_decides_all_weights(tokenizer):
    one, same, other = (build(tokenizer, seed=seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(one[name], same[name]) for name in one)
    query = "bert.encoder.layer.0.attention.self.query.weight"
    assert not torch.equal(one[query], other[query])
