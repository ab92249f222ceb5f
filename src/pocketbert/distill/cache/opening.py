"""From a run that asks its teacher at every step to one that reads what the teacher said."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from pocketbert.distill import ranks
from pocketbert.distill.cache.asking import Asking
from pocketbert.distill.cache.content import Content
from pocketbert.distill.cache.filling import fill, hold
from pocketbert.distill.cache.index import Index, begin_index, check_index, has_index, read_index, write_error
from pocketbert.distill.cache.key import Key, make_key
from pocketbert.distill.cache.measuring import measure_error
from pocketbert.distill.cache.signals import CachedSamples, CachedSignals
from pocketbert.distill.cache.store import Reader
from pocketbert.distill.cache.wanted import want_content
from pocketbert.distill.datasets import EncodedRows, MaskedBlocks
from pocketbert.distill.length import order_samples, samples_seen
from pocketbert.distill.objective import Objective
from pocketbert.distill.precision import settle_precision, torch_dtype
from pocketbert.distill.signals import Needs, OnlineSignals
from pocketbert.distill.trainer import Job
from pocketbert.files import folder_to_make, hash_text
from pocketbert.models.inside import Inside
from pocketbert.recipe import DistillStage

SIGNALS = "signals"
"""Folder beside the model directories that keeps what teachers said, for later stages."""


@dataclass
class SignalCache:
    """Has the teacher of a stage speak once.

    Args:
        options: of the stage.
        tokenizer: the teacher's.
        beside: folder of the model directories.
        console: for progress.

    Attributes:
        metrics: what it took and what it leaves out, once it is there.
    """

    options: DistillStage
    tokenizer: PreTrainedTokenizerBase
    beside: Path
    console: Console
    metrics: dict[str, Any] = field(default_factory=dict)

    def take_over(self, job: Job, objectives: Sequence[Objective]) -> Job:
        """The same run, on samples that bring along what the teacher said; it is asked about those not yet there.

        Args:
            job: of the stage.
            objectives: of its phases.

        Raises:
            PocketBertError: a loss needs what is not kept, or the cache was made from something else.
            Interrupted: asked to stop while the teacher spoke; what it said is kept.
        """
        samples, teacher = job.data, job.teacher
        needed = any(objective.needs for objective in objectives)
        if self.options.signals == "online" or teacher is None or isinstance(samples, CachedSamples) or not needed:
            return job
        content = want_content(objectives, teacher, self.options.cache.top_k)
        key = make_key(teacher, self.tokenizer, samples)
        folder = self._folder(key, content, job.folder)
        with hold(folder, self.console):
            with ranks.main_first():
                index = self._open(folder, key, content, job.folder)
            self._complete(folder, index, job, samples, teacher)
            with ranks.main_first():
                index = read_index(folder)
        self._report(folder, index)
        # Whoever filled it has cast the teacher; its head is to be the same for who goes on.
        teacher.to(dtype=torch_dtype(index.precision))
        reader = Reader(folder, index.content.kinds)
        return replace(job, data=CachedSamples(samples, reader, content, self._epochs(samples)))

    def _folder(self, key: Key, content: Content, work: Path) -> Path:
        if self.options.cache.folder:
            return folder_to_make(Path(self.options.cache.folder))
        precision = settle_precision(self.options.precision, work)
        return self.beside / SIGNALS / hash_text(*key.values(), content.model_dump_json(), precision)[:16]

    def _open(self, folder: Path, key: Key, content: Content, work: Path) -> Index:
        precision = self.options.precision
        if not has_index(folder):
            begin_index(folder, key, content, settle_precision(precision, work))
        index = read_index(folder)
        check_index(folder, index, key, content, precision)
        return index

    def _complete(
        self, folder: Path, index: Index, job: Job, samples: MaskedBlocks | EncodedRows, teacher: PreTrainedModel
    ) -> None:
        """Ask about all that the run sees and the cache lacks."""
        numbers = self._seen(samples)
        missing = np.setdiff1d(numbers, Reader(folder, index.content.kinds).numbers)
        measured = not index.content.of_vocabulary or bool(index.error)
        if measured and not len(missing):
            return
        asking = _asking(index, samples, teacher)
        fill(asking, folder, missing, self.console)
        if not measured and ranks.is_main():
            cached = CachedSamples(samples, Reader(folder, index.content.kinds), index.content, self._epochs(samples))
            dtype = torch_dtype(index.precision)
            read = CachedSignals(index.content, Needs(logits=True), teacher, asking.device, dtype)
            temperature = index.content.temperature or job.objective.temperature
            error = measure_error(asking, cached, read, job.model, temperature, numbers)
            write_error(folder, error | {"temperature": temperature})
        # It has said all, and makes room for the student.
        teacher.to(device=torch.device("cpu"))

    def _seen(self, samples: MaskedBlocks | EncodedRows) -> NDArray[np.int64]:
        order = order_samples(self.options, len(samples), samples.lengths)
        return samples_seen(self.options, order, self._epochs(samples))

    def _epochs(self, samples: MaskedBlocks | EncodedRows) -> int:
        """Those that differ from one another: rows are the same in each."""
        return self.options.cache.epochs if isinstance(samples, MaskedBlocks) else 1

    def _report(self, folder: Path, index: Index) -> None:
        size = sum(path.stat().st_size for path in folder.iterdir())
        self.metrics = {
            "cache_bytes": size,
            "cache_bytes_per_token": round(size / index.tokens, 2),
            "cache_seconds": index.seconds,
        }
        told = f"{index.entries:,} samples in {size / 1e6:,.1f} MB, {size / index.tokens:,.1f} bytes a token"
        if index.error:
            self.metrics |= {f"cache_{name}": value for name, value in index.error.items()}
            told += f"; {_describe_error(index)}"
        self.console.print(f"cached signals: {folder}: {told}", highlight=False, soft_wrap=True)


def _describe_error(index: Index) -> str:
    error, top = index.error, index.content.top_k
    off = f"a position deviates by {error['deviation']:.2g}, at temperature {error['temperature']:g}"
    if top is None:
        return f"soft targets are {error['kept']:.4f} as kept and {error['full']:.4f} as said, and {off}"
    return (
        f"the top {top} and as many of the rest ({error['rest']:.1%} of the probability) give soft targets of "
        f"{error['kept']:.4f}, all give {error['full']:.4f}, and {off}"
    )


def _asking(index: Index, samples: MaskedBlocks | EncodedRows, teacher: PreTrainedModel) -> Asking:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    needs = Needs(bool(index.content.classes), Inside(states=frozenset(index.content.states)))
    asked = OnlineSignals(teacher, needs, device, torch_dtype(index.precision))
    return Asking(samples, asked, index.content, device)
