"""What is run before the first request."""

from hypothesis import given
from hypothesis import strategies as st
from workers import window

from exported import exported
from pocketbert.engines.batching import bucket
from pocketbert.engines.choice import open_directory
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
    assert engine.seen[0] == (1, engine.description.max_length)


def test_it_ends_in_time(monkeypatch):
    engine = Recorder()
    monkeypatch.setattr(warming, "SECONDS", -1.0)
    warm_up(engine, 64)
    assert engine.seen == []


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
