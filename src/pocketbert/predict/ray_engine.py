"""The same plan on a Ray cluster: workers compute parts and commit them as one machine does.

A part is there once and whole, or not there, whoever computed it. A worker that dies is started again by Ray, and what
it had not committed is computed anew, to the same bytes.
"""

import json
import logging
import os
import signal
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pocketbert.errors import NotInstalled, PocketBertError
from pocketbert.predict.computing import Computer
from pocketbert.predict.interruption import SIGNALS
from pocketbert.predict.options import PredictOptions
from pocketbert.predict.plan import Part, Plan
from pocketbert.predict.planning import load_model
from pocketbert.predict.remote import is_url
from pocketbert.predict.store import open_store

GROUP = 8
"""Parts that a worker is given at once at most: while it computes one it reads the next."""
_EACH = 4
"""Groups for each worker at least, so that none is idle for long at the end."""
_RESTARTS = 20
"""Of a worker, and tries of a group: what kills every worker that meets with it comes to an end."""
_SETTINGS = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "fatal"}
"""Of Ray: no talk over ours, none to anyone else; read when it is imported."""
_STDERR = 2
_OBJECT_STORE = 100_000_000
"""Bytes of Ray's memory on this machine: only numbers of parts pass through it."""


def run_on_ray(plan: Plan, output: str, options: PredictOptions, todo: Sequence[Part]) -> Iterator[Part]:
    """Compute parts on a cluster.

    Args:
        plan: what is done; workers reach its model, its inputs and the output under the same names as this machine.
        output: where to.
        options: how many workers, of how many threads, and where.
        todo: the parts that are missing.

    Returns:
        Each part when it is known to be committed.

    Raises:
        NotInstalled: there is no Ray here.
        PocketBertError: a worker met with an error, in its words.
    """
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        import ray
        import ray.data
    except ModuleNotFoundError as error:
        raise NotInstalled(f"--engine ray: needs {error.name}; pip install 'pocketbert[ray]'") from None
    if not todo:
        return
    place = output if is_url(output) else str(Path(output).absolute())
    with _connected(ray, options):
        done = _started(ray, plan, place, options, _groups(todo, options.workers))
        by_number = {part.number: part for part in todo}
        try:
            for row in done.iter_rows():
                if row["error"]:
                    raise PocketBertError(row["error"])
                yield from (by_number[number] for number in json.loads(row["parts"]))
        except ray.exceptions.RayError as error:
            reason = str(error).strip().splitlines()[-1]
            raise PocketBertError(f"{output}: Ray gave up ({reason}); finished parts are kept, run it again") from error


def _started(ray: Any, plan: Plan, place: str, options: PredictOptions, groups: Sequence[dict[str, str]]) -> Any:
    """Groups that are computed when the data set is read."""
    with warnings.catch_warnings():
        # Named limits of restarts, without which they have none, are to go in Ray 2.64 and have no heir yet.
        warnings.filterwarnings("ignore", "`ray_remote_args` is deprecated")
        # A block a group, made here: tasks that make them would wait for the processors that the workers hold.
        return ray.data.from_items(groups, override_num_blocks=len(groups)).map_batches(
            Worker,
            fn_constructor_args=(plan.model_dump_json(), place, options.model_dump_json()),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=options.workers),
            num_cpus=options.threads or 1,
            max_restarts=_RESTARTS,
            max_task_retries=_RESTARTS,
        )


@contextmanager
def _connected(ray: Any, options: PredictOptions) -> Iterator[None]:
    """A cluster for a while: that of the address, or one on this machine; one that was there before stays."""
    before, address = ray.is_initialized(), options.address or os.environ.get("RAY_ADDRESS")
    if not before:
        local: dict[str, Any] = {
            "num_cpus": options.workers * (options.threads or 1),
            "object_store_memory": _OBJECT_STORE,
            "include_dashboard": False,
        }
        handlers = {number: signal.getsignal(number) for number in SIGNALS}
        with _hushed():
            ray.init(address=address, log_to_driver=False, logging_level="ERROR", **({} if address else local))
        if threading.current_thread() is threading.main_thread():
            for number, handler in handlers.items():
                signal.signal(number, handler)  # Ray put its own in their place
    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # what it meets with is raised too
    try:
        yield
    finally:
        if not before:
            ray.shutdown()


@contextmanager
def _hushed() -> Iterator[None]:
    """Without the lines in which Ray's native code tells of its own settings; what it fails at is raised too."""
    kept = os.dup(_STDERR)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), _STDERR)
        yield
    finally:
        os.dup2(kept, _STDERR)
        os.close(kept)


def _groups(todo: Sequence[Part], workers: int) -> list[dict[str, str]]:
    size = max(1, min(GROUP, len(todo) // (workers * _EACH)))
    numbers = [part.number for part in todo]
    return [{"parts": json.dumps(numbers[start : start + size])} for start in range(0, len(numbers), size)]


class Worker:
    """A process of the cluster: loads the model once, then computes the groups that it is given.

    Args:
        plan: as JSON.
        output: where to.
        options: of the run, as JSON.
    """

    def __init__(self, plan: str, output: str, options: str) -> None:
        self._plan = Plan.model_validate_json(plan)
        self._store = open_store(output)
        asked = PredictOptions.model_validate_json(options)
        os.environ.setdefault("RAYON_NUM_THREADS", str(asked.threads or 1))  # of the tokenizer, before it is loaded
        own = asked.model_copy(update={"threads": asked.threads or 1})
        self._pipeline = load_model(Path(self._plan.model), own, self._plan.chosen)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[str]]:
        """Compute and commit those parts of a group that are not there yet.

        Args:
            batch: a group: the numbers of its parts, as JSON.

        Returns:
            The same, and an error in words; empty where there was none.
        """
        (numbers,) = batch["parts"]
        names = self._store.names()
        parts = [self._plan.parts[number] for number in json.loads(numbers)]
        missing = [part for part in parts if self._plan.part_name(part.number) not in names]
        error = ""
        try:
            for _ in Computer(self._plan, self._store, self._pipeline).run(missing):
                pass
        except PocketBertError as problem:
            error = str(problem)
        return {"parts": [str(numbers)], "error": [error]}
