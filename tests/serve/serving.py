"""Servers to ask, each in a process of its own on a free port of this machine."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import httpx

from exported import HEADS, QUIET, exported, make_model
from pocketbert.export.exporting import export
from pocketbert.recipe import ExportStage, Limits
from pocketbert.serve.processes import COMMAND

HERE = Path(__file__).parent
FAULTY = [sys.executable, str(HERE / "faulty_worker.py")]


@cache
def entailing() -> Path:
    """An exported classifier of pairs that tells entailment. Not to be changed."""
    folder = Path(tempfile.mkdtemp(prefix="entailing-"))
    labels = {0: "contradiction", 1: "neutral", 2: "entailment"}
    model = make_model(folder / "model", "classification", num_labels=3, id2label=labels)
    options = ExportStage(precisions=["fp32"], formats=["onnx"], limits=Limits(label_flips=0.1))
    export(options, str(model), folder / "exported", console=QUIET)
    return folder / "exported"


@dataclass
class Running:
    """A server that runs."""

    url: str
    process: "subprocess.Popen[str]"
    log: Path

    def lines(self) -> list[dict[str, Any]]:
        """Of its log."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]

    def wait_for(self, event: str, seconds: float = 20) -> dict[str, Any]:
        """The first line about an event."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := [line for line in self.lines() if line["event"] == event]:
                return found[0]
            time.sleep(0.05)
        raise AssertionError(f"no {event!r} in {self.log.read_text()}")

    def stop(self) -> int:
        """Ask it to end, and say how it did."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30)


@contextmanager
def serving(
    folders: dict[str, Path], worker: list[str] | None = None, env: dict[str, str] | None = None, **settings: Any
) -> Iterator[Running]:
    """A server of some models, until the block ends."""
    chosen = {"port": 0, "drain_seconds": 0.0, "engine": "onnxruntime", "reload_seconds": 0.0, **settings}
    given = {"folders": {name: str(folder) for name, folder in folders.items()}, "settings": chosen}
    given["command"] = worker or list(COMMAND)
    log = Path(tempfile.mkstemp(prefix="server-", suffix=".log")[1])
    with log.open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, str(HERE / "launch.py"), json.dumps(given)],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, **(env or {})},
        )
    try:
        url = process.stdout.readline().strip()
        assert url, log.read_text()
        yield Running(url, process, log)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


TASKS = tuple(HEADS)


def every_task() -> dict[str, Path]:
    """An exported model of each task, and one for zero-shot."""
    return {**{task: exported(task) for task in TASKS}, "entailing": entailing()}


def post(running: Running, path: str, body: Any, **options: Any) -> httpx.Response:
    """Ask a server."""
    return httpx.post(running.url + path, json=body, timeout=30, **options)


def connect(running: Running, holding: int | None = None) -> socket.socket:
    """A connection to a server, which holds so many bytes of answers that are not read; as the system likes if None."""
    host, port = running.url.removeprefix("http://").split(":")
    connection = socket.socket()
    if holding is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, holding)
    connection.settimeout(20)
    connection.connect((host, int(port)))
    return connection
