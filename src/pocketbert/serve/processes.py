"""The server's hold on one worker process, from its start to its end."""

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from pocketbert.engines.base import Logits
from pocketbert.engines.description import Description
from pocketbert.errors import ModelError
from pocketbert.inference.reading import Window
from pocketbert.serve.frames import LENGTHS, Head, pack_windows

COMMAND = (sys.executable, "-m", "pocketbert.serve.worker_process")
"""That starts a worker; a number of a file and options follow."""

START_TIMEOUT = 300.0
"""Seconds for a model to be loaded and its files to be timed."""


class BatchFailed(Exception):  # noqa: N818 - the error is the engine's
    """The engine raised, or answered with what is no number; the worker goes on."""


class WorkerLost(Exception):  # noqa: N818 - what happened, not what went wrong
    """The worker died or hung while it had this batch."""


@dataclass(frozen=True, slots=True)
class Ready:
    """What a worker says when it is ready.

    Attributes:
        path: of the file that it runs, from the model directory.
        engine: that runs it.
        description: of the file.
    """

    path: str
    engine: str
    description: Description


class WorkerProcess:
    """One process, from its start to its end.

    Args:
        command: that starts it.
        options: of :func:`~pocketbert.engines.choice.open_directory`; the folder; ``batch_tokens``; and ``warm_up``,
            seconds before it is ready.
    """

    def __init__(self, command: Sequence[str], options: dict[str, Any]) -> None:
        self._command, self._options = command, options
        self._waiting: dict[int, asyncio.Future[list[Logits]]] = {}
        self._count = 0
        self.ended = asyncio.Event()

    async def start(self) -> Ready:
        """Start it and wait until it is ready.

        Raises:
            ModelError: it cannot be started or cannot load the model, says why or died.
        """
        try:
            self._reader, self._writer = await asyncio.open_connection(sock=await self._launch())
        except OSError as error:  # too many processes or open files, at this moment
            reason = error.strerror or error
            raise ModelError(f"{self._options['folder']}: no process can be started to run it: {reason}") from None
        try:
            head, _ = await asyncio.wait_for(self._receive(), START_TIMEOUT)
        except (TimeoutError, asyncio.IncompleteReadError):
            head = {"refused": f"{self._options['folder']}: the process that loads it ended or hung"}
        except asyncio.CancelledError:
            self.kill()
            raise
        if "ready" not in head:
            self.kill()
            raise ModelError(head["refused"])
        self._listening = asyncio.create_task(self._listen())
        said = head["ready"]
        return Ready(said["path"], said["engine"], Description.model_validate(said["description"]))

    async def _launch(self) -> socket.socket:
        """Start the process; our end of the connection to it."""
        ours, theirs = socket.socketpair()
        with theirs:
            arguments = [*self._command, str(theirs.fileno()), json.dumps(self._options)]
            try:
                self._process = await asyncio.to_thread(  # a session of its own: Ctrl-C is for the server
                    subprocess.Popen, arguments, pass_fds=[theirs.fileno()], start_new_session=True
                )
            except BaseException:
                ours.close()
                raise
        return ours

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    async def run(self, windows: list[Window], timeout: float) -> list[Logits]:
        """Logits of a batch.

        Args:
            windows: of the batch.
            timeout: seconds after which the process is taken for hung, and killed.

        Raises:
            BatchFailed: the engine failed at it.
            WorkerLost: the process died or hung.
        """
        if self.ended.is_set():
            raise WorkerLost("the worker died")
        self._count += 1
        number = self._count
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        self._writer.write(pack_windows(number, windows))
        try:
            return await asyncio.wait_for(answer, timeout)
        except TimeoutError:
            self.kill()
            raise WorkerLost(f"the worker did not answer within {timeout:g} s") from None
        finally:
            self._waiting.pop(number, None)

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    async def close(self) -> None:
        """End it when it has answered all that it was given, and wait for that."""
        self._writer.close()
        await self.ended.wait()

    async def _receive(self) -> tuple[Head, bytes]:
        head, payload = LENGTHS.unpack(await self._reader.readexactly(LENGTHS.size))
        text = await self._reader.readexactly(head)
        return orjson.loads(text), await self._reader.readexactly(payload)

    async def _listen(self) -> None:
        """Hand answers to those who wait, until the process has gone."""
        try:
            while True:
                self._settle(*await self._receive())
        except (asyncio.IncompleteReadError, OSError):
            self.kill()  # it may have closed the connection and hang
        finally:
            await asyncio.to_thread(self._process.wait)
            self._writer.close()
            self.ended.set()
            for answer in self._waiting.values():
                if not answer.done():
                    answer.set_exception(WorkerLost("the worker died"))

    def _settle(self, head: Head, payload: bytes) -> None:
        answer = self._waiting.get(head["batch"])
        if answer is None or answer.done():
            return
        if "failed" in head:
            answer.set_exception(BatchFailed(head["failed"]))
        else:
            answer.set_result(_split(head, payload))


def _split(head: Head, payload: bytes) -> list[Logits]:
    """The logits of each window out of the array of all."""
    found = np.frombuffer(payload, dtype=np.float32).reshape(head["shape"])
    if head["counts"] is None:
        return list(found)
    return np.split(found, np.cumsum(head["counts"])[:-1])
