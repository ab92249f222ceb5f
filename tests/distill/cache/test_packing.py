"""What packing costs."""

import numpy as np
import pytest
import torch

from pocketbert.distill.cache.content import LOGITS, Content
from pocketbert.distill.cache.packing import (
    STEPS,
    pack_features,
    pack_states,
    pack_top_k,
    unpack_features,
    unpack_top_k,
)
from pocketbert.distill.losses import top_k_targets

TOP = Content(classes=300, top_k=16, temperature=2.0, positions="masked")
WHOLE = Content(classes=300, features=24, positions="masked")
KIND = Content(classes=300, features=768, positions="masked").kinds[LOGITS]


def packed(logits, content):
    targets = top_k_targets(logits, content.top_k, content.temperature, torch.rand(len(logits)))
    return targets, pack_top_k(targets, content.kinds[LOGITS])


def steps(values):
    return (values.amax(1, keepdim=True) - values.amin(1, keepdim=True)) / STEPS


@pytest.mark.parametrize("classes", [300, 70_000])
def test_top_k_is_right_to_half_a_step(classes):
    content = TOP.model_copy(update={"classes": classes})
    torch.manual_seed(0)
    targets, records = packed(torch.randn(20, classes) * 5, content)
    read = unpack_top_k(records)
    assert torch.equal(read.ids, targets.ids)
    assert torch.equal(read.drawn, targets.drawn)
    assert ((read.drawn_logs - targets.drawn_logs).abs() <= steps(targets.drawn_logs) / 2 + 1e-5).all()
    # Half a step by rounding, and as much at most by adding up to 1 again.
    assert ((read.logs - targets.logs).abs() <= steps(targets.logs) + 1e-5).all()
    total = read.logs.exp().sum(dim=-1) + read.rest.exp()
    assert total.numpy() == pytest.approx(np.ones(20), abs=1e-6)


def test_classes_that_are_all_as_likely_are_kept():
    _, records = packed(torch.zeros(2, 300), TOP)
    read = unpack_top_k(records)
    assert read.logs.exp().numpy() == pytest.approx(np.full((2, 16), 1 / 300), rel=1e-5)


def test_a_whole_vocabulary_leaves_no_rest():
    content = TOP.model_copy(update={"classes": 16})
    _, records = packed(torch.randn(3, 16), content)
    assert unpack_top_k(records).rest.exp().max() == 0


def test_features_are_right_to_half_a_step_of_their_companded_scale():
    torch.manual_seed(0)
    sizes = torch.logspace(-6, 6, 20)[:, None]
    features = torch.randn(20, 24) * sizes
    read = unpack_features(pack_features(features, WHOLE.kinds[LOGITS]))
    scale = features.abs().quantile(0.5, dim=1, keepdim=True)
    companded = steps(torch.asinh(features / scale))
    assert ((torch.asinh(read / scale) - torch.asinh(features / scale)).abs() <= companded * 0.51).all()
    assert (read - features).square().mean().sqrt() < 0.01 * features.square().mean().sqrt()


def test_a_feature_that_is_far_out_does_not_make_the_others_coarse():
    torch.manual_seed(0)
    features = torch.randn(20, 768)
    near = unpack_features(pack_features(features, KIND))
    features[:, 5] = 100.0
    far = unpack_features(pack_features(features, KIND))
    error, before = (((read - features)[:, 6:]).square().mean().sqrt() for read in (far, near))
    assert error < 2 * before
    assert far[:, 5] == pytest.approx(features[:, 5], rel=0.02)


@pytest.mark.filterwarnings("error")
def test_features_of_which_most_are_0_stay_what_they_are():
    features = torch.zeros(2, 24)
    features[:, :5] = torch.tensor([5.0, -3.0, 1.74, 0.5, 20.0])
    read = unpack_features(pack_features(features, WHOLE.kinds[LOGITS]))
    assert read.numpy() == pytest.approx(features.numpy(), rel=0.02, abs=0.03)


def test_features_that_are_all_0_stay_so():
    read = unpack_features(pack_features(torch.zeros(2, 24), WHOLE.kinds[LOGITS]))
    assert read.abs().max() < 1e-30


@pytest.mark.filterwarnings("error")
def test_features_that_are_no_numbers_stay_none():
    """A teacher that has gone wrong is found out by the loss, not hidden by the cache."""
    records = pack_features(torch.tensor([[1.0, float("nan")] * 12]), WHOLE.kinds[LOGITS])
    assert unpack_features(records).isnan().all()


def test_states_beyond_fp16_stay_finite():
    states = pack_states(torch.tensor([[1e6, -1e6, 0.1]]))
    assert np.isfinite(states).all() and states[0, 2] == np.float16(0.1)
