"""A worker that is there again when it has died or hung: it is sent batches, and its process replaced."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pocketbert.engines.base import Logits
from pocketbert.errors import ModelError
from pocketbert.inference.reading import Window
from pocketbert.serve.processes import COMMAND, Ready, WorkerLost, WorkerProcess


class Worker:
    """A worker for as long as its model is served.

    Args:
        folder: the model directory.
        options: threads, streams, engine and precision; tokens of a batch; and seconds for which the first process
            warms up before it is ready.
        timeout: seconds for a batch.
        command: that starts a process.

    Attributes:
        streams: batches that run at once.
        ready: whether there is a process that can be sent batches.
        failing: whether the last attempt to replace a process failed.
        restarts: processes after the first.
    """

    def __init__(self, folder: Path, options: dict[str, Any], timeout: float, command: Sequence[str] = COMMAND) -> None:
        self.streams: int = options["streams"]
        self.ready, self.failing, self.restarts = False, False, 0
        self._options = {"folder": str(folder), **options}
        self._timeout, self._command = timeout, command
        self._keeping: asyncio.Task[None] | None = None
        self._process: WorkerProcess
        self.changed: Callable[[], None] = lambda: None
        """Called when :attr:`ready` or :attr:`failing` have changed."""

    @property
    def pid(self) -> int:
        """Number of the present process."""
        return self._process.pid

    async def start(self) -> Ready:
        """Start the first process.

        Raises:
            ModelError: it cannot load the model.
        """
        self._process = WorkerProcess(self._command, self._options)
        self.said = await self._process.start()
        self.ready = True
        self._keeping = asyncio.create_task(self._keep())
        return self.said

    async def run(self, windows: list[Window]) -> list[Logits]:
        """Logits of a batch; see :class:`~pocketbert.serve.processes.WorkerProcess`."""
        try:
            return await self._process.run(windows, self._timeout)
        except WorkerLost:
            self.ready = False
            raise

    async def close(self) -> None:
        """End the worker when it has answered."""
        self.ready = False
        if self._keeping is not None:
            self._keeping.cancel()
        await self._process.close()

    async def _keep(self) -> None:
        """Replace each process that dies; one that cannot be replaced is tried again, ever less often."""
        pause = 0.1
        while True:
            await self._process.ended.wait()
            self._tell(ready=False, failing=self.failing)
            process = WorkerProcess(self._command, self._options | {"warm_up": 0})  # somebody may wait for it
            try:
                said = await process.start()
                if said.description != self.said.description:
                    process.kill()
                    raise ModelError(f"{self._options['folder']}: another model lies there now")
            except ModelError:
                self._tell(ready=False, failing=True)
                await asyncio.sleep(pause)
                pause = min(2 * pause, 30.0)
                continue
            pause, self._process, self.said = 0.1, process, said
            self.restarts += 1
            self._tell(ready=True, failing=False)

    def _tell(self, ready: bool, failing: bool) -> None:
        self.ready, self.failing = ready, failing
        self.changed()
