"""A worker whose process cannot be had at some moment."""

import asyncio
import errno
import os
import signal
import subprocess
import sys

import pytest

from exported import exported
from pocketbert.errors import ModelError
from pocketbert.inference.reading import Window
from pocketbert.serve import processes
from pocketbert.serve.warming import shapes
from pocketbert.serve.worker import Worker

OPTIONS = {"threads": 1, "streams": 1, "engine": "onnxruntime", "precision": None, "batch_tokens": 16, "warm_up": 0}

RECORDS = """
import sys
from pathlib import Path

from pocketbert.serve import warming, worker_process

run_batch = warming.run_batch

def record(engine, batch):
    with Path(sys.argv[0]).with_suffix(".txt").open("a") as shapes:
        print(len(batch), len(batch[0].ids), file=shapes)
    return run_batch(engine, batch)

warming.run_batch = record
worker_process.main()
"""
"""A worker that writes down what it runs unasked."""

FAILS = """
from pocketbert.serve import worker_process

def fail(*args, **kwargs):
    raise {error}

worker_process.open_directory = fail
worker_process.main()
"""
"""A worker that cannot open what it is told to."""


@pytest.fixture
def crowded(monkeypatch):
    """Moments at which the system starts no process: so many are left."""
    left = [0]

    class Popen(subprocess.Popen):
        def __init__(self, *args, **kwargs):
            if left[0]:
                left[0] -= 1
                raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
            super().__init__(*args, **kwargs)

    monkeypatch.setattr(processes.subprocess, "Popen", Popen)
    return left


def test_a_process_that_cannot_be_started_is_told(crowded):
    crowded[0] = 1
    worker = Worker(exported("classification"), OPTIONS, 20.0)
    with pytest.raises(ModelError, match="no process can be started to run it: Resource temporarily unavailable"):
        asyncio.run(worker.start())


def test_a_replacement_that_cannot_be_started_is_tried_again(crowded):
    async def main():
        worker, told = Worker(exported("classification"), OPTIONS, 20.0), []
        await worker.start()
        worker.changed = lambda: told.append((worker.ready, worker.failing))
        crowded[0] = 2
        os.kill(worker.pid, signal.SIGKILL)
        async with asyncio.timeout(60):
            while not worker.restarts:
                await asyncio.sleep(0.01)
        logits = await worker.run([Window([2, 3])])
        await worker.close()
        return told, logits[0].shape

    told, shape = asyncio.run(main())
    assert told[:2] == [(False, False), (False, True)] and told[-1] == (True, False) and shape == (2,)


def test_a_worker_that_nobody_asks_meets_the_shapes_that_are_left_and_answers_in_between(tmp_path):
    script, seen = tmp_path / "worker.py", tmp_path / "worker.txt"
    script.write_text(RECORDS)

    def met():
        return [tuple(map(int, line.split())) for line in seen.read_text().splitlines()] if seen.exists() else []

    async def main():
        worker = Worker(exported("classification"), OPTIONS, 20.0, (sys.executable, str(script)))
        said = await worker.start()
        wanted, answers = list(shapes(said.description.max_length, 16)), []
        at_first = len(met())
        async with asyncio.timeout(60):
            while len(met()) < len(wanted):
                answers += await worker.run([Window([2, 3])])
                await asyncio.sleep(0.25)
        await asyncio.sleep(0.5)
        await worker.close()
        return at_first, wanted, answers

    at_first, wanted, answers = asyncio.run(main())
    assert at_first <= 1 and met() == wanted
    assert len(answers) > 1 and all((each == answers[0]).all() for each in answers)


def test_a_worker_whose_engine_fails_while_nobody_asks_goes_on(tmp_path):
    script, seen = tmp_path / "worker.py", tmp_path / "worker.txt"
    script.write_text(RECORDS.replace("return run_batch(engine, batch)", 'raise OSError("as told")'))

    async def main():
        worker = Worker(exported("classification"), OPTIONS, 20.0, (sys.executable, str(script)))
        await worker.start()
        async with asyncio.timeout(60):
            while not seen.exists():
                await asyncio.sleep(0.01)
        logits = await worker.run([Window([2, 3])])
        await worker.close()
        return logits[0].shape, worker.restarts

    assert asyncio.run(main()) == ((2,), 0)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        ("PermissionError(13, 'Permission denied', '/m/manifest.json')", "/m/manifest.json: Permission denied"),
        ("OSError(5, 'Input/output error')", "Input/output error"),
        ("PermissionError(13, 'Permission denied', '/m/bad\\udcff')", "/m/bad\\udcff: Permission denied"),
        ("MemoryError()", "MemoryError"),
        ("RuntimeError('as told')", "RuntimeError: as told"),
    ],
)
def test_a_model_that_cannot_be_opened_is_told_of_with_the_cause(tmp_path, capfd, error, told):
    script = tmp_path / "worker.py"
    script.write_text(FAILS.format(error=error))
    worker = Worker(tmp_path, OPTIONS, 20.0, (sys.executable, str(script)))
    with pytest.raises(ModelError) as refused:
        asyncio.run(worker.start())
    assert str(refused.value) == f"{tmp_path}: cannot be opened: {told}"
    assert capfd.readouterr().err == ""
