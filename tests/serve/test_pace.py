"""How long batches and waits are expected to take."""

import random

import pytest

from pocketbert.serve.pace import Foresight, Pace

SHAPES = [(1, 16), (4, 16), (16, 32), (1, 64), (8, 64), (2, 256), (1, 512)]


def true_seconds(windows, length):
    return 0.003 + 7e-5 * windows * length + 6e-8 * windows * length**2


def learn(pace, shapes, noise=0.0):
    chosen = random.Random(0)
    for shape in shapes:
        pace.learn(*shape, true_seconds(*shape) * chosen.uniform(1 - noise, 1 + noise))


def test_batches_teach_what_others_will_take():
    pace = Pace()
    learn(pace, random.Random(1).choices(SHAPES, k=300), noise=0.1)
    for shape in [*SHAPES, (3, 128), (2, 384)]:
        assert pace.of_batch(*shape) == pytest.approx(true_seconds(*shape), rel=0.15)
    assert pace.of_window(128) == pytest.approx(true_seconds(2, 128) - true_seconds(1, 128), rel=0.15)


def test_batches_of_one_shape_teach_what_a_token_costs():
    pace = Pace()
    learn(pace, [(1, 32)] * 50)
    assert pace.of_batch(1, 32) == pytest.approx(true_seconds(1, 32))
    assert pace.of_window(32) == pytest.approx(true_seconds(1, 32))


def test_nothing_is_known_before_the_first_batch():
    assert Pace().of_batch(16, 512) == Pace().of_window(512) == 0


def test_one_slow_batch_counts_little():
    pace = Pace()
    learn(pace, SHAPES * 10)
    pace.learn(4, 16, 20.0)
    assert pace.of_batch(4, 16) == pytest.approx(true_seconds(4, 16), rel=0.1)


def test_another_speed_is_soon_learned():
    pace = Pace()
    learn(pace, SHAPES * 20)
    for shape in SHAPES * 20:
        pace.learn(*shape, 3 * true_seconds(*shape))
    assert pace.of_batch(8, 64) == pytest.approx(3 * true_seconds(8, 64), rel=0.1)


def test_waits_that_were_longer_than_foreseen_are_foreseen_longer():
    foresight = Foresight()
    assert foresight.factor == 1
    for _ in range(200):
        foresight.learn(0.05, 0.08)
    assert foresight.factor == pytest.approx(1.6, rel=0.01)


def test_after_one_bad_moment_some_may_wait_again():
    foresight = Foresight()
    foresight.learn(0.05, 20.0)
    assert foresight.factor == 3
    for _ in range(200):
        foresight.learn(0.05, 0.05)
    assert foresight.factor < 1.1
