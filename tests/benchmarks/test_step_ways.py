"""The two ways of a step, small; they need the public data beside the project."""

import importlib
from pathlib import Path

import pytest
import torch

from pocketbert.errors import PocketBertError

CPU = torch.device("cpu")
SMALL = {"batch_size": 2, "steps": 2, "width": 64, "layers": (2, 1)}


@pytest.fixture
def step_ways():
    module = importlib.import_module("step_ways")
    if not (module.VOCABULARY.is_file() and module.SST2.is_file()):
        pytest.skip("there is no public data beside the project")  # not ours to ship: a clone has to pass without it
    return module


class Asking:
    """The other end of a connection: asks so many times, and hangs up."""

    def __init__(self, times):
        self.times = times
        self.answers = []

    def recv(self):
        if len(self.answers) == self.times:
            raise EOFError
        return True

    def send(self, answer):
        self.answers.append(answer)


@pytest.mark.parametrize("kind", ["text", "rows"])
def test_ours_tells_of_each_step_and_of_its_precision(step_ways, kind):
    asking = Asking(2)
    step_ways.serve(asking, "ours", step_ways.Work(kind, **SMALL))
    for answer in asking.answers:
        assert len(answer.seconds) == 2 and min(answer.seconds) > 0
        assert answer.precision in ("fp32", "bf16", "fp16") and answer.memory > 2**20


@pytest.mark.parametrize("kind", ["text", "rows"])
def test_both_ways_compute_the_same(step_ways, tmp_path, kind):
    losses = step_ways.compare_losses(step_ways.Work(kind, **SMALL), tmp_path)
    assert losses.keys() == {"soft_targets", "cosine", "masked_lm" if kind == "text" else "labels"}
    step_ways.check_losses(losses)


def test_the_reference_trains_on_the_device(step_ways, monkeypatch, tmp_path):
    """On one without values, as far as it goes: models, batches, gradients and the optimiser are all there."""
    seen = []

    def losses(work, teacher, student, batch):
        seen.extend(value.device.type for value in (*teacher.parameters(), *batch.values()))
        return torch.stack([weight.sum() for weight in student.parameters()]).sum(), {}

    monkeypatch.setattr(step_ways, "reference_losses", losses)
    seconds, precision = next(
        step_ways._reference_rounds(step_ways.Work("text", **SMALL), tmp_path, torch.device("meta"))
    )
    assert set(seen) == {"meta"} and len(seconds) == 2 and precision == "fp32"


def test_more_than_there_is_is_refused(step_ways, tmp_path):
    work = step_ways.Work("text", batch_size=10_000, steps=8)
    with pytest.raises(
        PocketBertError, match=r"8 steps of 10000 take 90,000 blocks, and there are \d,\d+: take smaller"
    ):
        step_ways.make_data(work, Path(tmp_path))
