"""A model that is served: its pipeline, which reads and understands here, and its worker, which computes elsewhere."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from tokenizers import Encoding, Tokenizer

from pocketbert.engines.base import Inputs, Logits
from pocketbert.engines.description import Description
from pocketbert.engines.encoding import load_tokenizer
from pocketbert.engines.golden import FOLDER, Golden
from pocketbert.errors import DataError, ModelError
from pocketbert.inference.loading import PIPELINES
from pocketbert.inference.pipeline import Options, Pipeline
from pocketbert.inference.reading import Read, Window
from pocketbert.inference.zero_shot import ZeroShotPipeline
from pocketbert.serve.account import Account
from pocketbert.serve.metrics import ModelMetrics
from pocketbert.serve.problems import Problem, overloaded, too_much
from pocketbert.serve.processes import BatchFailed, Ready, WorkerLost
from pocketbert.serve.scheduler import Bounds, Scheduler
from pocketbert.serve.settings import Settings
from pocketbert.serve.worker import Worker

Task = Literal[
    "classification",
    "multi_label",
    "regression",
    "token_classification",
    "question_answering",
    "masked_lm",
    "embedding",
    "zero_shot",
]

BROWSER = "browser"
"""Folder of a model directory with its browser export."""
_SHORT = 4000
"""Characters that are worked over on the spot, in some 2 ms: a thread begins no sooner when all processors are busy."""
_EXAMPLES, _LONGEST_EXAMPLE = 4, 200


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """An engine whose batches run in a worker; see :class:`~pocketbert.engines.base.Engine`."""

    name: str
    description: Description
    inputs: frozenset[str] = frozenset()

    def run(self, inputs: Inputs) -> Logits:
        """Nothing runs here: the scheduler sends windows to the worker.

        Raises:
            ModelError: always.
        """
        raise ModelError(f"{self.name} runs in a worker, with {len(inputs)} arrays to be sent there")


class ServedModel:
    """A model of a server.

    Args:
        name: that requests choose it by.
        folder: the model directory.
        worker: started.
        said: by the worker when it was ready.
        settings: of the server.
        metrics: of the model.
        threads: that read texts.

    Attributes:
        pipeline: of what its file says that it answers.
        pipelines: by all that it answers: a classifier that tells entailment answers zero-shot too.
        examples: short texts and pairs to start from.

    Raises:
        ModelError: its tokenizer cannot be read.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        worker: Worker,
        said: Ready,
        settings: Settings,
        metrics: ModelMetrics,
        threads: ThreadPoolExecutor,
    ) -> None:
        self.name, self.folder, self.worker, self.said = name, folder, worker, said
        self.description = said.description
        self._threads, self._metrics = threads, metrics
        self._patience = settings.deadline / 1000
        bounds = Bounds(settings.batch_tokens, settings.max_queue_tokens, self._patience)
        self.scheduler = Scheduler(worker, bounds, self.description.max_length, metrics)
        engine = Elsewhere(said.engine, self.description)
        task: Task = self.description.task  # type: ignore[assignment]
        self.pipeline: Pipeline[Any, Any] = PIPELINES[task](folder, said.path, engine)
        self.pipelines: dict[Task, Pipeline[Any, Any]] = {task: self.pipeline, **_zero_shot(folder, said.path, engine)}
        self._tokenizer: Tokenizer = load_tokenizer(folder)
        self.examples = _examples(folder)
        self._users, self._unused = 0, asyncio.Event()
        self._unused.set()
        self._restarts = 0

    def attach(self) -> None:
        """Follow the worker from now on."""
        self.worker.changed = self._worker_changed
        self._worker_changed()

    @contextmanager
    def used(self) -> Iterator[None]:
        """Keep the model from being closed while a request uses it."""
        self._users += 1
        self._unused.clear()
        try:
            yield
        finally:
            self._users -= 1
            if not self._users:
                self._unused.set()

    async def compute(
        self, pipeline: Pipeline[Any, Any], inputs: Sequence[Any], options: Options, account: Account, cut: bool = True
    ) -> tuple[list[Read], list[Logits]]:
        """Read inputs and run their windows.

        Args:
            pipeline: its own, or that of zero-shot.
            inputs: of the pipeline.
            options: of the pipeline.
            account: of the request.
            cut: whether inputs may be cut; else one that is too long is refused.

        Returns:
            How each input was read, and the logits of all windows.

        Raises:
            Problem: an input is none or too long, or the model cannot answer.
        """
        self.scheduler.check_room()
        started = time.perf_counter()
        reads = await self._worked(account, partial(self._read, pipeline, inputs, options, started + self._patience))
        account.tokenise = time.perf_counter() - started
        account.truncated = [number for number, read in enumerate(reads) if read.truncated]
        if account.truncated and not cut:
            number, most = account.truncated[0], self.description.max_length
            raise too_much(
                f"input {number} is longer than the {most} tokens that the model takes; shorten it or cut it"
            )
        account.tokens = sum(read.tokens for read in reads)
        windows = [window for read in reads for window in read.windows]
        ran = await self.scheduler.run(windows, time.perf_counter() - started)
        account.queue, account.inference = ran.queued, ran.inferred
        return reads, ran.logits

    async def answer(
        self, pipeline: Pipeline[Any, Any], inputs: Sequence[Any], options: Options, account: Account, cut: bool = True
    ) -> list[Any]:
        """Answers to inputs, as :meth:`compute` and the pipeline have them; other requests are not kept waiting."""
        reads, logits = await self.compute(pipeline, inputs, options, account, cut)
        return await self._worked(account, partial(pipeline.answer, inputs, reads, logits, options))

    async def _worked(self, account: Account, work: Callable[[], list[Any]]) -> list[Any]:
        """What some work over the texts of a request makes: at once where they are short, else in a thread."""
        if account.characters <= _SHORT:
            return work()
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def tokenise(self, texts: list[str], special: bool) -> list[Encoding]:
        """The tokens of texts, however many they are.

        Args:
            texts: any.
            special: whether special tokens are added.
        """
        loop = asyncio.get_running_loop()
        encode = partial(self._tokenizer.encode_batch, texts, add_special_tokens=special)
        return await loop.run_in_executor(self._threads, encode)

    async def healthy(self) -> bool:
        """Whether the model answers: known from the last batch, or tried on a short text when that failed."""
        if not self.worker.ready:
            return False
        if self.scheduler.last_failed:
            try:
                await self.worker.run([Window(self._tokenizer.encode("a").ids)])
            except (BatchFailed, WorkerLost):
                return False
            self.scheduler.last_failed = False
        return True

    async def close(self) -> None:
        """End its worker when the last request that uses it is answered."""
        await self._unused.wait()
        await self.worker.close()

    def _read(self, pipeline: Pipeline[Any, Any], inputs: Sequence[Any], options: Options, latest: float) -> list[Read]:
        """Read inputs, unless so many others were before that it is too late."""
        if time.perf_counter() > latest:
            self._metrics.reject("late")
            raise overloaded("the server is overloaded: the request waited too long", 1.0)
        try:
            for given in inputs:
                pipeline.check(given)
            return pipeline.read(inputs, options)
        except DataError as error:
            raise Problem(422, "Tokenizer", str(error)) from None

    def _worker_changed(self) -> None:
        self._metrics.ready(self.worker.ready)
        for _ in range(self.worker.restarts - self._restarts):
            self._metrics.restart()
        self._restarts = self.worker.restarts
        self.scheduler.worker_changed()


def _zero_shot(folder: Path, path: str, engine: Elsewhere) -> dict[Task, Pipeline[Any, Any]]:
    if engine.description.task != "classification":
        return {}
    try:
        return {"zero_shot": ZeroShotPipeline(folder, path, engine)}
    except ModelError:
        return {}  # a classifier that does not tell entailment


def _examples(folder: Path) -> list[list[str]]:
    """Short golden texts and pairs of more than a word, to start from."""
    found: list[list[str]] = []
    for each in Golden.read(folder / FOLDER).texts:
        text = " ".join(each.text) if isinstance(each.text, list) else each.text
        values = [text] if each.pair is None else [text, each.pair]
        short = sum(map(len, values)) <= _LONGEST_EXAMPLE
        if short and all(len(value.split()) > 1 for value in values) and values not in found:
            found.append(values)
    return found[:_EXAMPLES]
