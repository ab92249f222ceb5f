"""Benchmarks are programs: their modules are found from their own folder."""

from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="module", autouse=True)
def found_from_here():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(HERE.parents[1] / "benchmarks")
        patch.syspath_prepend(HERE)  # what the processes of workers run
        yield
