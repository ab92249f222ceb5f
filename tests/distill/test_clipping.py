"""Clipping in the optimiser's step, against torch's own before it."""

import copy
import math

import pytest
import torch

from pocketbert.distill.clipping import clip_in_step


def gradients(model):
    return [weight.grad for weight in model.parameters()]


@pytest.mark.parametrize("limit", [0.5, 1e6])
def test_weights_and_norms_are_those_of_a_pass_before_the_step(limit):
    torch.manual_seed(0)
    own = torch.nn.Linear(30, 20)
    theirs = copy.deepcopy(own)
    fused = torch.optim.AdamW(own.parameters(), lr=1e-2, fused=True)
    plain = torch.optim.AdamW(theirs.parameters(), lr=1e-2, fused=False)
    for _ in range(5):
        inputs = torch.randn(50, 30)
        for model in (own, theirs):
            model.zero_grad()
            model(inputs).square().sum().backward()
        norm = clip_in_step(gradients(own), limit, fused)
        expected = torch.nn.utils.clip_grad_norm_(theirs.parameters(), limit)
        fused.step()
        plain.step()
        assert norm.item() == pytest.approx(expected.item(), rel=1e-5)
        assert torch.allclose(own.weight, theirs.weight, atol=1e-6)


def test_gradients_below_the_limit_are_left_as_they_are():
    torch.manual_seed(0)
    own = torch.nn.Linear(30, 20)
    theirs = copy.deepcopy(own)
    optimizers = [torch.optim.AdamW(model.parameters(), lr=1e-2, fused=True) for model in (own, theirs)]
    inputs = torch.randn(50, 30)
    for model in (own, theirs):
        model(inputs).square().sum().backward()
    clip_in_step(gradients(own), 1e6, optimizers[0])
    for optimizer in optimizers:
        optimizer.step()
    assert torch.equal(own.weight, theirs.weight)


def test_a_gradient_larger_than_the_limit_is_brought_to_it():
    weight = torch.nn.Parameter(torch.zeros(3))
    weight.grad = torch.tensor([3.0, 0.0, 4.0])
    optimizer = torch.optim.AdamW([weight], fused=True)
    assert clip_in_step([weight.grad], 1.0, optimizer).item() == 5.0
    optimizer.step()
    # AdamW's first moment is a tenth of what it read.
    assert torch.allclose(optimizer.state[weight]["exp_avg"], torch.tensor([0.06, 0.0, 0.08]))


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_the_norm_of_what_is_not_finite_is_not_either(value):
    weight = torch.nn.Parameter(torch.zeros(3))
    weight.grad = torch.tensor([1.0, value, 1.0])
    assert not clip_in_step([weight.grad], 1.0, torch.optim.AdamW([weight], fused=True)).isfinite()
