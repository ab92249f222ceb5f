"""Running models over rows, and the blocks they run on."""

import golden
import jobs
import numpy as np
import pytest
import torch

import tiny
from pocketbert.data.corpus import build_corpus
from pocketbert.data.order import Position
from pocketbert.data.records import IGNORED
from pocketbert.distill import prediction
from pocketbert.distill.datasets import ROWS, EncodedRows, MaskedBlocks
from pocketbert.distill.places import find_places
from pocketbert.distill.prediction import masked_lm_loss, run_model
from pocketbert.distill.signals import Needs, OnlineSignals
from pocketbert.distill.texts import prepare_texts
from pocketbert.models.describing import HEADS
from pocketbert.models.inside import EMBEDDINGS, Inside
from pocketbert.models.projection import accepted_inputs, model_inputs
from pocketbert.recipe import Masking, PretrainStage
from pocketbert.tasks.base import Encoded, Example

TOKENIZER = tiny.make_tokenizer("bert")
TEXTS = ["the cat", "a dog saw the very grey horse near the barn", "it was cold", "lovely"]


def features():
    return [dict(TOKENIZER(text)) for text in TEXTS]


@pytest.fixture
def blocks(tmp_path):
    text = tiny.write_text(tmp_path / "text.txt", 40)
    options = PretrainStage(corpus=[str(text)], block=16, seed=5)
    return prepare_texts(options, TOKENIZER, tmp_path / "corpora", jobs.QUIET)


@pytest.mark.parametrize("task", ["classification", "token_classification", "question_answering"])
@pytest.mark.parametrize("family", ["bert", "distilbert"])
def test_rows_in_batches_get_the_answers_they_get_alone(monkeypatch, family, task):
    monkeypatch.setattr(prediction, "TOKENS_PER_BATCH", 20)
    head = HEADS[task]
    model = tiny.make_model(family, head, TOKENIZER)
    for row, found in zip(features(), run_model(model, task, features(), TOKENIZER.pad_token_id), strict=True):
        inputs = model_inputs({name: torch.tensor([value]) for name, value in row.items()}, accepted_inputs(model))
        output = model(**inputs)
        if head == "QuestionAnswering":
            alone = torch.stack([output.start_logits[0], output.end_logits[0]], dim=-1)
        else:
            alone = output.logits[0]
        assert found == pytest.approx(alone.detach().numpy(), abs=1e-5)


def test_no_row_gives_no_answer():
    assert run_model(tiny.make_model("bert", "MaskedLM", TOKENIZER), "masked_lm", [], 0) == []


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_the_masked_lm_loss_is_the_mean_over_masked_tokens(blocks, batch_size):
    model = tiny.make_model("bert", "MaskedLM", TOKENIZER)
    logits, labels = [], []
    for row in range(len(blocks.validation)):
        sample = blocks.validation[Position(0, row)]
        full = model(input_ids=torch.from_numpy(sample["input_ids"][None])).logits[0].detach().numpy()
        counted = sample["labels"] != IGNORED
        logits.extend(full[counted].astype(float))
        labels.extend(sample["labels"][counted])
    expected = golden.cross_entropy(np.array(logits), np.array(labels))
    assert masked_lm_loss(model, blocks.validation, batch_size) == pytest.approx(expected, rel=1e-5)


def test_a_model_in_training_is_measured_without_dropout_and_goes_back_to_it(blocks):
    model = tiny.make_model("bert", "MaskedLM", TOKENIZER, hidden_dropout_prob=0.5)
    expected = masked_lm_loss(model, blocks.validation, 8)
    assert not model.training
    model.train()
    assert [masked_lm_loss(model, blocks.validation, 8) for _ in range(2)] == [expected] * 2
    assert all(module.training for module in model.modules())
    logits = run_model(model, "masked_lm", features(), TOKENIZER.pad_token_id)
    assert model.training
    later = run_model(model.eval(), "masked_lm", features(), TOKENIZER.pad_token_id)
    assert all((found == again).all() for found, again in zip(logits, later, strict=True))


def test_held_out_blocks_are_the_last_ones_and_never_trained_on(blocks):
    train, check = blocks.train.samples, blocks.validation.samples
    assert len(check) == max(1, round((len(train) + len(check)) * 0.02))
    assert list(train) + list(check) == list(range(len(train) + len(check)))


def test_masks_change_with_the_epoch_and_rows_are_numbered(blocks):
    def labels(epoch):
        return np.stack([blocks.train[Position(epoch, row)]["labels"] for row in range(10)])

    assert (labels(0) == labels(0)).all() and (labels(0) != labels(1)).any()
    batch = blocks.train.collate([blocks.train[Position(0, 3)], blocks.train[Position(1, 3)]])
    assert batch["input_ids"].shape == (2, 16) and batch[ROWS].tolist() == [3, 3]
    assert blocks.train.describe([3]) == f"blocks 3 of {blocks.train.corpus.folder}"


def test_a_block_has_its_place_in_the_corpus_as_its_seed(tmp_path):
    """Held-out blocks are masked by their number in the corpus, whatever was held out before them."""
    corpus = build_corpus([" ".join(tiny.OTHER)] * 40, TOKENIZER, tmp_path, "key")
    whole = MaskedBlocks(corpus, TOKENIZER, Masking(), 16, 0)
    part = MaskedBlocks(corpus, TOKENIZER, Masking(), 16, 0, range(5, 9))
    assert (part[Position(2, 1)]["labels"] == whole[Position(2, 6)]["labels"]).all()


def test_rows_are_padded_and_described_by_file():
    rows = features()
    examples = [Example(text, None, 0, f"train.csv row {row}") for row, text in enumerate(TEXTS, start=1)]
    data = EncodedRows(Encoded([{**row, "labels": 1} for row in rows], examples, [0, 1, 2, 3]), TOKENIZER.pad_token_id)
    batch = data.collate([data[Position(0, 1)], data[Position(0, 3)]])
    assert batch["input_ids"].shape[1] == len(rows[1]["input_ids"]) and batch[ROWS].tolist() == [1, 3]
    assert batch["attention_mask"].sum(dim=1).tolist() == [len(rows[1]["input_ids"]), len(rows[3]["input_ids"])]
    assert "attention_mask" not in data.collate([data[Position(0, 3)], data[Position(0, 3)]])
    assert data.describe([0, 2]) == "train.csv row 1; train.csv row 3"
    assert data.lengths.tolist() == [len(row["input_ids"]) for row in rows]


@pytest.mark.parametrize("head", ["SequenceClassification", "TokenClassification", "QuestionAnswering"])
@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_rows_without_padding_need_no_mask(family, head):
    """So that it may be left out: bit for bit, with dropout."""
    model = tiny.make_model(family, head, tiny.make_tokenizer(family)).train()
    ids = torch.arange(36).reshape(4, 9) + 5
    found = []
    for mask in ({}, {"attention_mask": torch.ones_like(ids)}):
        torch.manual_seed(0)
        model.zero_grad()
        logits = model(input_ids=ids, **mask)[0]
        logits.square().sum().backward()
        found.append([logits, *(weight.grad for weight in model.parameters() if weight.grad is not None)])
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


INSIDE = Inside(states=frozenset({EMBEDDINGS, 1}), attention=frozenset({0}))


@pytest.mark.parametrize("needs", [Needs(logits=True), Needs(inside=INSIDE), Needs(logits=True, inside=INSIDE)])
@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_signals_are_what_the_teacher_says_in_evaluation(family, needs):
    tokenizer = tiny.make_tokenizer(family)
    teacher = tiny.make_model(family, "MaskedLM", tokenizer)
    batch = dict(tokenizer(TEXTS, padding=True, return_tensors="pt"))
    positions = batch["attention_mask"].bool()
    full = teacher(**model_inputs(batch, accepted_inputs(teacher)), output_hidden_states=True)
    said = OnlineSignals(teacher.train(), needs, torch.device("cpu"), torch.float32)(batch, find_places(positions))
    assert (said.logits is not None) is needs.logits and set(said.inside.states) == needs.inside.states
    if needs.logits:
        assert torch.allclose(said.logits.decode(), full.logits[positions], atol=1e-5)
        assert not said.logits.features.requires_grad
    for layer, states in said.inside.states.items():
        assert torch.allclose(states, full.hidden_states[layer + 1], atol=1e-5)
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
