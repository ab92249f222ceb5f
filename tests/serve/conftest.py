"""Servers that several tests ask."""

from collections.abc import Iterator

import pytest
from serving import FAULTY, Running, every_task, serving

from exported import exported


@pytest.fixture(scope="session")
def server() -> Iterator[Running]:
    """A server of every task."""
    with serving(every_task(), max_items=40, max_characters=5000, max_body=1_000_000) as running:
        yield running


@pytest.fixture(scope="module")
def faulty() -> Iterator[Running]:
    """A server whose engine fails at some words; see ``faulty_worker.py``."""
    with serving({"model": exported("classification")}, FAULTY, batch_timeout=1.0, deadline=30_000) as running:
        yield running
