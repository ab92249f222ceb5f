"""A worker whose process cannot be had at some moment."""

import asyncio
import errno
import os
import signal
import subprocess

import pytest

from exported import exported
from pocketbert.errors import ModelError
from pocketbert.inference.reading import Window
from pocketbert.serve import processes
from pocketbert.serve.worker import Worker

OPTIONS = {"threads": 1, "streams": 1, "engine": "onnxruntime", "precision": None, "warm_up": 0}


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
