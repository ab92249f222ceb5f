"""When which windows run: a batch as soon as a stream is free, the oldest window first, and nothing that is too late.

Nothing waits while a stream is idle. While all are busy windows gather, and the next batch takes the oldest with others
of like length. The queue is bounded by tokens and by time: from how long batches take it is known when a new window
would be answered, and who would be answered too late is told so at once.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from pocketbert.engines.base import Logits
from pocketbert.engines.batching import bucket
from pocketbert.inference.reading import Window
from pocketbert.serve.faults import Suspects
from pocketbert.serve.metrics import ModelMetrics
from pocketbert.serve.pace import Foresight, Pace
from pocketbert.serve.problems import Problem, failed, overloaded, too_much, unhealthy
from pocketbert.serve.processes import BatchFailed, WorkerLost
from pocketbert.serve.waiting import Job, Waiting

_LATEST = 4.0
"""Deadlines after which a window that still waits is not computed any more, as when its worker was lost. Waits spread:
under overload, a twentieth of the refused had been told so after two, when it was nearly their turn."""


class Runs(Protocol):
    """What a scheduler needs of a worker; see :class:`~pocketbert.serve.worker.Worker`."""

    streams: int
    ready: bool
    failing: bool

    async def run(self, windows: list[Window]) -> list[Logits]: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much may wait, and how long.

    Attributes:
        batch_tokens: of a batch, padding included.
        queue_tokens: that may wait.
        seconds: in which a request should have its first answer; its longest window is taken for the first.
    """

    batch_tokens: int
    queue_tokens: int
    seconds: float


@dataclass(slots=True, eq=False)
class Ask:
    """The windows of one request.

    Attributes:
        answer: of all of them.
        arrived: when, by the clock.
        work: seconds of what was before it then.
        logits: those that are there.
        jobs: one for each window.
        left: windows without logits.
        begun: when the first of them reached the model; None before.
    """

    answer: "asyncio.Future[None]"
    arrived: float
    work: float
    logits: list[Logits | None]
    jobs: list[Job] = field(default_factory=list)
    left: int = 0
    begun: float | None = None


@dataclass(frozen=True, slots=True)
class _Batch:
    """Windows that run together.

    Attributes:
        jobs: of them.
        length: of each, padding included.
        alone: whether nothing may run beside them.
        started: when, by the clock.
    """

    jobs: list[Job]
    length: int
    alone: bool
    started: float


@dataclass(frozen=True, slots=True)
class Ran:
    """What became of the windows of a request.

    Attributes:
        logits: of each.
        queued: seconds until the first reached the model.
        inferred: seconds from then until the last was answered.
    """

    logits: list[Logits]
    queued: float
    inferred: float


class Scheduler:
    """The queue of one model.

    Args:
        worker: that runs batches.
        bounds: of the queue.
        max_length: tokens of the longest window.
        metrics: that count what happens.
        clock: in seconds; that of some loops counts whole milliseconds.
    """

    def __init__(
        self,
        worker: Runs,
        bounds: Bounds,
        max_length: int,
        metrics: ModelMetrics,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._worker, self._bounds, self._max_length, self._metrics = worker, bounds, max_length, metrics
        self._clock = clock
        self._waiting, self._suspects = Waiting(), Suspects()
        self._asks: set[Ask] = set()
        self._running: dict[asyncio.Task[None], _Batch] = {}
        self._pace, self._foresight = Pace(), Foresight()
        self._numbers = 0
        self.last_failed = False
        """Whether the last batch did."""

    async def run(self, windows: Sequence[Window], spent: float = 0.0) -> Ran:
        """Run windows; who is cancelled while they wait takes them out of the queue.

        Args:
            windows: of a request.
            spent: seconds that have gone by since it came.

        Raises:
            Problem: they would wait or have waited too long, the model failed at them, or there is no worker.
        """
        ask = self._accept(windows, spent)
        late = asyncio.get_running_loop().call_later(_LATEST * self._bounds.seconds, self._expire, ask)
        try:
            self.advance()
            await ask.answer
            ended = self._clock()
            begun = ended if ask.begun is None else ask.begun
            return Ran([each for each in ask.logits if each is not None], begun - ask.arrived, ended - begun)
        finally:
            late.cancel()
            self._forget(ask)

    def check_room(self, length: int = 0, spent: float = 0.0) -> None:
        """Refuse at once.

        Args:
            length: tokens of the longest window; 0 before a text is read.
            spent: seconds that have gone by since the request came.

        Raises:
            Problem: who came now would be answered too late, or there is no worker to come.
        """
        if self._worker.failing and not self._worker.ready:
            raise unhealthy("the model cannot be loaded at present")
        wait = self._foresight.factor * self._work()
        answered = spent + wait + self._pace.of_batch(1, length)
        if wait and answered > self._bounds.seconds:
            self._metrics.reject("deadline")
            raise overloaded("the model is overloaded: the answer would come too late", answered - self._bounds.seconds)

    def advance(self) -> None:
        """Start batches while there are windows and free streams."""
        while self._worker.ready and len(self._running) < self._worker.streams and (batch := self._next()):
            self._start(*batch)
        self._metrics.queue(len(self._waiting), self._waiting.tokens)

    def worker_changed(self) -> None:
        """Go on after a worker has come or gone; without hope of one, everybody who waits is told."""
        if self._worker.failing and not self._worker.ready:
            for ask in list(self._asks):
                self._settle(ask, unhealthy("the model cannot be loaded at present"))
        self.advance()

    def _accept(self, windows: Sequence[Window], spent: float) -> Ask:
        sizes = [bucket(len(window.ids), self._max_length) for window in windows]
        self.check_room(max(sizes), spent)
        total, room = sum(sizes), self._bounds.queue_tokens
        if total > room:
            raise too_much(f"{total} tokens in one request are more than the {room} that may wait; send fewer at once")
        if self._waiting.tokens + total > room:
            self._metrics.reject("queue")
            raise overloaded("the model is overloaded: its queue is full", self._work())
        answer = asyncio.get_running_loop().create_future()
        ask = Ask(answer, self._clock(), self._work(), [None] * len(windows), left=len(windows))
        for place, (window, tokens) in enumerate(zip(windows, sizes, strict=True)):
            self._numbers += 1
            ask.jobs.append(Job(ask, place, window, tokens, self._numbers))
            self._waiting.add(ask.jobs[-1])
        self._asks.add(ask)
        return ask

    def _work(self) -> float:
        """Seconds of what is before a window that comes now."""
        if not len(self._waiting) and len(self._running) < self._worker.streams:
            return 0.0
        now = self._clock()
        ends = (each.started + self._pace.of_batch(len(each.jobs), each.length) for each in self._running.values())
        running = sum(max(0.0, end - now) for end in ends)
        waiting = sum(count * self._pace.of_window(length) for length, count in self._waiting.lengths())
        return (running + waiting) / self._worker.streams

    def _next(self) -> tuple[list[Job], bool] | None:
        """The next batch, and whether it has to run alone."""
        if any(batch.alone for batch in self._running.values()):
            return None
        if retry := self._suspects.take(len(self._running)):
            return retry.jobs, retry.alone
        if self._suspects:
            return None  # one of them is next, when what runs has ended
        jobs = self._waiting.take(self._bounds.batch_tokens)
        return (jobs, False) if jobs else None

    def _start(self, jobs: list[Job], alone: bool) -> None:
        batch = _Batch(jobs, max(job.tokens for job in jobs), alone, self._clock())
        for job in jobs:
            if job.ask.begun is None:
                job.ask.begun = batch.started
                if job.ask.work:
                    self._foresight.learn(job.ask.work, batch.started - job.ask.arrived)
        self._running[asyncio.create_task(self._run(batch))] = batch

    async def _run(self, batch: _Batch) -> None:
        try:
            logits = await self._worker.run([job.window for job in batch.jobs])
        except (BatchFailed, WorkerLost) as fault:
            self.last_failed = True
            if cause := self._suspects.add(batch.jobs, fault, batch.alone):
                self._settle(cause.ask, failed(f"the model failed at this input: {_reason(fault)}"))
        else:
            self.last_failed = False
            self._learn(batch, self._clock() - batch.started)
            for job, values in zip(batch.jobs, logits, strict=True):
                self._deliver(job, values)
        finally:
            self._running.pop(asyncio.current_task())  # type: ignore[arg-type]
            self.advance()  # before anybody reads an answer: the model is not to wait for that

    def _learn(self, batch: _Batch, seconds: float) -> None:
        windows = len(batch.jobs)
        self._pace.learn(windows, batch.length, seconds)
        self._metrics.batch(windows, windows * batch.length, seconds)

    def _deliver(self, job: Job, values: Logits) -> None:
        ask = job.ask
        ask.logits[job.place] = values
        ask.left -= 1
        if not ask.left:
            self._settle(ask, None)

    def _expire(self, ask: Ask) -> None:
        """Refuse what has not reached the model for so long; what has begun is finished."""
        if ask.begun is None:
            self._metrics.reject("late")
            self._settle(ask, overloaded("the model is overloaded: the request waited too long", 1.0))

    def _settle(self, ask: Ask, problem: Problem | None) -> None:
        if ask.answer.done():
            return
        if problem is None:
            ask.answer.set_result(None)
        else:
            ask.answer.set_exception(problem)
        self._forget(ask)

    def _forget(self, ask: Ask) -> None:
        """Take out of the queue what nobody waits for any more."""
        self._asks.discard(ask)
        if ask.left:
            for job in ask.jobs:
                self._waiting.remove(job)


def _reason(fault: BatchFailed | WorkerLost) -> str:
    return "its worker died or hung" if isinstance(fault, WorkerLost) else "its answer is not a number or an error"
