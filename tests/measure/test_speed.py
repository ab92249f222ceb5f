import time

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from pocketbert.errors import ModelError
from pocketbert.measure.speed import Runnable, measure_size, measure_speed


def make_features(count: int = 50) -> list[dict]:
    """Rows of 4 to 12 tokens."""
    lengths = [4 + row % 9 for row in range(count)]
    return [{"input_ids": [5] * length, "attention_mask": [1] * length} for length in lengths]


class Sleeper:
    """A model that takes a set time, and remembers its inputs."""

    def __init__(self, milliseconds: float, calls: list) -> None:
        self.milliseconds, self.calls = milliseconds, calls

    def __call__(self, input_ids, attention_mask) -> None:
        self.calls.append((self.milliseconds, input_ids, attention_mask))
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
        assert torch.equal(first, second)
        assert torch.equal(first != 0, mask != 0)


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


def test_models_must_share_their_rows():
    models = {
        "a": Runnable(Sleeper(0, []), make_features(3)),
        "b": Runnable(Sleeper(0, []), make_features(4)),
    }
    with pytest.raises(ValueError, match="same rows"):
        measure_speed(models)
    with pytest.raises(ValueError, match="same rows"):
        measure_speed({})


class Embedder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(10, 4)
        self.drop = nn.Dropout()
        self.out = nn.Linear(4, 10)

    def forward(self, input_ids, attention_mask):
        assert not self.training
        assert torch.is_inference_mode_enabled()
        return self.out(self.drop(self.words(input_ids)))


@pytest.mark.parametrize(("dtype", "precision"), [(torch.float32, "fp32"), (torch.bfloat16, "bf16")])
def test_a_module_is_run_for_inference_and_says_its_precision(dtype, precision):
    features = [{**feature, "token_type_ids": feature["input_ids"], "labels": 1} for feature in make_features(5)]
    run = Runnable.from_module(Embedder().to(dtype), features, pad_token_id=0)
    assert run.features == make_features(5)  # what it does not take is left out
    speed = measure_speed({"teacher": run}, seconds=0.01, batch_size=4)
    assert speed.models["teacher"].precision == precision


def test_size_counts_weights_and_bytes(tmp_path):
    weights = {"words": torch.zeros(10, 4), "bias": torch.zeros(7, dtype=torch.float16)}
    save_file(weights, tmp_path / "model.safetensors")
    size = measure_size(tmp_path)
    assert size.parameters == 47
    assert size.bytes == (tmp_path / "model.safetensors").stat().st_size


def test_size_adds_up_shards(tmp_path):
    for number in (1, 2):
        save_file({f"part{number}": torch.zeros(3)}, tmp_path / f"model-0000{number}-of-00002.safetensors")
    assert measure_size(tmp_path).parameters == 6


def test_size_counts_tied_weights_once(tmp_path):
    from transformers import BertConfig, BertForMaskedLM

    config = BertConfig(vocab_size=50, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
    model = BertForMaskedLM(config)
    model.save_pretrained(tmp_path)
    assert measure_size(tmp_path).parameters == sum(weight.numel() for weight in set(model.parameters()))


def test_a_directory_without_weights_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"no model\.safetensors"):
        measure_size(tmp_path)
