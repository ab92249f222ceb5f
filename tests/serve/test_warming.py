"""What is run before the first request."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from workers import window

from exported import exported
from pocketbert.engines.batching import bucket
from pocketbert.engines.choice import open_directory
from pocketbert.engines.description import Description
from pocketbert.errors import ModelError
from pocketbert.serve import warming
from pocketbert.serve.waiting import Job, Waiting
from pocketbert.serve.warming import shapes, warm_up


class Recorder:
    """An engine that tells what it is given."""

    def __init__(self):
        self._engine = open_directory(exported("classification"), threads=1).engine
        self.inputs, self.description = self._engine.inputs, self._engine.description
        self.seen = []

    def run(self, inputs):
        self.seen.append(inputs["input_ids"].shape)
        return self._engine.run(inputs)


def test_every_shape_is_run_once_single_windows_first():
    engine = Recorder()
    warm_up(engine, 64)
    assert engine.seen == list(shapes(engine.description.max_length, 64)) and len(set(engine.seen)) == len(engine.seen)
    assert [rows for rows, _ in engine.seen] == sorted(rows for rows, _ in engine.seen)
    assert engine.seen[0] == (1, bucket(1, engine.description.max_length))


def test_a_large_model_of_long_texts_is_not_waited_for_much_longer(monkeypatch):
    now = 0.0

    def run(inputs):
        nonlocal now
        now += 1e-6 * inputs["input_ids"].size * inputs["input_ids"].shape[1]  # 67 s for the longest text
        return np.zeros((len(inputs["input_ids"]), 2), np.float32)

    description = Description(task="classification", max_length=8192)
    engine = SimpleNamespace(inputs={"input_ids"}, description=description, run=run)
    monkeypatch.setattr(warming, "time", SimpleNamespace(monotonic=lambda: now))
    warm_up(engine, 512)
    assert warming.SECONDS < now < 1.5 * warming.SECONDS


def test_an_engine_that_fails_is_told():
    def run(inputs):
        raise RuntimeError("no")

    description = Description(task="classification", max_length=8)
    engine = SimpleNamespace(name="fake", inputs={"input_ids"}, description=description, run=run)
    with pytest.raises(ModelError, match="fake: RuntimeError: no"):
        warm_up(engine, 8)


def test_a_replacement_is_not_delayed():
    engine = Recorder()
    warm_up(engine, 0)
    assert engine.seen == []


@given(st.lists(st.integers(1, 512), min_size=1, max_size=60), st.sampled_from([64, 200, 512]))
def test_what_the_queue_gives_was_run_before(lengths, budget):
    known = set(shapes(512, budget))
    waiting = Waiting()
    for number, tokens in enumerate(lengths):
        waiting.add(Job(None, 0, window(number), bucket(tokens, 512), number))
    while batch := waiting.take(budget):
        assert (len(batch), max(job.tokens for job in batch)) in known
