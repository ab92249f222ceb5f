"""The models of a server by name: which one answers a request, and how one is exchanged while requests come in."""

import asyncio
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pocketbert.errors import ModelError
from pocketbert.machine import granted_cores
from pocketbert.manifest import NAME
from pocketbert.serve.logs import log
from pocketbert.serve.metrics import Metrics, ModelMetrics
from pocketbert.serve.problems import Problem, failed
from pocketbert.serve.processes import COMMAND
from pocketbert.serve.served import ServedModel, Task
from pocketbert.serve.settings import Settings
from pocketbert.serve.warming import START_SECONDS
from pocketbert.serve.worker import Worker

Stamp = tuple[int, int, int]


class Registry:
    """Models, each with its worker.

    Args:
        folders: by name, in the order in which they are asked.
        settings: of the server.
        metrics: of the server.
        command: that starts a worker.

    Attributes:
        draining: whether the server is about to end.
    """

    def __init__(
        self, folders: dict[str, Path], settings: Settings, metrics: Metrics, command: Sequence[str] = COMMAND
    ) -> None:
        self.folders, self.settings, self.metrics = folders, settings, metrics
        self.draining = False
        self._command = command
        self._models: dict[str, ServedModel] = {}
        self._stamps: dict[str, Stamp | None] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._reloading = asyncio.Lock()
        self.tokenising_threads = min(4, granted_cores())
        self._threads = ThreadPoolExecutor(self.tokenising_threads, thread_name_prefix="pocketbert-tokeniser")

    @property
    def models(self) -> list[ServedModel]:
        """In their order."""
        return [self._models[name] for name in self.folders]

    @property
    def tasks(self) -> list[Task]:
        """That some model answers."""
        return [task for model in self.models for task in model.pipelines]

    @property
    def ready(self) -> bool:
        """Whether requests should come here: every model has a worker, and the server is not about to end."""
        return not self.draining and len(self._models) == len(self.folders) and all(m.worker.ready for m in self.models)

    def choose(self, name: str | None, tasks: Iterable[str]) -> ServedModel:
        """The model that answers a request.

        Args:
            name: that it asks for; the first that answers such requests when None.
            tasks: that its route is about.

        Raises:
            Problem: there is no such model, or it does not answer such requests.
        """
        wanted = set(tasks)
        if name is not None and name not in self._models:
            raise Problem(404, "NotFound", f"there is no such model; there are {', '.join(self._models)}")
        asked = self.models if name is None else [self._models[name]]
        for model in asked:
            if wanted.intersection(model.pipelines):
                return model
        said = " and ".join(f"{model.name} answers {model.description.task}" for model in asked)
        raise failed(f"no model for {' or '.join(sorted(wanted))}: {said}")

    async def open(self) -> None:
        """Start all models.

        Raises:
            ModelError: one cannot be loaded.
        """
        opened = await asyncio.gather(*map(self._open, self.folders), return_exceptions=True)
        self._models = {model.name: model for model in opened if isinstance(model, ServedModel)}
        for error in opened:
            if isinstance(error, BaseException):
                await self.close()
                raise error

    async def close(self) -> None:
        """End all workers when they have answered."""
        await asyncio.gather(*(model.close() for model in self._models.values()), *self._closing)
        self._threads.shutdown(wait=False)

    async def reload(self, always: bool = False) -> None:
        """Load models anew whose directory has changed; one that cannot be loaded leaves the old one in its place.

        Args:
            always: those too that have not changed.
        """
        async with self._reloading:
            for name in self.folders:
                stamp = _stamp(self.folders[name])
                if always or (stamp is not None and stamp != self._stamps[name]):
                    self._stamps[name] = stamp
                    await self._exchange(name)

    async def _exchange(self, name: str) -> None:
        old = self._models[name]
        try:
            self._models[name] = await self._open(name)
        except ModelError as error:
            log("reload refused", model=name, reason=str(error))
            return
        log("reloaded", model=name, file=self._models[name].said.path, engine=self._models[name].said.engine)
        task = asyncio.create_task(old.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _open(self, name: str) -> ServedModel:
        """Start a model.

        Raises:
            ModelError: it cannot be loaded.
        """
        folder, settings = self.folders[name], self.settings
        self._stamps[name] = _stamp(folder)
        options = {
            "threads": settings.granted_threads,
            "streams": settings.granted_streams,
            "engine": None if settings.engine == "auto" else settings.engine,
            "precision": settings.precision,
            "batch_tokens": settings.batch_tokens,
            "warm_up": START_SECONDS,
        }
        worker = Worker(folder, options, settings.batch_timeout, self._command)
        said = await worker.start()
        metrics = ModelMetrics(self.metrics, name)
        try:  # in a thread: tokenizers take a moment to load, and others are being answered
            model = await asyncio.to_thread(ServedModel, name, folder, worker, said, settings, metrics, self._threads)
        except BaseException as error:
            await worker.close()
            if isinstance(error, ModelError) or not isinstance(error, Exception):
                raise
            # Libraries raise what they like over a damaged directory, and the other models are to go on.
            raise ModelError(f"{folder}: cannot be served: {type(error).__name__}: {error}") from error
        model.attach()
        return model


def _stamp(folder: Path) -> Stamp | None:
    """By which a manifest that was replaced is known; it is written last, so that a directory that has one is whole."""
    try:
        found = (folder / NAME).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
