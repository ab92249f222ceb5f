"""What runs in a process of its own: an engine, and batches through it. Its only duty is to answer or to die."""

import json
import os
import selectors
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from pocketbert.engines.base import Engine, Logits
from pocketbert.engines.choice import Opened, open_directory
from pocketbert.errors import PocketBertError
from pocketbert.inference.reading import Window
from pocketbert.inference.running import run_batch
from pocketbert.serve.frames import Head, pack, read_message
from pocketbert.serve.warming import WarmUp


class Channel:
    """The worker's end of the connection to the server; several threads may send.

    Args:
        connection: to the server.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection, self._coming = connection, selectors.DefaultSelector()
        self._coming.register(connection, selectors.EVENT_READ)
        self._sending = threading.Lock()

    def send(self, head: Head, payload: bytes = b"") -> None:
        """Send a message; without a server there is nothing left to do."""
        with self._sending:
            try:
                self._connection.sendall(pack(head, payload))
            except OSError:
                os._exit(0)

    def silent(self, seconds: float) -> bool:
        """Whether nothing comes for so long."""
        return not self._coming.select(seconds)

    def receive(self) -> Head | None:
        """The next message; None when the server has gone."""
        message = read_message(lambda size: self._connection.recv(size, socket.MSG_WAITALL))
        return message[0] if message else None


def work(channel: Channel, engine: Engine, threads: Executor, warm_up: WarmUp) -> None:
    """Run batches until the server closes the connection, and warm up while it sends none."""
    running: list[Future[None]] = []

    def silent(seconds: float) -> bool:
        while channel.silent(seconds):
            if all(batch.done() for batch in running):
                return True
        return False

    while True:
        with suppress(PocketBertError, MemoryError, OSError):  # if it concerns a request, that one will tell
            warm_up.run_while(silent)
        if (head := channel.receive()) is None:
            os._exit(0)  # an engine that hangs would keep the process
        running = [batch for batch in running if not batch.done()]
        running.append(threads.submit(_run, channel, engine, head))


def _run(channel: Channel, engine: Engine, head: Head) -> None:
    windows = [Window(*each) for each in head["windows"]]
    try:
        logits = run_batch(engine, windows)
    except Exception as error:  # whatever an engine raises is the server's to deal with
        channel.send({"batch": head["batch"], "failed": f"{type(error).__name__}: {error}"})
        return
    channel.send(*_answer(head["batch"], logits))


def _answer(number: int, logits: Sequence[Logits]) -> tuple[Head, bytes]:
    """Of texts one array (windows, labels); of tokens one (all tokens, labels), with the count of each window."""
    tokens = logits[0].ndim == 2
    found = np.concatenate(logits) if tokens else np.stack(logits)
    counts = [len(each) for each in logits] if tokens else None
    return {"batch": number, "shape": found.shape, "counts": counts}, found.astype(np.float32, copy=False).tobytes()


def describe(opened: Opened) -> dict[str, Any]:
    """What the server needs to know of an engine that is ready."""
    engine = opened.engine
    return {"path": opened.path, "engine": engine.name, "description": engine.description.model_dump()}


def _reason(error: Exception, folder: str) -> str:
    """Why a model cannot be opened, in characters that can be sent: a path may be no UTF-8."""
    if isinstance(error, PocketBertError):
        told = str(error)
    elif isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        told = f"{folder}: cannot be opened: {place}{error.strerror}"
    else:
        told = f"{folder}: cannot be opened: {type(error).__name__}: {error}".removesuffix(": ")
    return told.encode("utf-8", "backslashreplace").decode()


def main() -> None:
    """Open the engine that the arguments tell, say so, and work."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the server ends it, when all is answered
    channel = Channel(socket.socket(fileno=int(sys.argv[1])))
    options = json.loads(sys.argv[2])
    folder, seconds = options.pop("folder"), options.pop("warm_up")
    threads = ThreadPoolExecutor(options["streams"], thread_name_prefix="pocketbert-engine")
    try:
        opened = open_directory(Path(folder), **options)
        warm_up = WarmUp(opened.engine, options["batch_tokens"], options["streams"], threads)
        warm_up.run(seconds)
    except Exception as error:  # whatever it is, the server has to tell it
        channel.send({"refused": _reason(error, folder)})
        return
    channel.send({"ready": describe(opened)})
    work(channel, opened.engine, threads, warm_up)


if __name__ == "__main__":
    main()
