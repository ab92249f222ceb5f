"""Soft targets of the likeliest classes and a rest, against explicit probabilities in float64."""

import golden
import numpy as np
import pytest
import torch
from scipy.special import rel_entr, softmax

from pocketbert.distill import losses

ROWS, CLASSES = 6, 13
RANDOM = np.random.default_rng(1)
STUDENT, TEACHER = RANDOM.normal(0, 3, (2, ROWS, CLASSES))


def grouped(logits, ids, temperature):
    """Probabilities of some classes, and of all others as the last one."""
    p = softmax(logits / temperature, axis=-1)
    told = np.take_along_axis(p, ids, axis=-1)
    others = np.array([np.delete(row, own).sum() for row, own in zip(p, ids, strict=True)])
    return np.concatenate([told, others[:, None]], axis=-1)


def formula(student, ids, temperature):
    p, q = grouped(TEACHER, ids, temperature), grouped(student, ids, temperature)
    return temperature**2 * rel_entr(p, q).sum(axis=-1).mean()


def run(k, temperature, student=STUDENT):
    targets = losses.top_k_targets(torch.from_numpy(TEACHER), k, temperature)
    student = torch.tensor(student, requires_grad=True)
    return losses.top_k_soft_target_loss(student, targets, temperature), targets, student


each = pytest.mark.parametrize(("k", "temperature"), [(1, 1.0), (4, 2.0), (12, 1.0), (CLASSES, 2.0)])


@each
def test_the_likeliest_classes_are_told(k, temperature):
    _, targets, _ = run(k, temperature)
    ids = np.argsort(-TEACHER, axis=-1)[:, :k]
    assert np.array_equal(targets.ids.numpy(), ids)
    told = np.exp(np.concatenate([targets.logs.numpy(), targets.rest.numpy()[:, None]], axis=-1))
    assert told == pytest.approx(grouped(TEACHER, ids, temperature), rel=1e-5, abs=1e-12)


@each
def test_the_loss_is_that_of_the_grouped_distributions(k, temperature):
    loss, targets, _ = run(k, temperature)
    assert loss.item() == pytest.approx(formula(STUDENT, targets.ids.numpy(), temperature), rel=1e-5)


@each
def test_what_it_lacks_is_the_divergence_of_the_rests(k, temperature):
    loss, targets, _ = run(k, temperature)
    p, q = softmax(TEACHER / temperature, axis=-1), softmax(STUDENT / temperature, axis=-1)
    lacking = 0.0
    for own, theirs, told in zip(q, p, targets.ids.numpy(), strict=True):
        rests = [np.delete(values, told) for values in (theirs, own)]
        if len(rests[0]):
            first, second = (rest / rest.sum() for rest in rests)
            lacking += rests[0].sum() * rel_entr(first, second).sum()
    full = golden.soft_targets(STUDENT, TEACHER, temperature)
    assert full - loss.item() == pytest.approx(temperature**2 * lacking / ROWS, rel=1e-4, abs=1e-5)


@each
def test_gradients_equal_finite_differences(k, temperature):
    loss, targets, student = run(k, temperature)
    loss.backward()
    step, differences = 1e-5, np.zeros_like(STUDENT)
    for place in np.ndindex(STUDENT.shape):
        up, down = STUDENT.copy(), STUDENT.copy()
        up[place] += step
        down[place] -= step
        ids = targets.ids.numpy()
        differences[place] = (formula(up, ids, temperature) - formula(down, ids, temperature)) / (2 * step)
    assert student.grad.numpy() == pytest.approx(differences, abs=2e-6)


def test_a_student_that_is_sure_keeps_a_finite_gradient():
    """One minus the told probabilities would be nothing here, and its logarithm minus infinity."""
    sure = np.zeros_like(STUDENT)
    np.put_along_axis(sure, np.argsort(-TEACHER, axis=-1)[:, :1], 60.0, axis=-1)
    loss, _, student = run(1, 1.0, sure)
    loss.backward()
    assert loss.isfinite() and student.grad.isfinite().all()


def test_no_rows_are_no_loss():
    """A micro-batch may have no masked token."""
    none = torch.zeros(0, CLASSES, requires_grad=True)
    loss = losses.top_k_soft_target_loss(none, losses.top_k_targets(none, 3, 2.0), 2.0, 5)
    loss.backward()
    assert loss.item() == 0


@pytest.mark.parametrize("temperature", [0.0, -1.0])
def test_a_temperature_that_is_none_is_refused(temperature):
    with pytest.raises(ValueError, match="temperature"):
        run(3, temperature)
