"""Processes that are asked in turn."""

import importlib

import pytest

from pocketbert.errors import PocketBertError


@pytest.fixture
def workers():
    return importlib.import_module("workers")


def served(name):
    return getattr(importlib.import_module("served"), name)


def test_workers_answer_in_turn_and_end(workers):
    pair = [workers.Worker(f"from {start}", served("answer"), start) for start in (0, 10)]
    assert [worker.ask() for worker in (*pair, *pair)] == [0, 10, 1, 11]
    for worker in pair:
        worker.end()
        assert worker._process.exitcode == 0


def test_a_worker_that_dies_is_not_waited_for(workers):
    """Not the second one either, of whose connection the first could have held an end."""
    alive, dying = workers.Worker("reference", served("answer"), 0), workers.Worker("ours", served("die"), 7)
    alive.ask()
    dying._here.send(True)
    assert dying._here.poll(60)  # else the next line waits for ever
    with pytest.raises(PocketBertError, match="ours: its process ended with exit code 7 before it answered"):
        dying.ask()
    alive.end()


def test_a_worker_that_died_before_it_was_asked_is_told_of_alike(workers):
    worker = workers.Worker("ours", served("die"), 3)
    worker._here.send(True)
    worker._process.join(60)
    assert worker._here.poll()
    with pytest.raises(PocketBertError, match="ours: its process ended with exit code 3"):
        worker.ask()
