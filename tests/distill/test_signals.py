"""A teacher on several cores says what it says on one."""

import pytest
import torch

import tiny
from pocketbert.distill import signals
from pocketbert.distill.signals import Needs, OnlineSignals
from pocketbert.models.inside import EMBEDDINGS, Inside

CPU = torch.device("cpu")
WANTED = Inside(frozenset({EMBEDDINGS, 0, 1}), frozenset({1}))
ROWS, TOKENS = 7, 9


@pytest.fixture
def batch():
    torch.manual_seed(0)
    mask = torch.ones(ROWS, TOKENS, dtype=torch.long)
    mask[2, 5:] = mask[6, 3:] = 0
    return {"input_ids": torch.randint(5, 20, (ROWS, TOKENS)), "attention_mask": mask}


@pytest.fixture(autouse=True)
def threads_as_before():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def asked(family, head, threads, monkeypatch, per_core=1):
    """A teacher on so many threads, each worth its start."""
    monkeypatch.setattr(signals, "TOKENS_PER_CORE", per_core)
    torch.set_num_threads(threads)
    tokenizer = tiny.make_tokenizer(family)
    return OnlineSignals(tiny.make_model(family, head, tokenizer), Needs(True, WANTED), CPU, torch.float32)


def close(one, other):
    return torch.allclose(one, other, atol=1e-5)


def check_inside(one, other):
    assert one.states.keys() == other.states.keys() == WANTED.states
    assert all(close(one.states[layer], other.states[layer]) for layer in one.states)
    assert all(close(*pair) for pair in zip(one.attention[1], other.attention[1], strict=True))


@pytest.mark.parametrize("threads", [2, 3, 16])
@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_answers_to_a_task_and_what_is_inside(family, threads, batch, monkeypatch):
    alone = asked(family, "SequenceClassification", 1, monkeypatch)(batch, None)
    both = asked(family, "SequenceClassification", threads, monkeypatch)(batch, None)
    assert close(alone.logits, both.logits)
    check_inside(alone.inside, both.inside)


@pytest.mark.parametrize("threads", [2, 3])
def test_starts_and_ends_of_answers(threads, batch, monkeypatch):
    alone, both = (asked("bert", "QuestionAnswering", count, monkeypatch)(batch, None) for count in (1, threads))
    assert both.logits.shape == (ROWS, TOKENS, 2)
    assert close(alone.logits, both.logits)


@pytest.mark.parametrize("places", [[0, 8, 13, 40, 41, 62], [3], [62]])
def test_places_of_a_masked_language_model_are_found_in_their_parts(places, batch, monkeypatch):
    positions = torch.tensor(places)
    alone = asked("bert", "MaskedLM", 1, monkeypatch)(batch, positions)
    both = asked("bert", "MaskedLM", 3, monkeypatch)(batch, positions)
    assert len(both.logits) == len(places)
    assert close(alone.logits.decode(), both.logits.decode())
    check_inside(alone.inside, both.inside)


def test_few_tokens_are_read_by_one_pass_on_all_cores(batch, monkeypatch):
    tasks = []
    monkeypatch.setattr(signals.Cores, "run", lambda _self, given: tasks.append(len(given)) or [t() for t in given])
    for per_core in (ROWS * TOKENS // 2, ROWS * TOKENS // 2 + 1):
        asked("bert", "SequenceClassification", 2, monkeypatch, per_core)(batch, None)
    assert tasks == [2, 1]


def test_copies_are_made_when_they_are_needed_and_share_their_weights(batch, monkeypatch):
    teacher = asked("bert", "SequenceClassification", 3, monkeypatch)
    assert len(teacher._projections) == 1
    for _ in range(2):
        teacher(batch, None)
    first, *others = (projection._model for projection in teacher._projections)
    assert len(others) == 2
    for other in others:
        assert other is not first
        assert all(one is two for one, two in zip(first.parameters(), other.parameters(), strict=True))
