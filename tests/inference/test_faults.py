"""Windows at which an engine fails, found by halves; an engine that fails at everything."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pocketbert.engines.description import Description
from pocketbert.errors import ModelError
from pocketbert.inference.faults import Unanswered, run_apart
from pocketbert.inference.reading import Window


class Engine:
    """An engine that fails at some tokens; it answers with the token, and with how many windows it was given."""

    name = "fake"
    inputs = frozenset({"input_ids", "attention_mask"})
    description = Description(task="classification", max_length=8)

    def __init__(self, poison=(), fault=None):
        self.poison, self.fault, self.batches = set(poison), fault or RuntimeError("no"), []

    def run(self, inputs):
        tokens = inputs["input_ids"][:, 0].tolist()
        self.batches.append(tokens)
        bad = [token in self.poison for token in tokens]
        if isinstance(self.fault, Exception) and any(bad):
            raise self.fault
        found = np.array([[token, len(tokens)] for token in tokens], np.float32)
        found[bad] = self.fault if not isinstance(self.fault, Exception) else 0
        return found


def windows(tokens):
    return [Window([token]) for token in tokens]


@given(count=st.integers(1, 40), poison=st.sets(st.integers(1, 40)), fault=st.sampled_from([None, np.nan, -np.inf]))
def test_those_that_fail_alone_are_found_and_the_others_run_together(count, poison, fault):
    tokens = range(1, count + 1)
    found = run_apart(Engine(poison, fault), windows(tokens))
    good = [token for token in tokens if token not in poison]
    said = "fake: RuntimeError: no" if fault is None else "fake: answered with what is not a finite number"
    for token, each in zip(tokens, found, strict=True):
        if token in poison:
            assert isinstance(each, Unanswered) and each.reason.startswith(said)
        else:
            assert each.tolist() == [token, len(good)]


def test_a_few_runs_find_one_of_many():
    engine = Engine({17})
    run_apart(engine, windows(range(1, 257)))
    assert len(engine.batches) < 22


def test_an_engine_that_fails_at_padding_too_is_broken():
    engine = Engine(range(9))
    with pytest.raises(ModelError, match="fake: RuntimeError: no"):
        run_apart(engine, windows(range(1, 9)))
    assert engine.batches[-1] == [Engine.description.pad_token_id]


def test_an_engine_that_fails_at_texts_together_alone_is_broken():
    def run(inputs):
        if len(inputs["input_ids"]) > 1:
            raise RuntimeError("too many")
        return np.zeros((1, 2), np.float32)

    engine = SimpleNamespace(name="fake", inputs=Engine.inputs, description=Engine.description, run=run)
    with pytest.raises(ModelError, match="too many"):
        run_apart(engine, windows([1, 2]))


@pytest.mark.parametrize("error", [MemoryError(), OSError(5, "Input/output error")])
def test_what_is_the_machines_fault_is_nobody_elses(error):
    with pytest.raises(type(error)):
        run_apart(Engine({3}, error), windows(range(1, 9)))


def test_an_engine_that_leaves_texts_out_is_broken():
    class Forgetful(Engine):
        def run(self, inputs):
            return super().run(inputs)[:0]

    with pytest.raises(ModelError, match="fake: answered 0 texts of"):
        run_apart(Forgetful(), windows([1, 2, 3]))
