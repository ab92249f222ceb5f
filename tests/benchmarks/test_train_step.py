"""What the benchmark of a step makes of what its workers tell."""

import importlib
import json
import sys
from types import SimpleNamespace

import pytest
import torch

from pocketbert.errors import PocketBertError

GPU, CPU = torch.device("cuda"), torch.device("cpu")
SAME = {"cosine": (0.5, 0.5001)}


@pytest.fixture
def train_step():
    return importlib.import_module("train_step")


@pytest.fixture
def step_ways():
    return importlib.import_module("step_ways")


def flags(**changed):
    return SimpleNamespace(**{"short": False, "row_steps": 50, "batch_size": None, "rounds": 3, **changed})


@pytest.mark.parametrize(
    ("kind", "device", "changed", "expected"),
    [
        ("text", CPU, {}, (16, 8, 768)),
        ("rows", CPU, {}, (32, 50, 768)),
        ("text", GPU, {}, (256, 8, 768)),
        ("rows", GPU, {"row_steps": 20}, (256, 20, 768)),
        ("text", GPU, {"batch_size": 64}, (64, 8, 768)),
        ("text", CPU, {"short": True}, (16, 4, 64)),
    ],
)
def test_the_work_fits_the_device(train_step, kind, device, changed, expected):
    work = train_step.choose_work(kind, flags(**changed), device)
    assert (work.batch_size, work.steps, work.width) == expected


def test_a_step_of_text_is_the_median_and_one_of_rows_the_mean(train_step):
    assert train_step.step_seconds("text", [9.0, 1.0, 2.0, 4.0]) == 2.0
    assert train_step.step_seconds("rows", [9.0, 1.0, 2.0, 4.0]) == 4.0


def test_the_share_of_the_ceiling(train_step, step_ways):
    work = step_ways.Work("text", batch_size=4, steps=1)
    found = train_step.share_of_ceiling(work, 2.0, train_step.operations(work))
    assert found["share_of_ceiling"] == 0.5 and found["tokens_per_second"] == 4 * 128 / 2


@pytest.mark.parametrize(
    ("expected", "found", "same"),
    [
        (10.0, 10.09, True),
        (10.0, 9.89, False),
        (0.0, 0.0009, True),
        (0.0, -0.0011, False),
        (10.0, float("nan"), False),
        (float("nan"), float("nan"), False),
    ],
)
def test_losses_agree_as_far_as_bf16_goes(step_ways, expected, found, same):
    losses = {"cosine": (1.0, 1.0), "masked_lm": (expected, found)}
    if same:
        step_ways.check_losses(losses)
        return
    with pytest.raises(PocketBertError, match=r"masked_lm: the reference computes \S+ and ours \S+, which is more"):
        step_ways.check_losses(losses)


@pytest.fixture
def fakes(train_step, step_ways, monkeypatch):
    """Workers that tell of steps of 4 s and 1 s, ours in fp16; what was asked about the ceiling."""

    class Told:
        def __init__(self, name, serve, way, work):
            self.answer = (
                step_ways.Round([9.0, 4.0, 4.0], "fp32", 2**30)
                if way == "reference"
                else step_ways.Round([9.0, 1.0, 1.0], "fp16", 2**29)
            )

        def ask(self):
            return self.answer

        def end(self):
            pass

    asked = []
    monkeypatch.setattr(train_step, "Worker", Told)
    monkeypatch.setattr(train_step, "compare_losses", lambda work, folder: SAME)
    monkeypatch.setattr(train_step, "product_speed", lambda device, dtype: asked.append(dtype) or 1e15)
    monkeypatch.setattr(sys, "argv", ["train_step.py", "--kinds", "text"])
    return asked


def run(train_step, monkeypatch, tmp_path, *arguments):
    monkeypatch.setattr(sys, "argv", [*sys.argv, *arguments, "--json", str(tmp_path / "result.json")])
    train_step.main()
    return json.loads((tmp_path / "result.json").read_text())


def test_on_a_cpu_the_headline_is_held_against_the_goals(train_step, fakes, monkeypatch, tmp_path, capsys):
    result = run(train_step, monkeypatch, tmp_path)
    assert result["headline"] == 4 / 8
    (row,) = result["rows"]
    assert row["precision"] == {"reference": "fp32", "ours": "fp16"} and fakes == [torch.float16]
    assert row["memory_bytes"] == {"reference": 2**30, "ours": 2**29}
    said = capsys.readouterr().out
    assert "goal 8" in said and "2048 × 2048 in fp16" in said and "2,048 tokens/s" in said


def test_on_a_gpu_there_is_no_headline(train_step, fakes, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(train_step, "training_device", lambda: GPU)
    monkeypatch.setattr(train_step, "release_memory", lambda device: None)
    result = run(train_step, monkeypatch, tmp_path)
    assert result["headline"] is None and result["rows"][0]["batch_size"] == 256
    said = capsys.readouterr().out
    assert "goal" not in said and "8192 × 8192" in said and "32,768 tokens/s" in said and "0.50 GiB" in said


def test_batches_of_another_size_have_no_goal(train_step, fakes, monkeypatch, tmp_path, capsys):
    assert run(train_step, monkeypatch, tmp_path, "--batch-size", "4")["headline"] is None
    assert "goal" not in capsys.readouterr().out


def test_ways_that_differ_are_not_timed(train_step, fakes, monkeypatch, tmp_path):
    monkeypatch.setattr(train_step, "compare_losses", lambda work, folder: {"cosine": (0.5, 0.6)})
    monkeypatch.setattr(train_step, "Worker", lambda *arguments: pytest.fail("was started"))
    with pytest.raises(PocketBertError, match="cosine"):
        run(train_step, monkeypatch, tmp_path)
