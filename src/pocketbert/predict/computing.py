"""Parts computed and committed, one after the other: all of them on one machine, some by each worker of many."""

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from pocketbert.errors import DataError, PocketBertError
from pocketbert.inference.faults import Unanswered
from pocketbert.inference.pipeline import Pipeline
from pocketbert.predict.blocks import Block, Failure, Misfit
from pocketbert.predict.columns import make_input
from pocketbert.predict.formats import Csv, Format, JsonLines, Tsv
from pocketbert.predict.options import PredictOptions
from pocketbert.predict.parquet import Parquet
from pocketbert.predict.plan import Part, Plan, load_schema
from pocketbert.predict.predictions import prediction_columns
from pocketbert.predict.reading import read_parts
from pocketbert.predict.store import Store


@dataclass(slots=True)
class _Prepared:
    """A part that is ready to be asked about.

    Attributes:
        part: which.
        block: its rows.
        places: of the rows, in the block, that are asked about.
        inputs: what is asked for each.
        rows: of the same rows, as they will be written.
        failures: of the others.
    """

    part: Part
    block: Block
    places: list[int]
    inputs: list[Any]
    rows: Any
    failures: list[Failure]


class Computer:
    """Computes parts of a plan.

    Args:
        plan: what is done.
        store: where parts are committed.
        pipeline: that answers.
    """

    def __init__(self, plan: Plan, store: Store, pipeline: Pipeline[Any, Any]) -> None:
        self._plan, self._store, self._pipeline = plan, store, pipeline
        self._asked = asked_of(pipeline, PredictOptions.model_validate(plan.fingerprint.options))
        self._format = format_of_plan(plan, pipeline.task)
        self._careful_from = len(plan.parts)
        self._broken: Exception | None = None

    def run(self, parts: Sequence[Part]) -> Iterator[Part]:
        """Compute and commit parts.

        Args:
            parts: in their order; any may be left out.

        Returns:
            Each part as it is committed.

        Raises:
            PocketBertError: an input cannot be read, the model cannot be run, or a part cannot be written.
        """
        todo = list(parts)
        while todo:
            with closing(self._attempt(todo)) as attempt:
                for prepared, answers in attempt:
                    self._commit(prepared, answers)
                    todo = todo[1:]
                    yield prepared.part

    def _attempt(self, todo: Sequence[Part]) -> Generator[tuple[_Prepared, list[Any]], None, None]:
        """Parts with their answers, up to one with a row that cannot be read: from there on such are looked for."""
        waiting: deque[_Prepared] = deque()
        stream: Any = self._pipeline.attempt(self._inputs(todo, waiting), **self._asked)
        with closing(stream):
            while True:
                try:
                    answers = next(stream, None)
                except Exception as error:
                    suspect = waiting[-1].part.number if waiting else -1
                    if not self._can_be_a_row(error) or suspect >= self._careful_from:
                        raise
                    self._careful_from = suspect
                    return
                if answers is None:
                    return
                yield waiting.popleft(), answers

    def _can_be_a_row(self, error: Exception) -> bool:
        """Whether the tokenizer may have raised an error; what reads files and what runs the model raise others."""
        known = isinstance(error, PocketBertError | OSError | MemoryError) and not isinstance(error, DataError)
        return error is not self._broken and not known

    def _inputs(self, todo: Sequence[Part], waiting: "deque[_Prepared]") -> Iterator[list[Any]]:
        try:
            for part, block in read_parts(self._plan.sources, self._plan.heads, todo):
                waiting.append(self._prepare(part, block))
                yield waiting[-1].inputs
        except Exception as error:
            self._broken = error
            raise

    def _prepare(self, part: Part, block: Block) -> _Prepared:
        inputs, wrong = self._questions(block)
        if part.number >= self._careful_from:
            wrong |= self._unreadable(inputs, list(inputs))
        rows, unfit = self._format.render(block, [place for place in inputs if place not in wrong])
        wrong |= unfit
        places = [place for place in inputs if place not in wrong]
        failures = [misfit.of(block, place) for place, misfit in wrong.items()]
        return _Prepared(part, block, places, [inputs[place] for place in places], rows, failures)

    def _questions(self, block: Block) -> tuple[dict[int, Any], dict[int, Misfit]]:
        """By place of a row what is asked for it, or why nothing can be."""
        values = {role: block.column(name) for role, name in self._plan.columns.items()}
        inputs, wrong = {}, {}
        for place in range(len(block.numbers)):
            try:
                given = make_input(self._plan.columns, {role: column[place] for role, column in values.items()})
                self._pipeline.check(given)
                inputs[place] = given
            except Misfit as misfit:
                wrong[place] = misfit
            except DataError as error:
                wrong[place] = Misfit(None, str(error))
        return inputs, wrong

    def _unreadable(self, inputs: dict[int, Any], places: Sequence[int]) -> dict[int, Misfit]:
        """Which inputs the tokenizer refuses, found by halves."""
        try:
            self._pipeline.read([inputs[place] for place in places], self._pipeline.options.changed(**self._asked))
        except Exception as error:  # the tokenizer raises nothing more specific
            if not self._can_be_a_row(error):
                raise
            if len(places) == 1:
                return {places[0]: Misfit(None, str(error))}
            middle = len(places) // 2
            return self._unreadable(inputs, places[:middle]) | self._unreadable(inputs, places[middle:])
        return {}

    def _commit(self, prepared: _Prepared, answers: Sequence[Any]) -> None:
        """Write a part: first its failed rows, for once the part is there it is done."""
        plan, part, block = self._plan, prepared.part, prepared.block
        wrong = _unanswered(prepared.places, answers)
        places = [place for place in prepared.places if place not in wrong]
        rows = self._format.render(block, places)[0] if wrong else prepared.rows
        content, unfit = self._format.encode(rows, [each for each in answers if not isinstance(each, Unanswered)])
        wrong |= {places[number]: misfit for number, misfit in unfit.items()}
        late = [misfit.of(block, place) for place, misfit in wrong.items()]
        failures = sorted([*block.failures, *prepared.failures, *late], key=lambda each: each.row)
        if failures:
            self._store.commit(plan.failed_name(part.number), b"".join(each.line() for each in failures))
        self._store.commit(plan.part_name(part.number), content)


def _unanswered(places: Sequence[int], answers: Sequence[Any]) -> dict[int, Misfit]:
    """By place of a row at which the model failed what it said."""
    return {
        place: Misfit(None, f"the model failed: {answer.reason}")
        for place, answer in zip(places, answers, strict=True)
        if isinstance(answer, Unanswered)
    }


def asked_of(pipeline: Pipeline[Any, Any], options: PredictOptions) -> dict[str, Any]:
    """Options of each call. What nobody reads is not computed; zero-shot gives all scores, which are cut later.

    Raises:
        PocketBertError: the pipeline has no such option.
    """
    asked = options.asked()
    if pipeline.task == "classification":
        asked.setdefault("top_k", 1)
    if pipeline.task == "zero_shot":
        asked.pop("top_k", None)
    pipeline.options.changed(**asked)
    return asked


def format_of_plan(plan: Plan, task: str) -> Format:
    """The format of the output, with the columns of a task."""
    columns = prediction_columns(task, PredictOptions.model_validate(plan.fingerprint.options), plan.width)
    if plan.target.format == "parquet":
        return Parquet(load_schema(plan.table), columns, plan.target)
    kind = {"csv": Csv, "tsv": Tsv, "jsonl": JsonLines}[plan.target.format]
    return kind(plan.names, columns, plan.target)
