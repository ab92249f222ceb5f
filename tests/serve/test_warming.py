"""What is run before the first request, and while nobody asks."""

from concurrent.futures import ThreadPoolExecutor
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
from pocketbert.serve.warming import START_SECONDS, WarmUp, shapes


@pytest.fixture
def threads():
    with ThreadPoolExecutor(2) as threads:
        yield threads


class Recorder:
    """An engine that tells what it is given."""

    def __init__(self):
        self._engine = open_directory(exported("classification"), threads=1).engine
        self.inputs, self.description = self._engine.inputs, self._engine.description
        self.seen = []

    def run(self, inputs):
        self.seen.append(inputs["input_ids"].shape)
        return self._engine.run(inputs)


def make(engine, batch_tokens, threads, streams=1):
    return WarmUp(engine, batch_tokens, streams, threads)


def test_every_shape_is_run_once_single_windows_first(threads):
    engine = Recorder()
    make(engine, 64, threads).run(60)
    assert engine.seen == list(shapes(engine.description.max_length, 64)) and len(set(engine.seen)) == len(engine.seen)
    assert [rows for rows, _ in engine.seen] == sorted(rows for rows, _ in engine.seen)
    assert engine.seen[0] == (1, bucket(1, engine.description.max_length))


def test_every_stream_runs_every_shape(threads):
    engine = Recorder()
    make(engine, 64, threads, streams=2).run(60)
    assert engine.seen == [shape for shape in shapes(engine.description.max_length, 64) for _ in range(2)]


def test_a_large_model_of_long_texts_is_not_waited_for_much_longer(monkeypatch, threads):
    now = 0.0

    def run(inputs):
        nonlocal now
        now += 1e-6 * inputs["input_ids"].size * inputs["input_ids"].shape[1]  # 67 s for the longest text
        return np.zeros((len(inputs["input_ids"]), 2), np.float32)

    description = Description(task="classification", max_length=8192)
    engine = SimpleNamespace(inputs={"input_ids"}, description=description, run=run)
    monkeypatch.setattr(warming, "time", SimpleNamespace(monotonic=lambda: now))
    make(engine, 512, threads).run(START_SECONDS)
    assert START_SECONDS < now < 1.5 * START_SECONDS


def test_what_is_left_is_run_while_nobody_asks(threads):
    engine, answers = Recorder(), iter([True, True, False, True, False])
    warm_up = make(engine, 64, threads)
    wanted = list(shapes(engine.description.max_length, 64))
    for reached in (2, 3):
        warm_up.run_while(lambda _: next(answers))
        assert engine.seen == wanted[:reached]
    warm_up.run_while(lambda _: True)
    assert engine.seen == wanted
    warm_up.run_while(lambda _: pytest.fail("there is nothing left to wait for"))


def test_the_slower_the_shapes_the_longer_the_silence_that_is_waited_for(monkeypatch, threads):
    now, silences = 0.0, []

    def run(inputs):
        nonlocal now
        now += 0.01 * inputs["input_ids"].size
        return np.zeros((len(inputs["input_ids"]), 2), np.float32)

    engine = SimpleNamespace(
        inputs={"input_ids"}, description=Description(task="classification", max_length=64), run=run
    )
    monkeypatch.setattr(warming, "time", SimpleNamespace(monotonic=lambda: now))
    make(engine, 64, threads).run_while(lambda seconds: silences.append(seconds) or len(silences) < 4)
    assert silences == pytest.approx([0.1, 0.16, 0.24, 0.32])  # 8, 12 and 16 tokens took half of that


def test_an_engine_that_fails_is_told(threads):
    def run(inputs):
        raise RuntimeError("no")

    description = Description(task="classification", max_length=8)
    engine = SimpleNamespace(name="fake", inputs={"input_ids"}, description=description, run=run)
    with pytest.raises(ModelError, match="fake: RuntimeError: no"):
        make(engine, 8, threads).run(60)


def test_a_replacement_is_not_delayed(threads):
    engine = Recorder()
    make(engine, 64, threads).run(0)
    assert engine.seen == []


@given(st.lists(st.integers(1, 512), min_size=1, max_size=60), st.sampled_from([64, 200, 512]))
def test_what_the_queue_gives_was_run_before(lengths, budget):
    known = set(shapes(512, budget))
    waiting = Waiting()
    for number, tokens in enumerate(lengths):
        waiting.add(Job(None, 0, window(number), bucket(tokens, 512), number))
    while batch := waiting.take(budget):
        assert (len(batch), max(job.tokens for job in batch)) in known
