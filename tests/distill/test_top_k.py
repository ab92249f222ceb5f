"""Soft targets of the likeliest classes and some that were drawn, against explicit probabilities in float64."""

import golden
import numpy as np
import pytest
import torch
from scipy.special import softmax

from pocketbert.distill import losses

ROWS, CLASSES = 6, 13
RANDOM = np.random.default_rng(1)
STUDENT, TEACHER = RANDOM.normal(0, 3, (2, ROWS, CLASSES))


def formula(student, targets, temperature):
    """By explicit probabilities: the told classes as they are, the drawn ones for all others."""
    p, q = softmax(TEACHER / temperature, axis=-1), softmax(student / temperature, axis=-1)
    total = 0.0
    for own, theirs, told, drawn in zip(q, p, targets.ids.numpy(), targets.drawn.numpy(), strict=True):
        ratio = np.log(theirs / own)
        total += (theirs * ratio)[told].sum() + np.delete(theirs, told).sum() * ratio[drawn].mean()
    return temperature**2 * total / ROWS


def targets_of(k, temperature, offset=0.3):
    return losses.top_k_targets(torch.from_numpy(TEACHER), k, temperature, torch.full((ROWS,), offset))


def run(k, temperature, student=STUDENT, offset=0.3):
    targets = targets_of(k, temperature, offset)
    student = torch.tensor(student, requires_grad=True)
    return losses.top_k_soft_target_loss(student, targets, temperature), targets, student


each = pytest.mark.parametrize(("k", "temperature"), [(1, 1.0), (4, 2.0), (12, 1.0), (CLASSES, 2.0)])


@each
def test_the_likeliest_classes_are_told_and_the_others_drawn(k, temperature):
    targets = targets_of(k, temperature)
    p = softmax(TEACHER / temperature, axis=-1)
    told, drawn = targets.ids.numpy(), targets.drawn.numpy()
    assert np.array_equal(told, np.argsort(-TEACHER, axis=-1)[:, :k])
    assert np.exp(targets.logs.numpy()) == pytest.approx(np.take_along_axis(p, told, -1), rel=1e-5)
    assert np.exp(targets.drawn_logs.numpy()) == pytest.approx(np.take_along_axis(p, drawn, -1), rel=1e-5)
    rest = [np.delete(row, own).sum() for row, own in zip(p, told, strict=True)]
    assert np.exp(targets.rest.numpy()) == pytest.approx(rest, rel=1e-5)
    assert k == CLASSES or not (drawn[:, :, None] == told[:, None, :]).any()


@each
def test_the_loss_is_that_of_told_and_drawn_classes(k, temperature):
    loss, targets, _ = run(k, temperature)
    assert loss.item() == pytest.approx(formula(STUDENT, targets, temperature), rel=1e-4)


@each
def test_over_all_drawings_the_loss_and_its_gradient_are_those_of_all_classes(k, temperature):
    places = 1000
    found = [run(k, temperature, offset=(place + 0.5) / places) for place in range(places)]
    student = torch.tensor(STUDENT, requires_grad=True)
    losses.soft_target_loss(student, torch.from_numpy(TEACHER), temperature).backward()
    sum(loss for loss, _, _ in found).backward()
    gradient = sum(own.grad for _, _, own in found) / places
    full = golden.soft_targets(STUDENT, TEACHER, temperature)
    assert sum(loss.item() for loss, _, _ in found) / places == pytest.approx(full, rel=3e-3)
    assert gradient.numpy() == pytest.approx(student.grad.numpy(), abs=1e-3)


def test_with_all_classes_nothing_is_estimated():
    loss, _, _ = run(CLASSES, 2.0)
    assert loss.item() == pytest.approx(golden.soft_targets(STUDENT, TEACHER, 2.0), rel=1e-5)


@each
def test_a_student_that_says_the_same_loses_nothing_whatever_was_drawn(k, temperature):
    loss, _, _ = run(k, temperature, TEACHER)
    assert loss.item() == pytest.approx(0, abs=1e-5)


@each
def test_gradients_equal_finite_differences(k, temperature):
    loss, targets, student = run(k, temperature)
    loss.backward()
    step, differences = 1e-5, np.zeros_like(STUDENT)
    for place in np.ndindex(STUDENT.shape):
        up, down = STUDENT.copy(), STUDENT.copy()
        up[place] += step
        down[place] -= step
        differences[place] = (formula(up, targets, temperature) - formula(down, targets, temperature)) / (2 * step)
    assert student.grad.numpy() == pytest.approx(differences, abs=2e-6)


def test_a_teacher_that_is_sure_leaves_nothing_to_draw():
    sure = torch.zeros(2, CLASSES)
    sure[:, 3] = 1e4
    student = torch.randn(2, CLASSES, requires_grad=True)
    loss = losses.top_k_soft_target_loss(student, losses.top_k_targets(sure, 2, 1.0, torch.tensor([0.0, 0.9])), 1.0)
    loss.backward()
    assert loss.item() == pytest.approx(-student.log_softmax(-1)[:, 3].mean().item(), rel=1e-5)
    assert student.grad.isfinite().all()


def test_no_rows_are_no_loss():
    """A micro-batch may have no masked token."""
    none = torch.zeros(0, CLASSES, requires_grad=True)
    loss = losses.top_k_soft_target_loss(none, losses.top_k_targets(none, 3, 2.0, torch.zeros(0)), 2.0, 5)
    loss.backward()
    assert loss.item() == 0


@pytest.mark.parametrize("temperature", [0.0, -1.0])
def test_a_temperature_that_is_none_is_refused(temperature):
    with pytest.raises(ValueError, match="temperature"):
        run(3, temperature)
