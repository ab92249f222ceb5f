"""Losses of attention and of vectors of sequences, against loops over sequences, heads and queries (golden.py)."""

import golden
import numpy as np
import pytest
import torch

from pocketbert.distill import losses

RANDOM = np.random.default_rng(1)
LENGTHS = [5, 3, 1]
BATCH, TOKENS, HEADS = 3, 5, 4
REAL = torch.tensor([[token < length for token in range(TOKENS)] for length in LENGTHS])
STUDENT, TEACHER = (RANDOM.normal(0, 2, (2, BATCH, TOKENS, width)) for width in (8, 24))
"""Queries and keys of two models."""


def tensor(values):
    return torch.from_numpy(values)


def model_scores(vectors, heads=HEADS):
    return losses.attention_scores(tensor(vectors[0]), tensor(vectors[1]), heads)


def over_sequences(of_sequence, heads=HEADS):
    """The mean over all real queries and heads."""
    found = []
    for row, length in enumerate(LENGTHS):
        student, teacher = (golden.scores(*vectors[:, row, :length], heads) for vectors in (STUDENT, TEACHER))
        found += of_sequence(student, teacher)
    return np.mean(found)


def test_scores_are_products_over_the_root_of_a_heads_width():
    scores = model_scores(TEACHER)
    assert scores.dtype == torch.float32
    for row in range(BATCH):
        assert scores[row].numpy() == pytest.approx(np.stack(golden.scores(*TEACHER[:, row], HEADS)), abs=1e-5)


@pytest.mark.parametrize(
    ("loss", "of_sequence"),
    [(losses.attention_score_loss, golden.score_error), (losses.attention_map_loss, golden.map_divergence)],
)
class TestAttention:
    def test_it_is_the_mean_over_real_queries_and_heads(self, loss, of_sequence):
        found = loss(model_scores(STUDENT), model_scores(TEACHER), REAL)
        assert found.item() == pytest.approx(over_sequences(of_sequence), rel=1e-5)

    def test_padding_changes_nothing(self, loss, of_sequence):
        student, teacher = model_scores(STUDENT), model_scores(TEACHER)
        wild = [scores.masked_fill(~(REAL[:, None, :, None] & REAL[:, None, None, :]), 37.0)
                for scores in (student, teacher)]  # fmt: skip
        assert loss(*wild, REAL).item() == pytest.approx(loss(student, teacher, REAL).item(), rel=1e-6)

    def test_parts_with_the_count_of_the_whole_add_up(self, loss, of_sequence):
        student, teacher = model_scores(STUDENT), model_scores(TEACHER)
        parts = [loss(student[part], teacher[part], REAL[part], sum(LENGTHS)) for part in (slice(1), slice(1, 3))]
        assert sum(parts).item() == pytest.approx(loss(student, teacher, REAL).item(), rel=1e-6)

    def test_nothing_is_lost_by_looking_where_the_teacher_looks(self, loss, of_sequence):
        assert loss(model_scores(TEACHER), model_scores(TEACHER), REAL).item() == pytest.approx(0, abs=1e-6)

    def test_gradients_are_finite_and_none_goes_into_padding(self, loss, of_sequence):
        student = (model_scores(STUDENT) * 1e4).requires_grad_()
        loss(student, model_scores(TEACHER), REAL).backward()
        assert torch.isfinite(student.grad).all()
        assert student.grad.masked_select(~REAL[:, None, None, :]).abs().max() == 0
        assert student.grad.masked_select(~REAL[:, None, :, None]).abs().max() == 0

    def test_other_heads_are_refused(self, loss, of_sequence):
        with pytest.raises(ValueError, match="differ in shape"):
            loss(model_scores(STUDENT, 2), model_scores(TEACHER, 4), REAL)


@pytest.mark.parametrize("heads", [1, 2, 8])
def test_relations_compare_models_of_any_width(heads):
    """The attention of vectors to themselves, cut into heads that neither model has."""
    student, teacher = tensor(STUDENT[0]), tensor(TEACHER[0])
    expected = []
    for row, length in enumerate(LENGTHS):
        one, other = STUDENT[0, row, :length], TEACHER[0, row, :length]
        expected += golden.map_divergence(golden.scores(one, one, heads), golden.scores(other, other, heads))
    assert losses.relation_loss(student, teacher, heads, REAL).item() == pytest.approx(np.mean(expected), rel=1e-5)


@pytest.mark.parametrize("temperature", [0.05, 1.0])
def test_contrastive_is_the_log_share_of_ones_own(temperature):
    student, teacher = RANDOM.normal(size=(2, 6, 9))
    found = losses.contrastive_loss(tensor(student), tensor(teacher), temperature)
    assert found.item() == pytest.approx(golden.contrastive(student, teacher, temperature), rel=1e-4)
    assert losses.contrastive_loss(tensor(student[:1]), tensor(teacher[:1]), temperature).item() == 0
    assert losses.contrastive_loss(tensor(student), tensor(teacher), temperature, 12).item() == pytest.approx(
        found.item() / 2, rel=1e-6
    )


def test_contrastive_refuses_a_temperature_of_nothing_and_other_widths():
    with pytest.raises(ValueError, match="positive"):
        losses.contrastive_loss(torch.ones(2, 3), torch.ones(2, 3), 0.0)
    with pytest.raises(ValueError, match="differ in shape"):
        losses.contrastive_loss(torch.ones(2, 3), torch.ones(2, 4), 1.0)


@pytest.mark.parametrize("temperature", [0.05, 1.0])
def test_similarities_are_the_divergence_of_nearness_to_the_others(temperature):
    student, teacher = RANDOM.normal(size=(6, 4)), RANDOM.normal(size=(6, 9))
    found = losses.similarity_loss(tensor(student), tensor(teacher), temperature)
    assert found.item() == pytest.approx(golden.similarities(student, teacher, temperature), rel=1e-4)
    halved = losses.similarity_loss(tensor(student), tensor(teacher), temperature, 12)
    assert halved.item() == pytest.approx(found.item() / 2, rel=1e-6)


def test_similarities_ask_neither_for_direction_nor_for_length():
    teacher = tensor(RANDOM.normal(size=(6, 9)))
    turn, _ = np.linalg.qr(RANDOM.normal(size=(9, 9)))
    assert losses.similarity_loss(3 * teacher @ tensor(turn), teacher, 0.05).item() == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_similarities_of_too_few_rows_are_nothing_to_learn_from(rows):
    student = torch.randn(rows, 3, requires_grad=True)
    loss = losses.similarity_loss(student, torch.randn(rows, 3), 0.05, 5)
    loss.backward()
    assert loss.item() == 0 and student.grad.abs().sum() == 0


def test_similarities_need_no_answer_of_the_device():
    """Tensors without values have none to give."""
    assert losses.similarity_loss(torch.ones(4, 3, device="meta"), torch.ones(4, 5, device="meta"), 1.0).shape == ()


def test_similarities_refuse_other_rows_and_a_temperature_of_nothing():
    with pytest.raises(ValueError, match="positive"):
        losses.similarity_loss(torch.ones(2, 3), torch.ones(2, 3), 0.0)
    with pytest.raises(ValueError, match="differ in shape"):
        losses.similarity_loss(torch.ones(2, 3), torch.ones(3, 3), 1.0)
