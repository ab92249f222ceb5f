import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketbert.errors import DataError, ModelError
from pocketbert.inference import pipeline as module
from pocketbert.inference.faults import Unanswered

WORDS = ["the", "cat", "saw", "a", "bright", "house", "near", "cold", "park"]
TEXTS = st.lists(st.lists(st.sampled_from(WORDS), max_size=70).map(" ".join), max_size=12)


def counted(monkeypatch, engine):
    """Texts that the engine is given from here on."""
    seen, run = [], engine.run

    def run_counted(inputs):
        seen.extend(range(len(inputs["input_ids"])))
        return run(inputs)

    monkeypatch.setattr(engine, "run", run_counted)
    return seen


@settings(max_examples=40, deadline=None)
@given(texts=TEXTS, block=st.integers(1, 5), streams=st.sampled_from([1, 2]))
def test_a_list_is_answered_as_each_alone_in_order(pipeline, texts, block, streams):
    alone = [pipeline("classification")(text) for text in texts]
    opened = pipeline("classification", streams=streams)
    blocks = [texts[start : start + block] for start in range(0, len(texts), block)]
    streamed = [answer for answers in opened.stream(blocks) for answer in answers]
    for found in (opened(texts), streamed):
        assert [(each.label, each.tokens) for each in found] == [(each.label, each.tokens) for each in alone]
        assert [each.score for each in found] == pytest.approx([each.score for each in alone], abs=1e-5)


def test_equal_texts_are_computed_once(pipeline, monkeypatch):
    opened = pipeline("classification")
    monkeypatch.setattr(module, "BLOCK", 3)
    seen = counted(monkeypatch, opened.engine)
    answers = opened(["the cat", "a house", "the cat", "the cat", "a house", "a park", "the cat"])
    assert len(seen) == 3
    assert answers[0] == answers[2] == answers[3] == answers[6] != answers[1]


def test_a_pair_is_not_the_text_of_its_words(pipeline, monkeypatch):
    seen = counted(monkeypatch, pipeline("classification").engine)
    pipeline("classification")(["the cat", ("the", "cat")])
    assert len(seen) == 2


def test_no_text_gives_no_answer(pipeline):
    assert pipeline("classification")([]) == []
    assert list(pipeline("classification").stream([[], ["the cat"], []]))[::2] == [[], []]


def test_the_next_block_is_fetched_while_one_is_computed_but_not_all(pipeline):
    fetched = []

    def blocks():
        for number in range(10):
            fetched.append(number)
            yield [f"the cat {number}"]

    stream = pipeline("classification").stream(blocks())
    next(stream)
    assert len(fetched) <= 4


def test_a_failure_while_blocks_are_fetched_is_the_callers(pipeline):
    def blocks():
        yield ["the cat"]
        raise DataError("row 17 is broken")

    with pytest.raises(DataError, match="row 17"):
        list(pipeline("classification").stream(blocks()))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_logit_that_is_no_number_is_no_answer(pipeline, monkeypatch, value):
    opened = pipeline("classification")
    run = opened.engine.run
    monkeypatch.setattr(opened.engine, "run", lambda inputs: run(inputs) * value)
    for asked in ("the cat", ["the cat"]):
        with pytest.raises(ModelError, match="not a finite number"):
            opened(asked)


@pytest.mark.parametrize("task", ["classification", "token_classification", "embedding"])
def test_several_threads_may_call_at_once(pipeline, task):
    opened = pipeline(task, streams=2)
    texts = [f"the cat saw {' '.join(WORDS[: number % 9])}" for number in range(24)]
    alone = [opened(text) for text in texts]
    gate = threading.Barrier(8)

    def call(number):
        gate.wait()
        return [opened(text) for text in texts[number::8]]

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(call, range(8)))
    for number, answers in enumerate(found):
        for answer, expected in zip(answers, alone[number::8], strict=True):
            assert answer.tokens == expected.tokens
            if task == "embedding":
                np.testing.assert_allclose(answer.vector, expected.vector, atol=1e-6)
            else:
                assert str(answer)[:40] == str(expected)[:40]


def test_an_attempt_goes_on_where_a_stream_ends(pipeline, monkeypatch):
    opened = pipeline("classification")
    run, word = opened.engine.run, opened.reader.tokenizer.token_to_id("owl")

    def failing(inputs):
        if (inputs["input_ids"] == word).any():
            raise RuntimeError("too wise")
        return run(inputs)

    blocks = [["the cat", "an owl", "a house", "an owl"], ["a park", "the owl"], ["the owl"]]
    alone = opened(["the cat", "a house", "a park"])
    monkeypatch.setattr(opened.engine, "run", failing)
    found = [answer for answers in opened.attempt(blocks) for answer in answers]
    assert [each.reason for each in found if isinstance(each, Unanswered)] == [
        f"{opened.engine.name}: RuntimeError: too wise"
    ] * 4
    answers = [each for each in found if not isinstance(each, Unanswered)]
    assert [each.label for each in answers] == [each.label for each in alone]
    assert [each.score for each in answers] == pytest.approx([each.score for each in alone], abs=1e-5)
    for ask in (lambda: list(opened.stream(blocks)), lambda: opened(blocks[0]), lambda: opened("an owl")):
        with pytest.raises(ModelError, match="too wise"):
            ask()
