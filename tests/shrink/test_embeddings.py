"""Smaller tables: the same answers for the pieces that stay, in every family and under every head."""

import copy

import numpy as np
import pytest
import torch
import transformers

import tiny
from pocketbert.errors import ModelError
from pocketbert.shrink.embeddings import check_width, cut_rows, factorise

HEADS = ("MaskedLM", "SequenceClassification", "TokenClassification", "QuestionAnswering", "PreTraining")


def answers(model, ids):
    """All that a model says about some ids, special ones around them."""
    with torch.no_grad():
        output = model.eval()(input_ids=ids, attention_mask=torch.ones_like(ids))
    return [value for name, value in output.items() if isinstance(value, torch.Tensor)]


def make(family, head, **fields):
    tokenizer = tiny.make_tokenizer(family)
    if head == "PreTraining" and family in ("distilbert", "squeezebert", "roberta"):
        head = "MaskedLM"
    return tiny.make_model(family, head, tokenizer, **fields), tokenizer


def every_third(tokenizer):
    kept = sorted({*range(6), *range(6, len(tokenizer), 3)})
    return {old: new for new, old in enumerate(kept)}


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_the_pieces_that_stay_are_answered_as_before(tmp_path, family, head, tied):
    model, tokenizer = make(family, head, tie_word_embeddings=tied)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter)  # zeros would be the same in any order
    numbers = every_third(tokenizer)
    small = cut_rows(model, numbers)
    small.save_pretrained(tmp_path)
    loaded, report = type(model).from_pretrained(tmp_path, output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"] and not report["mismatched_keys"]
    assert loaded.config.vocab_size == len(numbers) == loaded.get_input_embeddings().weight.shape[0]
    old = torch.tensor([list(numbers)[-12:]])
    new = torch.tensor([[numbers[number] for number in old[0].tolist()]])
    for before, after in zip(answers(model, old), answers(loaded, new), strict=True):
        if before.shape[-1] == len(tokenizer):
            before = before[..., list(numbers)]
        assert before.shape == after.shape
        assert (before - after).abs().max() < 1e-6


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_the_plain_encoder_is_cut_as_well(family):
    tokenizer = tiny.make_tokenizer(family)
    model = transformers.AutoModel.from_config(tiny.make_config(family, tokenizer)).eval()
    numbers = every_third(tokenizer)
    small = cut_rows(model, numbers)
    old = torch.tensor([[6, 9, 12]])
    new = torch.tensor([[numbers[6], numbers[9], numbers[12]]])
    assert (answers(model, old)[0] - answers(small, new)[0]).abs().max() < 1e-6


def test_ids_in_the_configuration_are_changed_too():
    model, _ = make("bert", "SequenceClassification")
    model.config.pad_token_id, model.config.bos_token_id, model.config.eos_token_id = 9, 6, 7
    config = cut_rows(model, {6: 0, 9: 1}).config
    assert (config.bos_token_id, config.eos_token_id, config.pad_token_id, config.vocab_size) == (0, None, 1, 2)
    assert model.config.pad_token_id == 9 and model.config.id2label == config.id2label


def test_rows_beyond_the_tokenizer_go_and_the_precision_stays():
    tokenizer = tiny.make_tokenizer("bert")
    model, _ = make("bert", "MaskedLM")
    model.resize_token_embeddings(len(tokenizer) + 7)
    small = cut_rows(model.half(), {number: number for number in range(len(tokenizer))})
    assert small.get_input_embeddings().weight.shape[0] == len(tokenizer) and small.dtype == torch.float16
    assert small.cls.predictions.bias.shape == (len(tokenizer),)


def low_rank(family, rank, head="SequenceClassification", **fields):
    """A model whose embeddings, centred, lie in a space of few dimensions."""
    model, _ = make(family, head, **fields)
    own = model.base_model.embeddings
    generator = torch.Generator().manual_seed(0)
    wide = model.config.embedding_size
    space = torch.randn(rank, wide, generator=generator)
    with torch.no_grad():
        for table in (own.word_embeddings, own.position_embeddings, own.token_type_embeddings):
            rows = len(table.weight)
            table.weight.copy_(torch.randn(rows, rank, generator=generator) @ space + torch.randn(rows, 1))
        own.LayerNorm.weight.copy_(torch.rand(wide, generator=generator) + 0.5)
        own.LayerNorm.bias.copy_(torch.randn(wide, generator=generator))
    return model


CASES = [("albert", {}), ("electra", {}), ("electra", {"width": 16})]  # the last has no projection of its own


@pytest.mark.parametrize(("family", "fields"), CASES)
def test_embeddings_of_low_rank_are_narrowed_without_loss(family, fields):
    model = low_rank(family, 6, **fields)
    model.config.layer_norm_eps = 1e-12
    small, kept = factorise(model, 7, np.arange(model.config.vocab_size))
    assert kept == pytest.approx(1.0)
    assert small.config.embedding_size == 7 and small.get_input_embeddings().weight.shape[1] == 7
    ids = torch.arange(5, 25).view(2, 10)
    types = torch.tensor([[0] * 4 + [1] * 6] * 2)
    with torch.no_grad():
        before, after = (each(input_ids=ids, token_type_ids=types).logits for each in (model, small))
    assert (before - after).abs().max() < 1e-5
    assert sum(p.numel() for p in small.parameters()) < sum(p.numel() for p in model.parameters())


def test_a_plain_encoder_is_narrowed_and_loads(tmp_path):
    model, tokenizer = make("albert", "SequenceClassification")
    plain = transformers.AlbertModel(model.config).eval()
    small, _ = factorise(plain, 5, np.ones(len(tokenizer)))
    small.save_pretrained(tmp_path)
    loaded, report = transformers.AutoModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not report["missing_keys"] and not report["mismatched_keys"] and loaded.config.embedding_size == 5


def sampled_variance(model, counts, width):
    """The same share from a sample of sums of embeddings, by another routine."""
    own = model.base_model.embeddings
    random_ = np.random.default_rng(0)
    tables = [
        table.weight.detach().double().numpy()
        for table in (own.word_embeddings, own.position_embeddings, own.token_type_embeddings)
    ]
    shares = [(counts + 1) / (counts + 1).sum(), None, None]
    draws = [table[random_.choice(len(table), 40_000, p=share)] for table, share in zip(tables, shares, strict=True)]
    total = sum(draws)
    values = np.linalg.svd(total - total.mean(axis=1, keepdims=True), compute_uv=False) ** 2
    return values[: width - 1].sum() / values.sum()


def test_the_directions_of_frequent_pieces_are_kept():
    model, tokenizer = make("albert", "SequenceClassification")
    counts = np.zeros(len(tokenizer), dtype=np.int64)
    counts[10:20] = 100_000
    small, kept = factorise(model, 9, counts)
    assert kept == pytest.approx(sampled_variance(model, counts, 9), abs=0.01)
    evenly, _ = factorise(model, 9, np.zeros_like(counts))
    frequent, rare = torch.arange(10, 20)[None], torch.arange(30, 40)[None]

    def error(other, ids):
        before, after = (
            each.albert.encoder.embedding_hidden_mapping_in(each.albert.embeddings(ids)) for each in (model, other)
        )
        return (before - after).square().mean()

    assert error(small, frequent) < error(evenly, frequent) and error(small, rare) > error(evenly, rare)


@pytest.mark.parametrize(
    ("family", "head", "width", "message"),
    [
        ("bert", "SequenceClassification", 8, r": a bert model has embeddings as wide.*: albert, electra; leave"),
        ("distilbert", "MaskedLM", 8, ": a distilbert model has embeddings as wide"),
        ("squeezebert", "SequenceClassification", 8, ": a squeezebert model has embeddings as wide"),
        ("albert", "SequenceClassification", 16, " 16 is not below the model's own 16"),
        ("albert", "MaskedLM", 8, ": its masked-LM head has layers of the same width"),
        ("albert", "PreTraining", 8, ": its masked-LM head has layers of the same width"),
        ("electra", "MaskedLM", 8, ": its masked-LM head has layers of the same width"),
    ],
)
def test_what_cannot_be_narrowed_is_refused(family, head, width, message):
    model, _ = make(family, head)
    with pytest.raises(ModelError, match=f"^mine: trim: embedding_size{message}"):
        check_width(model, width, "mine")


def test_electras_discriminator_can_be_narrowed():
    model, _ = make("electra", "PreTraining")
    check_width(model, 8, "mine")
    small, _ = factorise(model, 8, np.ones(model.config.vocab_size))
    assert (
        answers(small, torch.tensor([[5, 6]]))[0].shape
        == answers(copy.deepcopy(model), torch.tensor([[5, 6]]))[0].shape
    )
