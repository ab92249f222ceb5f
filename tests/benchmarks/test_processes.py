"""Processes that are asked in turn."""

import importlib

import pytest

from pocketbert.errors import PocketBertError


@pytest.fixture
def processes():
    return importlib.import_module("processes")


def served(name):
    return getattr(importlib.import_module("served"), name)


def test_workers_answer_in_turn_and_end(processes):
    pair = [processes.Worker(f"from {start}", served("answer"), start) for start in (0, 10)]
    assert [worker.ask() for worker in (*pair, *pair)] == [0, 10, 1, 11]
    for worker in pair:
        worker.end()
        assert worker._process.exitcode == 0


def test_a_worker_that_dies_is_not_waited_for(processes):
    """Not the second one either, of whose connection the first could have held an end."""
    alive, dying = processes.Worker("reference", served("answer"), 0), processes.Worker("ours", served("die"), 7)
    alive.ask()
    dying._here.send(True)
    assert dying._here.poll(60)  # else the next line waits for ever
    with pytest.raises(PocketBertError, match="ours: its process ended with exit code 7 before it answered"):
        dying.ask()
    alive.end()


def test_a_worker_that_died_before_it_was_asked_is_told_of_alike(processes):
    worker = processes.Worker("ours", served("die"), 3)
    worker._here.send(True)
    worker._process.join(60)
    assert worker._here.poll()
    with pytest.raises(PocketBertError, match="ours: its process ended with exit code 3"):
        worker.ask()
