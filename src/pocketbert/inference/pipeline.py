"""What every pipeline is: text in, typed answers out, one or many."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Hashable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Generic, Self, TypeVar, overload

from pocketbert.engines.base import Engine, Logits
from pocketbert.errors import DataError, PocketBertError
from pocketbert.inference.faults import Unanswered, run_apart
from pocketbert.inference.reading import Kind, Read, Reader, TooLong
from pocketbert.inference.results import Result
from pocketbert.inference.running import Run, Runner, Running, run_batch

BLOCK = 4096
"""Texts that are read and sorted together: enough for batches of like lengths, few enough for little memory."""

Input = TypeVar("Input")
Answer = TypeVar("Answer", bound=Result)


@dataclass(frozen=True, slots=True)
class Options:
    """What can be asked of every pipeline, at load or with each call.

    Attributes:
        too_long: whether texts longer than the model takes are read in windows, or cut as in training and ``evaluate``.
    """

    too_long: TooLong = "windows"

    def __post_init__(self) -> None:
        """Refuse what is no option.

        Raises:
            PocketBertError: which, and what would be.
        """
        if self.too_long not in ("windows", "truncate"):
            raise PocketBertError(f"too_long: {self.too_long!r}: choose windows or truncate")

    def changed(self, **given: Any) -> Self:
        """The same but for what is given.

        Raises:
            PocketBertError: there is no such option, or no such value.
        """
        known = [field.name for field in fields(self)]
        if unknown := [name for name in given if name not in known]:
            raise PocketBertError(f"there is no option {unknown[0]!r}; there are {', '.join(known)}")
        return replace(self, **given)


@dataclass(frozen=True, slots=True)
class _Block:
    """Inputs that were read together.

    Attributes:
        numbers: which of the distinct inputs each one is.
        inputs: the distinct ones.
        reads: of each of them.
        running: their windows.
    """

    numbers: list[int]
    inputs: list[Any]
    reads: list[Read]
    running: Running


class Pipeline(ABC, Generic[Input, Answer]):
    """A tokenizer, an engine and a task. Calls from several threads at once are fine.

    Args:
        folder: the model directory.
        path: of the file that is run, from there.
        engine: that runs it.
        streams: calls that the engine allows at once.

    Attributes:
        task: what it answers.
        kind: of its inputs.
    """

    task: str
    kind: Kind = "text"
    options: Options = Options()

    def __init__(self, folder: Path, path: str, engine: Engine, streams: int = 1) -> None:
        self.folder, self.path, self.engine = folder, path, engine
        self.labels = engine.description.labels or []
        self.reader = Reader(folder, engine.description, self.kind)
        self._runner = Runner(engine, streams)

    @abstractmethod
    def check(self, given: Input) -> Hashable:
        """Refuse what is no input; equal inputs give equal values and are computed once.

        Raises:
            DataError: what it is, and what it should be.
        """

    @abstractmethod
    def answer(
        self, inputs: Sequence[Input], reads: Sequence[Read], logits: Sequence[Logits], options: Any
    ) -> list[Answer]:
        """The answers to some inputs.

        Args:
            inputs: one at least.
            reads: how each was read.
            logits: of all windows, one read after the other.
            options: of the call.
        """

    def read(self, inputs: Sequence[Input], options: Options) -> list[Read]:
        """Inputs as windows; see :meth:`~pocketbert.inference.reading.Reader.read`."""
        return self.reader.read(inputs, options.too_long)

    @overload
    def __call__(self, inputs: list[Input], **options: Any) -> list[Answer]: ...
    @overload
    def __call__(self, inputs: Input, **options: Any) -> Answer: ...
    def __call__(self, inputs: Any, **options: Any) -> Any:
        """Answer one input, or a list of them.

        Args:
            inputs: one, or a list; see :meth:`check`.
            options: to change for this call.

        Returns:
            An answer, or a list of them in order.

        Raises:
            PocketBertError: an option that does not exist, or the pipeline is closed.
            DataError: an input that is none, with its place in the list.
            ModelError: the engine failed.
        """
        chosen = self.options.changed(**options)
        if isinstance(inputs, list):
            numbers, distinct = self._distinct(inputs)
            blocks = (distinct[start : start + BLOCK] for start in range(0, len(distinct), BLOCK))
            answers = [answer for answers in self._stream(blocks, chosen) for answer in answers]
            return [answers[number] for number in numbers]
        self._runner.check_open()
        self.check(inputs)
        (read,) = self.read([inputs], chosen)
        logits = [values for window in read.windows for values in run_batch(self.engine, [window])]
        return self.answer([inputs], [read], logits, chosen)[0]

    def stream(self, blocks: Iterable[Sequence[Input]], **options: Any) -> Iterator[list[Answer]]:
        """Answer blocks of inputs, one after the other; while one is computed the next is fetched and read.

        Args:
            blocks: of inputs; texts are sorted by length and computed once within a block.
            options: as of a call.

        Returns:
            The answers of each block. A block's answers depend on nothing but the block.
        """
        return self._stream(blocks, self.options.changed(**options))

    def attempt(self, blocks: Iterable[Sequence[Input]], **options: Any) -> Iterator[list[Answer | Unanswered]]:
        """As :meth:`stream`, but for inputs at which the engine fails: they alone get no answer.

        Args:
            blocks: of inputs.
            options: as of a call.

        Raises:
            ModelError: the engine is broken; see :func:`~pocketbert.inference.faults.run_apart`.
        """
        return self._stream(blocks, self.options.changed(**options), run_apart)

    def _stream(self, blocks: Iterable[Sequence[Input]], options: Options, run: Run = run_batch) -> Iterator[list[Any]]:
        source = iter(blocks)
        waiting: deque[_Block] = deque()
        with ThreadPoolExecutor(1, thread_name_prefix="pocketbert-reader") as reader:
            ahead = reader.submit(self._begin, source, options, run)
            while (block := ahead.result()) is not None:
                ahead = reader.submit(self._begin, source, options, run)
                waiting.append(block)
                if len(waiting) > 1:
                    yield self._finish(waiting.popleft(), options)
            while waiting:
                yield self._finish(waiting.popleft(), options)

    def _begin(self, source: Iterator[Sequence[Input]], options: Options, run: Run) -> _Block | None:
        """Fetch, read and start the next block; None after the last."""
        inputs = next(source, None)
        if inputs is None:
            return None
        numbers, distinct = self._distinct(inputs)
        reads = self.read(distinct, options)
        return _Block(numbers, distinct, reads, self._runner.start([w for read in reads for w in read.windows], run))

    def _distinct(self, inputs: Sequence[Input]) -> tuple[list[int], list[Input]]:
        """Which of the distinct inputs each one is, and these."""
        places: dict[Hashable, int] = {}
        distinct: list[Input] = []
        numbers = []
        for row, given in enumerate(inputs, start=1):
            try:
                key = self.check(given)
            except DataError as error:
                raise DataError(f"input {row}: {error}") from None
            if places.setdefault(key, len(distinct)) == len(distinct):
                distinct.append(given)
            numbers.append(places[key])
        return numbers, distinct

    def _finish(self, block: _Block, options: Options) -> list[Answer | Unanswered]:
        remaining = iter(block.running.logits())
        logits = [[next(remaining) for _ in read.windows] for read in block.reads]
        faults = [next((each for each in windows if isinstance(each, Unanswered)), None) for windows in logits]
        sound = [row for row, fault in enumerate(faults) if fault is None]
        inputs, reads = [block.inputs[row] for row in sound], [block.reads[row] for row in sound]
        known = [values for row in sound for values in logits[row]]
        answers = iter(self.answer(inputs, reads, known, options) if sound else [])
        distinct = [fault or next(answers) for fault in faults]
        return [distinct[number] for number in block.numbers]

    def close(self) -> None:
        """End the threads of the engine; there are no answers after that."""
        self._runner.close()
