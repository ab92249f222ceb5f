import time

import numpy as np
import pytest
import torch

import tiny
from pocketbert.engines.description import Description
from pocketbert.measure.speed import Runnable, make_work, measure_speed, rate, time_in_turn
from pocketbert.models.describing import as_engine


def make_features(count: int = 50) -> list[dict]:
    """Rows of 4 to 12 tokens."""
    lengths = [4 + row % 9 for row in range(count)]
    return [{"input_ids": [5] * length, "attention_mask": [1] * length} for length in lengths]


class Sleeper:
    """An engine that takes a set time, and remembers its inputs."""

    name = "sleeper"
    inputs = frozenset({"input_ids", "attention_mask"})
    description = Description(task="classification", max_length=64, precision="int8")

    def __init__(self, milliseconds: float, calls: list) -> None:
        self.milliseconds, self.calls = milliseconds, calls

    def run(self, inputs):
        self.calls.append((self.milliseconds, inputs["input_ids"], inputs["attention_mask"]))
        time.sleep(self.milliseconds / 1000)


def measure(seconds: float = 0.6, **speeds: float):
    calls: list = []
    features = make_features()
    models = {name: Runnable(Sleeper(wait, calls), features) for name, wait in speeds.items()}
    return measure_speed(models, seconds=seconds, batch_size=8), calls


def test_ratio_is_that_of_the_times():
    speed, _ = measure(teacher=24.0, student=8.0)
    assert speed.latency_ratio["student"].median == pytest.approx(3.0, rel=0.25)
    assert speed.throughput_ratio["student"].median == pytest.approx(3.0, rel=0.25)
    assert list(speed.latency_ratio) == ["student"]
    spread = speed.throughput_ratio["student"]
    assert spread.low <= spread.median <= spread.high
    assert speed.models["teacher"].latency_p50 == pytest.approx(24.0, rel=0.25)
    assert speed.models["teacher"].latency_p95 >= speed.models["teacher"].latency_p50


def test_throughput_counts_texts_and_tokens_without_padding():
    speed, _ = measure(teacher=10.0, student=5.0)
    assert speed.models["teacher"].texts_per_second == pytest.approx(8 / 0.010, rel=0.25)
    # Rows have 4 to 12 tokens, 8 on average; padded they would have 12.
    assert speed.models["teacher"].tokens_per_second == pytest.approx(8 * 8 / 0.010, rel=0.25)


def test_models_are_timed_in_turn_and_the_first_changes():
    _, calls = measure(teacher=2.0, student=1.0)
    order = [wait for wait, ids, _ in calls if ids.shape[0] == 8]
    rounds = np.array(order[8:]).reshape(-1, 2)  # after a warm-up of four batches each
    assert len(rounds) >= 3
    assert all(sorted(pair) == [1.0, 2.0] for pair in rounds.tolist())
    assert {pair[0] for pair in rounds.tolist()} == {1.0, 2.0}


def test_both_models_of_a_round_get_the_same_texts():
    _, calls = measure(teacher=2.0, student=1.0)
    timed = [(ids, mask) for _, ids, mask in calls if ids.shape[0] == 8][8:]
    for (first, mask), (second, _) in zip(timed[::2], timed[1::2], strict=True):
        assert np.array_equal(first, second)
        assert np.array_equal(first != 0, mask != 0)


def test_a_slow_model_is_timed_three_times_and_no_more():
    speed, calls = measure(seconds=0.001, teacher=20.0, student=20.0)
    assert (speed.latency_rounds, speed.throughput_rounds) == (3, 3)
    assert len(calls) == 2 * (1 + 3) * 2  # models × (warm-up + rounds) × kinds


def test_few_rows_fill_a_batch_again_and_again():
    models = {"teacher": Runnable(Sleeper(0, []), make_features(3))}
    assert measure_speed(models, seconds=0.01, batch_size=8).throughput_rounds >= 3


def test_the_report_says_how_it_was_measured():
    speed, _ = measure(seconds=0.01, teacher=0.1, student=0.1)
    assert (speed.batch_size, speed.device, speed.threads) == (8, "cpu", torch.get_num_threads())
    assert (speed.tokens_p50, speed.tokens_p95) == (8, 12)
    assert (speed.models["teacher"].engine, speed.models["teacher"].precision) == ("sleeper", "int8")


def test_models_must_share_their_rows():
    models = {
        "a": Runnable(Sleeper(0, []), make_features(3)),
        "b": Runnable(Sleeper(0, []), make_features(4)),
    }
    with pytest.raises(ValueError, match="same rows"):
        measure_speed(models)
    with pytest.raises(ValueError, match="same rows"):
        measure_speed({})


class Watched(torch.nn.Module):
    """Notes how a model is called."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[bool, bool]] = []

    def forward(self, hidden):
        self.seen.append((self.training, torch.is_inference_mode_enabled()))
        return hidden


@pytest.mark.parametrize(("dtype", "precision"), [(torch.float32, "fp32"), (torch.bfloat16, "bf16")])
def test_a_torch_model_is_run_for_inference_and_says_its_precision(dtype, precision):
    model = tiny.make_model("distilbert", "SequenceClassification", tiny.make_tokenizer("distilbert"))
    model.dropout = watched = Watched()
    engine = as_engine(model.to(dtype).train(), ["input_ids", "attention_mask"], "classification")
    # What the model does not take is left out.
    features = [{**feature, "token_type_ids": feature["input_ids"], "labels": 1} for feature in make_features(5)]
    speed = measure_speed({"teacher": Runnable(engine, features)}, seconds=0.01, batch_size=4)
    assert speed.models["teacher"].precision == precision
    assert set(watched.seen) == {(False, True)}


def test_a_work_is_all_of_its_batches():
    calls: list = []
    run = Runnable(Sleeper(4.0, calls), make_features(9))
    work = make_work(run, [[8, 7], [0, 1, 2]])
    assert (work.texts, work.tokens) == (5, 12 + 11 + 4 + 5 + 6)
    times = time_in_turn([run.engine], [[work]], 0.001)
    assert [ids.shape for _, ids, _ in calls[-2:]] == [(2, 12), (3, 6)]
    assert times.shape == (3, 1) and times.min() >= 0.008


def test_a_rate_is_of_the_work_that_was_done_in_its_round():
    run = Runnable(Sleeper(0, []), make_features(9))
    works = [make_work(run, [[0]]), make_work(run, [[0, 1, 2]])]
    # Rounds 0 and 2 do one text, round 1 three: each at ten texts a second.
    assert rate(np.array([0.1, 0.3, 0.1]), works, "texts") == pytest.approx(10)
    assert rate(np.array([0.1, 0.3, 0.1]), works, "tokens") == pytest.approx(40)


def test_another_reading_than_time_may_be_taken():
    readings = iter(range(0, 10_000, 5))
    run = Runnable(Sleeper(0, []), make_features(1))
    joules = time_in_turn([run.engine], [[make_work(run, [[0]])]], 0.001, lambda: float(next(readings)))
    assert set(joules.ravel()) == {5.0}
