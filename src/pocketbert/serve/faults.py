"""Whose fault it is: a batch that fails is halved until what fails is alone, so that all others are answered."""

from collections import deque
from dataclasses import dataclass

from pocketbert.serve.processes import BatchFailed, WorkerLost
from pocketbert.serve.waiting import Job

Fault = BatchFailed | WorkerLost


@dataclass(frozen=True, slots=True)
class Retry:
    """Jobs that are run again.

    Attributes:
        jobs: in one batch.
        alone: whether nothing else may run meanwhile: where a worker dies with several batches, any may have killed it.
    """

    jobs: list[Job]
    alone: bool


class Suspects:
    """Jobs of batches that failed, until each is answered or found to be the cause."""

    def __init__(self) -> None:
        self._waiting: deque[Retry] = deque()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, jobs: list[Job], fault: Fault, was_alone: bool) -> Job | None:
        """Plan how the jobs of a batch that failed are run again.

        Args:
            jobs: of the batch.
            fault: what happened.
            was_alone: whether nothing else ran meanwhile.

        Returns:
            The cause, when it is known; that job is not run again.
        """
        lost = isinstance(fault, WorkerLost)
        if len(jobs) == 1 and (was_alone or not lost):
            return jobs[0]
        middle = -(-len(jobs) // 2)
        self._waiting.extend(Retry(part, lost) for part in (jobs[:middle], jobs[middle:]) if part)
        return None

    def take(self, running: int) -> Retry | None:
        """What to run next: jobs that somebody still waits for; None when there are none, or not yet.

        Args:
            running: batches that run now.
        """
        while self._waiting:
            if self._waiting[0].alone and running:
                return None
            retry = self._waiting.popleft()
            if jobs := [job for job in retry.jobs if not job.ask.answer.done()]:
                return Retry(jobs, retry.alone)
        return None
