"""Killed while it is filled, a cache goes on after its last flush and ends the same."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import cache_death
import jobs
import numpy as np
import pytest

from pocketbert.distill.cache import asking
from pocketbert.distill.cache.index import read_index
from pocketbert.distill.cache.store import Reader

HERE = Path(__file__).parent


def kill(folder, batches, top_k):
    path = os.pathsep.join([str(HERE), str(HERE.parent), str(HERE.parents[1])])
    done = subprocess.run(
        [sys.executable, HERE / "cache_death.py", folder, str(batches), str(top_k or 0)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([path, os.environ.get("PYTHONPATH", "")])},
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


def contents(folder):
    """Everything that is kept, by the number of its entry."""
    kinds = read_index(folder).content.kinds
    reader = Reader(folder, kinds)
    order = np.argsort(reader.numbers)
    return reader.numbers[order].tolist(), {
        kind: [reader.read(entry, kind).tobytes() for entry in order] for kind in kinds
    }


@pytest.mark.parametrize("top_k", [None, 6])
def test_a_killed_filling_goes_on(tmp_path, monkeypatch, top_k):
    kill(tmp_path, 3, top_k)
    before = json.loads((tmp_path / "cache" / "index.json").read_text())["entries"]
    assert before == 6
    # Two records of hidden states a token lie there that do not count.
    kill(tmp_path, 2, top_k)
    assert json.loads((tmp_path / "cache" / "index.json").read_text())["entries"] == before + 4

    monkeypatch.setattr(asking, "TOKENS_PER_BATCH", 32)
    jobs.run(jobs.cached(cache_death.job(tmp_path / "run"), tmp_path / "cache", top_k=top_k))
    jobs.cached(cache_death.job(tmp_path / "whole"), tmp_path / "uninterrupted", top_k=top_k)
    assert contents(tmp_path / "cache") == contents(tmp_path / "uninterrupted")
