"""The timed parts of a bench, with engines that take a set time."""

import time
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

import tiny
from pocketbert.engines.description import Description
from pocketbert.measure import bench_timing
from pocketbert.measure.bench_timing import Shapes, time_sample, time_shapes, time_starts
from pocketbert.measure.opening import OpenModel
from pocketbert.measure.results import Startup
from pocketbert.measure.sample import MixedSample
from pocketbert.measure.schedule import Schedule

TOKENIZER = tiny.make_tokenizer("bert")
TEXTS = ["the cat", "a dog saw the very grey horse near the barn", "it was cold", "lovely"]


class Sleeper:
    """Takes a set time for each token, padding included."""

    name = "sleeper"
    inputs = frozenset({"input_ids", "attention_mask"})
    description = Description(task="classification", max_length=64, precision="int8")

    def __init__(self, milliseconds: float) -> None:
        self.milliseconds = milliseconds
        self.shapes: list[tuple[int, int]] = []

    def run(self, inputs):
        shape = inputs["input_ids"].shape
        self.shapes.append(shape)
        time.sleep(self.milliseconds * shape[0] * shape[1] / 1000)


def make(*speeds):
    models = {f"{speed}": OpenModel(f"{speed}", Sleeper(speed), TOKENIZER, None) for speed in speeds}
    features = {name: [dict(TOKENIZER(text)) for text in TEXTS] for name in models}
    return models, MixedSample("texts", TEXTS, features)


def shape_times(models, sample, shapes, seconds, schedule_seconds=100.0):
    with Schedule(schedule_seconds, Console(quiet=True)) as schedule:
        return time_shapes(models, sample, shapes, 2, schedule, seconds)


def test_each_shape_is_timed_as_it_is():
    models, sample = make(0.2, 0.1)
    found, notes = shape_times(models, sample, Shapes([8, 16], [1, 2]), 2.0)
    assert notes == [] and list(found) == ["0.2", "0.1"]
    assert [(each.batch_size, each.tokens) for each in found["0.2"]] == [(1, 8), (1, 16), (2, 8), (2, 16)]
    for name, latencies in found.items():
        for each in latencies:
            expected = float(name) * each.batch_size * each.tokens
            assert each.p50 == pytest.approx(expected, rel=0.5)
            assert each.threads == 2 and each.rounds >= 3
            assert (each.p95 is not None) == (each.rounds >= 20) and (each.p99 is not None) == (each.rounds >= 100)
            assert each.ratio is None if name == "0.2" else each.ratio.median == pytest.approx(2.0, rel=0.4)
        assert set(models[name].engine.shapes) == {(1, 8), (1, 16), (2, 8), (2, 16)}


def test_percentiles_are_told_only_from_enough_calls(monkeypatch):
    calls = np.arange(1, 101) / 1000
    for rounds, known in ((19, (False, False)), (20, (True, False)), (99, (True, False)), (100, (True, True))):
        monkeypatch.setattr(bench_timing, "time_in_turn", lambda *_, n=rounds: calls[:n, None])
        (each,) = shape_times(*make(0.0), Shapes([8], [1]), 1.0)[0]["0.0"]
        assert (each.p95 is not None, each.p99 is not None) == known
    assert (each.p50, each.p95, each.p99) == pytest.approx((50.5, 95.05, 99.01))


def test_a_shape_that_takes_longer_than_is_left_is_left_out_and_noted():
    models, sample = make(2.0)
    found, notes = shape_times(models, sample, Shapes([8, 48], [1, 8]), 0.3)
    timed = [(each.batch_size, each.tokens) for each in found["2.0"]]
    assert timed == [(1, 8), (1, 48), (8, 8)]  # 8 × 48 would take four times 0.8 s
    (note,) = notes
    assert note.startswith("8 × 48 tokens on 2 threads: not timed, for it takes about 3 s and 0 s were left;")


def test_the_sample_is_run_in_batches_of_like_length(monkeypatch):
    monkeypatch.setattr(bench_timing, "BATCH_TOKENS", 20)
    models, sample = make(0.2, 0.1)
    lengths = [len(TOKENIZER(text)["input_ids"]) for text in TEXTS]
    found = time_sample(models, sample, 1, 0.5, None)
    longest_first = sorted(lengths, reverse=True)
    assert models["0.1"].engine.shapes[0] == (1, longest_first[0])
    assert all(rows * tokens <= 20 for rows, tokens in models["0.1"].engine.shapes[1:2])
    padded = sum(rows * tokens for rows, tokens in set(models["0.1"].engine.shapes))
    seconds = 0.1 * padded / 1000
    assert found["0.1"].texts_per_second == pytest.approx(len(TEXTS) / seconds, rel=0.4)
    per_text = found["0.1"].tokens_per_second / found["0.1"].texts_per_second
    assert per_text == pytest.approx(sum(lengths) / len(TEXTS))
    assert found["0.1"].ratio.median == pytest.approx(2.0, rel=0.4) and found["0.2"].ratio is None
    assert found["0.1"].joules is None


def test_energy_is_of_a_thousand_texts():
    readings = iter(range(0, 1_000_000, 3))
    meter = SimpleNamespace(read=lambda: float(next(readings)))
    found = time_sample(*make(0.01), 1, 0.05, meter)
    assert found["0.01"].joules == pytest.approx(1000 * 3 / len(TEXTS))


def test_models_are_started_in_turn_and_the_medians_taken(monkeypatch):
    calls = []

    def start(reference, task, threads, batches, folder):
        calls.append((reference, task, threads, [batch["input_ids"].shape for batch in batches]))
        return Startup(load_seconds=len(calls), first_answer_seconds=0.5, peak_bytes=1000 - len(calls))

    monkeypatch.setattr(bench_timing, "measure_startup", start)
    found = time_starts(*make(0.2, 0.1), 2, 100.0)
    assert [call[0] for call in calls] == ["0.2", "0.1", "0.1", "0.2", "0.2", "0.1"]
    assert [found[name].load_seconds for name in ("0.2", "0.1")] == [4, 3]
    assert found["0.2"].peak_bytes == 999
    lengths = sorted(len(TOKENIZER(text)["input_ids"]) for text in TEXTS)
    assert calls[0][1:] == ("classification", 2, [(1, lengths[2]), (4, lengths[-1])])


def test_a_slow_start_is_not_repeated(monkeypatch):
    calls = []

    def start(*_arguments):
        calls.append(time.sleep(0.02))
        return Startup(load_seconds=1, first_answer_seconds=1, peak_bytes=1)

    monkeypatch.setattr(bench_timing, "measure_startup", start)
    time_starts(*make(0.2, 0.1), 2, 0.05)
    assert len(calls) == 2
