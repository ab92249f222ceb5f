"""The order of samples."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pocketbert.data.order import EpochOrder, Position


def epoch(samples=103, batch_size=8, seed=0, number=0, lengths=None):
    """Sample numbers of an epoch."""
    order = EpochOrder(samples, batch_size, seed, lengths)
    order.set_epoch(number)
    positions = list(order)
    assert {position.epoch for position in positions} == {number}
    assert len(positions) == len(order)
    return [position.sample for position in positions]


@given(
    samples=st.integers(1, 300),
    batch_size=st.integers(1, 40),
    seed=st.integers(0, 2**40),
    number=st.integers(0, 50),
    grouped=st.booleans(),
)
def test_every_epoch_has_every_sample_in_full_batches(samples, batch_size, seed, number, grouped):
    lengths = np.random.default_rng(0).integers(3, 100, samples) if grouped else None
    order = epoch(samples, batch_size, seed, number, lengths)
    assert len(order) % batch_size == 0 and len(order) - samples < batch_size
    assert set(order) == set(range(samples))
    counts = np.bincount(order)
    # Only the filling of the last batch comes a second time, unless there are fewer samples than a batch holds.
    assert counts.max() - counts.min() <= 1


def test_epochs_and_seeds_have_orders_of_their_own():
    orders = [epoch(number=0), epoch(number=1), epoch(seed=1)]
    assert len({tuple(order) for order in orders}) == 3
    assert epoch(number=1) == orders[1]


def test_the_split_into_micro_batches_changes_nothing():
    """The sampler knows only the samples of a step, not how many passes or ranks share them."""
    order = epoch(batch_size=16)
    steps = [sorted(order[start : start + 16]) for start in range(0, len(order), 16)]
    for micro in (1, 2, 4, 8):
        parts = [order[start : start + micro] for start in range(0, len(order), micro)]
        several = 16 // micro
        joined = [
            sorted(itertools.chain.from_iterable(parts[step * several : (step + 1) * several]))
            for step in range(len(steps))
        ]
        assert joined == steps


def test_an_order_is_mixed():
    order = epoch(samples=1000, batch_size=10)
    assert abs(np.corrcoef(order, np.arange(1000))[0, 1]) < 0.1


def padded(order, lengths, batch_size):
    """Tokens of all batches, padding included."""
    return sum(
        max(lengths[sample] for sample in order[start : start + batch_size]) * batch_size
        for start in range(0, len(order), batch_size)
    )


def test_grouping_by_length_saves_padding_and_stays_mixed():
    lengths = np.random.default_rng(0).integers(5, 128, 2000)
    plain = epoch(2000, 16)
    grouped = epoch(2000, 16, lengths=lengths)
    tokens = lengths.sum()
    assert padded(grouped, lengths, 16) < 1.1 * tokens
    assert padded(plain, lengths, 16) > 1.6 * tokens
    means = [np.mean(lengths[grouped[start : start + 16]]) for start in range(0, 2000, 16)]
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.25
    assert grouped != epoch(2000, 16, number=1, lengths=lengths)


def test_batches_of_like_length_have_other_members_each_epoch():
    lengths = np.random.default_rng(0).integers(5, 128, 2000)

    def batches(number):
        order = epoch(2000, 16, number=number, lengths=lengths)
        return {frozenset(order[start : start + 16]) for start in range(0, 2000, 16)}

    assert len(batches(0) & batches(1)) < 3


def test_a_position_names_epoch_and_sample():
    assert next(iter(EpochOrder(1, 1, 0))) == Position(epoch=0, sample=0)


@pytest.mark.parametrize("lengths", [None, np.array([5])])
def test_one_sample_fills_a_batch(lengths):
    assert epoch(1, 4, lengths=lengths) == [0, 0, 0, 0]
