"""Bulk scoring from the first call to the finished output; the same call goes on where a killed one ended."""

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from rich.console import Console

from pocketbert.bars import Meter
from pocketbert.errors import PocketBertError
from pocketbert.inference.pipeline import Pipeline
from pocketbert.predict.computing import Computer, format_of_plan
from pocketbert.predict.finishing import check_complete, finish
from pocketbert.predict.interruption import stoppable
from pocketbert.predict.options import PredictOptions
from pocketbert.predict.plan import NAME, Fingerprint, Part, Plan, difference
from pocketbert.predict.planning import fingerprint, load_model, make_plan, target_of
from pocketbert.predict.results import Predicted, Record
from pocketbert.predict.sources import STDIN, Source, find_sources, spool_stdin
from pocketbert.predict.store import FAILED, MANIFEST, LocalStore, Store, open_store
from pocketbert.recipe import parse_section


def predict(
    model: str | Path,
    inputs: str | Path | Sequence[str | Path],
    output: str | Path,
    *,
    console: Console | None = None,
    **options: Any,
) -> Predicted:
    """Score the rows of files: all columns are kept, and predictions are added to them.

    Args:
        model: a directory that ``export`` made, or one of its files.
        inputs: files, globs, URLs, or ``-`` for the standard input: Parquet, CSV, TSV or JSON lines.
        output: a file, whose ending tells the format; without an ending, a folder of parts. A URL writes elsewhere.
        console: for progress and notes; quiet when absent.
        options: the fields of :class:`~pocketbert.predict.options.PredictOptions`.

    Returns:
        What was made. Rows without prediction are no error: they lie beside the output with the reason.

    Raises:
        PocketBertError: the call is wrong, an input or the model cannot be read, the output is that of another run,
            something has changed since this run began, there is no room, or more rows failed than are borne.
        Interrupted: a signal came; the same call goes on.
    """
    chosen = parse_section(PredictOptions, options, "predict")
    given = [inputs] if isinstance(inputs, str | Path) else list(inputs)
    run = _Run(Path(model), given, str(output), chosen, console or Console(quiet=True))
    with stoppable(str(output)), run.store.locked():
        return run.walk()


class _Run:
    """A call of :func:`predict`."""

    def __init__(
        self, model: Path, inputs: Sequence[str | Path], output: str, options: PredictOptions, console: Console
    ) -> None:
        self.inputs, self.output, self.options, self.console = inputs, output, options, console
        self.model = model.absolute()  # as workers know it, for what it says of a row that fails
        self.store: Store = open_store(output)
        self.start = time.monotonic()

    def walk(self) -> Predicted:
        """From the inputs to the output, or as much of it as is missing."""
        sources = self._sources()
        if record := self._finished(sources):
            self.store.clear()
            self.console.print(f"{self.output}: is finished; nothing to do", highlight=False, soft_wrap=True)
            return self._result(record, 0)
        plan, pipeline = self._begun(sources) or self._begin(sources)
        with closing(pipeline):
            names = self.store.names()
            todo = [part for part in plan.parts if plan.part_name(part.number) not in names]
            missing = sum(part.rows for part in todo)
            if missing < plan.rows:
                kept = f"{plan.rows - missing:,} of {plan.rows:,} rows are there already"
                self.console.print(f"{self.output}: {kept}; going on", highlight=False, soft_wrap=True)
            with Meter("predict", self.console, plan.rows, plan.rows - missing).shown() as meter:
                for part in self._computed(plan, pipeline, todo):
                    meter.count(part.rows)
        check_complete(plan, self.store)
        record = finish(plan, self.store, format_of_plan(plan, pipeline.task), self.options.max_failed)
        self.store.clear()
        return self._result(record, missing)

    def _sources(self) -> list[Source]:
        spool = None
        if STDIN in map(str, self.inputs):
            if not isinstance(self.store, LocalStore):
                raise PocketBertError(f"-: is kept beside the output, and {self.output} lies elsewhere; name a file")
            spool = spool_stdin(self.store.work)
        found = find_sources(self.inputs, self.options.input_format, spool)
        # A glob may match what an earlier run of the same command has written.
        own = {str(Path(self.output + ending).absolute()) for ending in ("", FAILED, MANIFEST)}
        if left := [source for source in found if source.path not in own]:
            return left
        raise PocketBertError(f"{self.output}: is the input and the output; name another output")

    def _finished(self, sources: Sequence[Source]) -> Record | None:
        """What was made before by the same call; None where nothing was.

        Raises:
            PocketBertError: the output is that of another run.
        """
        found = self.store.read(MANIFEST)
        if found is not None and self.store.exists():
            record = Record.model_validate_json(found)
            if changed := difference(record.fingerprint, self._now(record.engine, sources)):
                raise PocketBertError(f"{self.output}: is finished, and was made otherwise: {changed}; {_ANEW}")
            return record
        if self.store.exists() and NAME not in self.store.names():
            raise PocketBertError(f"{self.output}: is there already, and no output of this command; {_ANEW}")
        return None

    def _now(self, path: str, sources: Sequence[Source]) -> Fingerprint:
        return fingerprint(self.model, path, self.options, sources)

    def _begun(self, sources: Sequence[Source]) -> tuple[Plan, Pipeline[Any, Any]] | None:
        """The plan of a run that was begun and not finished, and its model.

        Raises:
            PocketBertError: something has changed since.
        """
        if NAME not in self.store.names():
            return None
        with self.store.open(NAME) as file:
            plan = Plan.model_validate_json(file.read())
        if changed := difference(plan.fingerprint, self._now(plan.chosen.path, sources)):
            work = getattr(self.store, "work", "the folder of its parts")
            raise PocketBertError(
                f"{self.output}: was begun otherwise: {changed}. Put it back to go on, name another output, or remove "
                f"{work} to begin anew"
            )
        here = plan.model_copy(update={"sources": list(sources), "model": str(self.model)})
        return here, load_model(self.model, self.options, plan.chosen)

    def _begin(self, sources: Sequence[Source]) -> tuple[Plan, Pipeline[Any, Any]]:
        target = target_of(self.output, sources)
        pipeline = load_model(self.model, self.options, None)
        try:
            plan, note = make_plan(self.model, pipeline, self.options, sources, target)
            self.store.commit(NAME, plan.model_dump_json().encode())
        except BaseException:
            pipeline.close()
            raise
        if note:
            self.console.print(note, highlight=False, soft_wrap=True)
        return plan, pipeline

    def _computed(self, plan: Plan, pipeline: Pipeline[Any, Any], todo: Sequence[Part]) -> Iterator[Part]:
        if self.options.engine == "local":
            return Computer(plan, self.store, pipeline).run(todo)
        from pocketbert.predict.ray_engine import run_on_ray

        pipeline.close()  # workers have their own
        return run_on_ray(plan, self.output, self.options, todo)

    def _result(self, record: Record, computed: int) -> Predicted:
        seconds = time.monotonic() - self.start
        return Predicted(
            output=self.output,
            failed_file=self.output + FAILED if record.failed else None,
            rows=record.rows,
            failed=record.failed,
            parts=record.parts,
            computed=computed,
            seconds=seconds,
            rows_per_second=computed / seconds,
        )


_ANEW = "name another output, or remove it (and what lies beside it) to begin anew"
