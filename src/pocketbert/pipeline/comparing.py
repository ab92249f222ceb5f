"""Measuring what a run has made, once: the same models and data again are taken from the run's folder."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import torch
from pydantic import BaseModel, ValidationError
from rich.console import Console

from pocketbert.data.sources import fingerprint
from pocketbert.distill import ranks
from pocketbert.distill.texts import CORPORA
from pocketbert.files import hash_text, write_atomically
from pocketbert.manifest import hash_options
from pocketbert.measure.bench import bench
from pocketbert.measure.bench_results import Bench, BenchedModel
from pocketbert.measure.evaluation import compare, comparison_key
from pocketbert.measure.language import compare_masked_lm, text_comparison_key
from pocketbert.measure.opening import hash_reference
from pocketbert.measure.results import Comparison, Role
from pocketbert.recipe import Data, DistillStage

LENGTH, SECONDS = 32, 60.0
"""Tokens of the one text whose latency the chain is compared by, and how long the chain is timed."""

M = TypeVar("M", bound=BaseModel)


class _Kept(BaseModel):
    """A bench and the key of what went into it."""

    key: str
    bench: Bench


def compare_rows_once(
    folder: Path, number: int, models: dict[Role, str], data: Data, name: str, console: Console
) -> Comparison:
    """Compare models on the rows of a task.

    Args:
        folder: of the run.
        number: of the stage.
        models: references by role.
        data: the task.
        name: of the data, for people.
        console: for progress.
    """

    def measure() -> Comparison:
        return compare(models, data, name=name)

    return _compare_once(folder, number, comparison_key(models, data), measure, console)


def compare_texts_once(
    folder: Path, number: int, models: dict[Role, str], options: DistillStage, name: str, console: Console
) -> Comparison:
    """Compare masked language models on held-out text; see :func:`compare_rows_once`."""

    def measure() -> Comparison:
        return compare_masked_lm(models, options, folder / CORPORA, console, name)

    return _compare_once(folder, number, text_comparison_key(models, options), measure, console)


def bench_once(folder: Path, models: Sequence[str], data: Data, console: Console) -> Bench:
    """Measure the models of a chain side by side, each against the first.

    Args:
        folder: of the run.
        models: references, the teacher first.
        data: the task whose test rows are scored and timed.
        console: for progress.
    """
    sources = [*(data.train or []), *(data.validation or []), *(data.test or [])]
    # Those of the recipe, on which its students are compared with their teachers, too.
    threads = torch.get_num_threads()
    key = hash_text(hash_options(data), fingerprint(sources), *map(hash_reference, models), str(threads))
    with ranks.main_first():
        found = _find(folder / "chain.json", _Kept, console)
        if found is not None and found.key == key:
            return found.bench
        console.rule("the chain, side by side", align="left")
        measured = bench(
            models, None, data, lengths=[LENGTH], batch_sizes=[1], threads=[threads], seconds=SECONDS, console=console
        )
        write_atomically(folder / "chain.json", _Kept(key=key, bench=measured).model_dump_json(indent=2))
        return measured


def fastest(models: Sequence[BenchedModel]) -> BenchedModel:
    """The model with the highest throughput."""
    return max(models, key=lambda model: model.throughput[-1].texts_per_second)


def _compare_once(
    folder: Path, number: int, key: str, measure: Callable[[], Comparison], console: Console
) -> Comparison:
    path = folder / f"{number:02d}-comparison.json"
    with ranks.main_first():
        found = _find(path, Comparison, console)
        if found is not None and found.key == key:
            return found
        console.rule("comparing", align="left")
        comparison = measure()
        write_atomically(path, comparison.model_dump_json(indent=2))
        return comparison


def _find(path: Path, kind: type[M], console: Console) -> M | None:
    if not path.is_file():
        return None
    try:
        return kind.model_validate_json(path.read_bytes())
    except ValidationError:
        console.print(f"{path}: not a comparison of this version; comparing again", highlight=False)
        return None
