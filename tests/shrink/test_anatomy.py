import copy

import parts
import pytest
import transformers
from safetensors import safe_open

import tiny
from pocketbert.errors import ModelError
from pocketbert.measure.results import Shape
from pocketbert.shrink.anatomy import Anatomy


def stock(model, family, shape):
    """A model of stock code in a shape, from a configuration written by hand."""
    config = copy.deepcopy(model.config)
    names = {"layers": "num_hidden_layers", "heads": "num_attention_heads", "hidden": "hidden_size"}
    for size, name in names.items():
        setattr(config, name, getattr(shape, size))
    setattr(config, "hidden_dim" if family == "distilbert" else "intermediate_size", shape.feed_forward)
    if family == "squeezebert":
        config.embedding_size = shape.hidden
    return type(model)(config)


@pytest.mark.parametrize("head", parts.HEADS)
@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_bytes_and_parameters_are_those_of_the_saved_file(tmp_path, family, head):
    model, anatomy = parts.make(family, head)
    heads = 4 if family == "squeezebert" else 3
    for shape in (anatomy.shape, Shape(layers=2, heads=heads, feed_forward=40, hidden=16 * heads)):
        made = stock(model, family, shape)
        made.save_pretrained(tmp_path)
        file = tmp_path / "model.safetensors"
        parameters = sum(weight.numel() for weight in made.parameters())
        assert anatomy.count(shape) == (parameters, file.stat().st_size)
        with safe_open(file, "pt") as saved:
            assert anatomy.weights(shape) == {name: tuple(saved.get_tensor(name).shape) for name in saved.keys()}  # noqa: SIM118


@pytest.mark.parametrize(
    ("family", "blocks", "heads"),
    [("bert", 3, [1, 2, 3, 4]), ("roberta", 3, [1, 2, 3, 4]), ("albert", 1, [1, 2, 3, 4]), ("electra", 3, [2, 3, 4]),
     ("distilbert", 3, [1, 2, 3, 4]), ("squeezebert", 3, [4])],
)  # fmt: skip
def test_each_family_has_its_layers(family, blocks, heads):
    _, anatomy = parts.make(family)
    assert anatomy.shape == Shape(layers=3, heads=4, feed_forward=128, hidden=64)
    assert (len(anatomy.blocks), anatomy.unit, anatomy.possible_heads()) == (blocks, 8, heads)


def test_an_electra_cannot_be_as_wide_as_its_embeddings():
    model, _ = parts.make("electra")
    model.config.embedding_size = 48
    anatomy = Anatomy(type(model)(model.config), "m")  # heads of 16
    assert anatomy.possible_heads() == [1, 2, 4]
    assert anatomy.configure(anatomy.shape.model_copy(update={"heads": 2, "hidden": 32})).embedding_size == 48


def test_an_electra_without_a_projection_narrows_its_embeddings_too():
    model, _ = parts.make("electra")
    model.config.embedding_size = 64
    anatomy = Anatomy(type(model)(model.config), "m")
    assert anatomy.possible_heads() == [1, 2, 3, 4]
    assert anatomy.configure(anatomy.shape.model_copy(update={"heads": 2, "hidden": 32})).embedding_size == 32


def test_operations_grow_with_each_size():
    for family in ("bert", "albert"):
        _, anatomy = parts.make(family)
        whole = anatomy.operations(anatomy.shape, 10)
        smaller = ({"layers": 2}, {"heads": 2, "hidden": 32}, {"feed_forward": 64})
        assert all(anatomy.operations(anatomy.shape.model_copy(update=sizes), 10) < whole for sizes in smaller)
    # 3 layers of 4 × 64² + 2 × 64 × 128 weights, each used once a token, and two products of 10 × 64 a token.
    assert whole == 10 * (3 * (4 * 64**2 + 2 * 64 * 128) + 2 * 3 * 10 * 64)


def test_what_cannot_be_pruned_is_said():
    config = transformers.MobileBertConfig(num_hidden_layers=1, hidden_size=32, vocab_size=30)
    with pytest.raises(ModelError, match="m: a mobilebert model cannot be pruned; it has to be one of bert, roberta"):
        Anatomy(transformers.MobileBertForSequenceClassification(config), "m")
    with pytest.raises(ModelError, match=r"m: has weights cls\.predictions, which PocketBERT does not know"):
        Anatomy(tiny.make_model("bert", "MaskedLM", tiny.make_tokenizer("bert")), "m")
    with pytest.raises(ModelError, match="m: its layers share several groups of weights"):
        tokenizer = tiny.make_tokenizer("albert")
        Anatomy(tiny.make_model("albert", "SequenceClassification", tokenizer, num_hidden_groups=2), "m")
