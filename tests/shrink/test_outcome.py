import io

import pytest
from rich.console import Console

from pocketbert.measure.results import Candidate, Frontier, Outcome, Shape, Speed, Spread, Timing, Weighed
from pocketbert.recipe import Target
from pocketbert.shrink.outcome import (
    describe_shortfall,
    describe_speed,
    frontier_table,
    outcome_table,
)

WHOLE = Shape(layers=6, heads=4, feed_forward=512, hidden=128)
SMALL = Shape(layers=4, heads=3, feed_forward=256, hidden=96)


def speed(throughput, latency):
    timing = {"latency_p95": 9.0, "texts_per_second": 1.0, "precision": "fp32"}
    return Speed(
        models={
            "unpruned": Timing(latency_p50=4.0, tokens_per_second=1000, engine="torch", **timing),
            "pruned": Timing(latency_p50=3.0, tokens_per_second=2000, engine="torch", **timing),
        },
        latency_ratio={"pruned": Spread(median=latency, low=latency - 0.1, high=latency + 0.1)},
        throughput_ratio={"pruned": Spread(median=throughput, low=throughput - 0.1, high=throughput + 0.1)},
        latency_rounds=3,
        throughput_rounds=3,
        batch_size=32,
        tokens_p50=10,
        tokens_p95=20,
        threads=1,
        device="cpu",
    )


def shown(table):
    console = Console(width=240, file=io.StringIO())
    console.print(table)
    return [" ".join(line.replace("│", " ").split()) for line in console.file.getvalue().splitlines()]


@pytest.mark.parametrize(
    ("throughput", "latency", "sentence"),
    [
        (1.5, 1.25, "faster in batches of 32: 1.50 × (1.40 to 1.60); faster one text at a time: 1.25 × (1.15 to 1.35)"),
        (0.98, 1.25, "not faster in batches of 32: 0.98 × (0.88 to 1.08); faster one text at a time"),
        (1.01, 0.5, "not faster in batches of 32: 1.01 × (0.91 to 1.11); not faster one text at a time: 0.50 ×"),
    ],
)
def test_what_does_not_measure_faster_is_called_so(throughput, latency, sentence):
    assert describe_speed(speed(throughput, latency)).startswith(sentence)


def outcome(kept=0.95):
    before = Weighed(shape=WHOLE, parameters=2_800_000, bytes=11_200_000, score=0.9)
    after = Weighed(shape=SMALL, parameters=1_400_000, bytes=5_600_000, score=0.855)
    return Outcome(unpruned=before, pruned=after, cut=0.7, kept=kept, importance=0.6, speed=speed(1.5, 1.2))


@pytest.mark.parametrize(
    ("target", "kept", "found"),
    [
        (Target(kept=0.97), 0.95, "kept 95.0 % after recovery, less than the 97.0 % asked for"),
        (Target(kept=0.95), 0.95, ""),
        (Target(kept=0.97), None, ""),
        (Target(bytes=10), 0.5, ""),
        (None, 0.5, ""),
    ],
)
def test_a_target_that_recovery_missed_is_told(target, kept, found):
    assert describe_shortfall(kept, target) == found


def test_both_models_stand_side_by_side():
    lines = shown(outcome_table(outcome()))
    for line in (
        "layers 6 4", "hidden width 128 96", "attention heads 4 3", "feed-forward neurons 512 256",
        "parameters 2.8 M 1.4 M", "weights on disk 11.2 MB 5.6 MB",
        "validation score 0.9000 0.8550, 95.0 % kept (0.7000 when cut)", "latency 4.00 ms 3.00 ms",
        "throughput 1.0 k tokens/s 2.0 k tokens/s",
    ):  # fmt: skip
        assert line in lines
    assert "validation score 0.9000 0.8550 (0.7000 when cut)" in shown(outcome_table(outcome(None)))


def test_the_frontier_shows_what_was_measured_and_no_more():
    small = Candidate(shape=SMALL, parameters=1_400_000, bytes=5_600_000, change=0.25, importance=0.6,
                      latency_ms=3.0, faster=Spread(median=1.3, low=1, high=2), chosen=True)  # fmt: skip
    whole = Candidate(shape=WHOLE, parameters=2_800_000, bytes=11_200_000, change=0)
    lines = shown(frontier_table(Frontier(candidates=[small, whole], cost="bytes", tokens=64)))
    assert "→ layers 4, width 96, heads 3, neurons 256 1.4 M 5.6 MB 3.00 ms 1.30 × 60.0 % 0.2500" in lines
    assert "layers 6, width 128, heads 4, neurons 512 2.8 M 11.2 MB 0.0000" in lines
    assert "latency, 64 tokens" in " ".join(lines) and "recovery" not in " ".join(lines)
    tried = small.model_copy(update={"score": 0.8})
    lines = shown(frontier_table(Frontier(candidates=[tried, whole], cost="bytes", tokens=64)))
    assert any(line.endswith("0.2500 0.8000") for line in lines)
