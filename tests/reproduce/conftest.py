"""The reproduction is a program: its modules, and those it shares with benchmarks, are found from their folders."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module", autouse=True)
def found_from_here():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "benchmarks")
        patch.syspath_prepend(ROOT / "recipes" / "reproduce")
        yield
