"""Altered copies of the training rows, made once and kept in the stage's work folder until it is done."""

import json
import os
from collections.abc import Sequence
from copy import copy as shallow_copy
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from pocketbert.bars import Meter
from pocketbert.data.augmentation import Words, alter
from pocketbert.distill import ranks
from pocketbert.distill.precision import settle_precision, torch_dtype
from pocketbert.distill.proposals import Proposals
from pocketbert.distill.rows import TaskRows
from pocketbert.recipe import Augment, Training
from pocketbert.tasks.base import Example, Task

NAME = "augmented.jsonl"
CHUNK = 1024
"""Copies that are made together: what a killed run loses at most."""

SHOWN = 200
"""Characters of the copy that is shown as an example."""


def augment_rows(rows: TaskRows, wanted: Augment, options: Training, folder: Path, console: Console) -> TaskRows:
    """The same rows, and beside them altered copies of those to learn from, without a label.

    A run that was killed here goes on after its last whole chunk of copies. A copy that is too long is left out where
    the row itself would have stopped the run.

    Args:
        rows: of the task; get a note.
        wanted: what is altered, and how much of it.
        options: of the stage: seed and precision.
        folder: where the stage works.
        console: for progress, and an example.

    Raises:
        ModelError: the model that replaces words cannot be used.
    """
    path = folder / NAME
    precision = settle_precision(options.precision, folder)
    with ranks.main_first():
        if not path.is_file():
            _Copies(rows, wanted, options.seed, precision).write(path, console)
    made = list(_read(path, rows.train))
    rows.notes.append(f"augmented: {len(made):,} altered copies of {len(rows.train):,} training rows")
    # For the eyes of who makes the model only: notes travel with it, texts of its training do not.
    console.print(f"a copy: {' '.join(_words(made[0].text))[:SHOWN]}", highlight=False, markup=False)
    return replace(rows, task=_lenient(rows.task), augmented=made)


class _Copies:
    """The copies of some rows, numbered: those of a row follow one another."""

    def __init__(self, rows: TaskRows, options: Augment, seed: int, precision: str) -> None:
        self._rows, self._options, self._seed, self._precision = rows.train, options, seed, precision
        pairs = self._rows[0].pair is not None and rows.task.name != "question_answering"
        self._sides = ("text", "pair") if pairs else ("text",)
        # A token is a word at most: what stands behind so many words is not read anyway.
        longest = rows.task.data.max_length
        self._texts = [[_words(getattr(row, side))[:longest] for row in self._rows] for side in self._sides]

    def write(self, path: Path, console: Console) -> None:
        """Write all of them, a line each; the file has its name when it is whole."""
        part = path.with_name(f"{path.name}.part")
        total, done = len(self._rows) * self._options.copies, _keep_whole(part)
        model = self._options.model if self._options.replaced else None
        proposals = model and Proposals(model, self._options.candidates, torch_dtype(self._precision))
        meter = Meter("augment", console, total, done)
        with meter.shown(), part.open("a", encoding="utf-8") as file:
            for start in range(done, total, CHUNK):
                numbers = range(start, min(start + CHUNK, total))
                file.writelines(self._lines(numbers, proposals or None))
                file.flush()
                meter.count(len(numbers))
            os.fsync(file.fileno())
        part.replace(path)

    def _lines(self, numbers: range, proposals: Proposals | None) -> list[str]:
        places = [divmod(number, self._options.copies) for number in numbers]
        drafts = [draft for row, copy in places for draft in alter(self._texts, row, copy, self._options, self._seed)]
        filled = proposals.fill(drafts) if proposals else [draft.words for draft in drafts]
        sides = len(self._sides)
        parts = [filled[start : start + sides] for start in range(0, len(filled), sides)]
        return [self._line(row, copy, words) for (row, copy), words in zip(places, parts, strict=True)]

    def _line(self, row: int, copy: int, altered: Sequence[Words]) -> str:
        original = self._rows[row]
        texts = {side: _like(getattr(original, side), words) for side, words in zip(self._sides, altered, strict=True)}
        return json.dumps({"row": row, "copy": copy + 1, **texts}, ensure_ascii=False) + "\n"


def _words(text: str | list[str]) -> Words:
    return text if isinstance(text, list) else text.split()


def _like(original: str | list[str], words: Words) -> str | Words:
    return words if isinstance(original, list) else " ".join(words)


def _keep_whole(part: Path) -> int:
    """How many copies a killed run has left; what is behind its last whole chunk is cut off."""
    if not part.is_file():
        return 0
    count, kept, size, end = 0, 0, 0, 0
    with part.open("rb+") as file:
        for line in file:
            size, count = size + len(line), count + 1
            if count % CHUNK == 0 and line.endswith(b"\n"):
                kept, end = count, size
        file.truncate(end)
    return kept


def _read(path: Path, rows: Sequence[Example]) -> list[Example]:
    examples = []
    with path.open(encoding="utf-8") as file:
        for line in file:
            copy = json.loads(line)
            row = rows[copy["row"]]
            place = f"{row.where}, copy {copy['copy']}"
            examples.append(Example(copy["text"], copy.get("pair", row.pair), None, place))
    return examples


def _lenient(task: Task) -> Task:
    """The task, for copies: they may have more pieces than their row, which is nobody's mistake."""
    lenient = shallow_copy(task)
    if task.data.too_long == "fail" or task.name == "question_answering":
        lenient.data = task.data.model_copy(update={"too_long": "skip"})
    return lenient
