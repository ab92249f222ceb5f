"""Phases: one stage may teach by one objective after another, each from where the last one ended."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from transformers import PreTrainedModel
from transformers.utils import SAFE_WEIGHTS_NAME

from pocketbert.distill import ranks
from pocketbert.distill.cache.signals import CachedSamples
from pocketbert.distill.datasets import EncodedRows
from pocketbert.distill.length import EPOCHS
from pocketbert.distill.matching import Comparison, Models, Shape
from pocketbert.distill.objective import OF_LOGITS, Objective, SoftPositions
from pocketbert.distill.stage import BOARD
from pocketbert.distill.trainer import Job, Samples, train
from pocketbert.files import write_atomically
from pocketbert.manifest import LOG
from pocketbert.recipe import LayerMap, Losses, Training

COUNTED_THROUGH = {"step": "steps", "seconds": "seconds"}
"""What a log counts, and what a summary calls the sum."""
DONE = "done.json"
"""In the folder of a finished phase: what it gave."""


@dataclass(frozen=True)
class Phase:
    """Some losses, for a share of the stage's length.

    Attributes:
        losses: their weights.
        temperature: of the soft targets.
        share: of the steps, epochs or time of the stage.
        name: for the progress line; none where there is a single phase.
    """

    losses: Losses
    temperature: float = 2.0
    share: float = 1.0
    name: str = ""


@dataclass(frozen=True)
class Course:
    """What a stage teaches by.

    Attributes:
        phases: one after the other; their shares add up to 1.
        layer_map: which layers are compared.
        relation_heads: of the relations; None for as many as the widths allow.
        contrastive_temperature: of the losses that compare the texts of a batch.
        soft_positions: for the masked language model, where soft targets are compared.
    """

    phases: Sequence[Phase]
    layer_map: LayerMap = "uniform"
    relation_heads: int | None = None
    contrastive_temperature: float = 0.05
    soft_positions: SoftPositions = "masked"

    @classmethod
    def of(cls, losses: Losses, temperature: float = 2.0) -> "Course":
        """A single phase."""
        return cls((Phase(losses, temperature),))

    @property
    def asks_teacher(self) -> bool:
        """Whether some loss of weight asks for the teacher's word, not for the true labels alone."""
        return any(set(_weighed(phase.losses)) - {"labels", "masked_lm"} for phase in self.phases)

    @property
    def answers(self) -> bool:
        """Whether the head is trained, in the last phase."""
        return bool(set(_weighed(self.phases[-1].losses)) & set(OF_LOGITS))

    @property
    def looks_at_heads(self) -> bool:
        """Whether some phase does."""
        return any(set(_weighed(phase.losses)) & set(OF_LOGITS) for phase in self.phases)

    def describe(self) -> dict[str, Any]:
        """All of it in plain values, for keys and manifests."""
        phases = [{**asdict(phase), "losses": _weighed(phase.losses)} for phase in self.phases]
        return {**asdict(self), "phases": phases}

    def objectives(
        self, task: str, student: PreTrainedModel, teacher: PreTrainedModel | None, seed: int
    ) -> list[Objective]:
        """The objective of each phase.

        Args:
            task: its name.
            student: to be taught.
            teacher: who teaches, or None.
            seed: of the projections.

        Raises:
            PocketBertError: the losses cannot compare models of these shapes.
        """
        torch.manual_seed(seed)
        if teacher is None:
            return [Objective(task, phase.losses, phase.temperature, self.soft_positions) for phase in self.phases]
        models = Models(Shape.of(student.config), Shape.of(teacher.config))
        how = Comparison(self.layer_map, self.relation_heads, self.contrastive_temperature)
        return [
            Objective(task, phase.losses, phase.temperature, self.soft_positions, models, how) for phase in self.phases
        ]


def train_phases(job: Job, course: Course, task: str) -> dict[str, Any]:
    """Train by each objective of a course, or go on where a killed run stopped.

    Args:
        job: of the whole stage; its objective is that of the first phase.
        course: the phases.
        task: its name.

    Returns:
        As :func:`~pocketbert.distill.trainer.train` for the last phase; steps and seconds are those of all.

    Raises:
        Interrupted: SIGTERM or SIGINT came; the state is saved.
        TrainingError: a loss was not finite.
    """
    if len(course.phases) == 1:
        return train(job)
    objectives = course.objectives(task, job.model, job.teacher, job.options.seed)
    parts = zip(course.phases, objectives, share_out(job.options, course.phases), strict=True)
    summaries = [
        _train_phase(job, phase, objective, options, _folder(job.folder, number))
        for number, (phase, objective, options) in enumerate(parts)
    ]
    with ranks.main_first():
        if ranks.is_main():
            _gather_logs(job.folder, course.phases, summaries)
    return _sum_up(summaries)


def _train_phase(job: Job, phase: Phase, objective: Objective, options: Training, folder: Path) -> dict[str, Any]:
    done = folder / DONE
    if not done.is_file():
        part = replace(
            job,
            title=f"{job.title}, {phase.name}",
            data=_data_of(phase, job.data),
            objective=objective,
            options=options,
            folder=folder,
            # A head that is not trained has nothing to say on what is best.
            evaluate=job.evaluate if objective.answers else None,
        )
        summary = train(part)
        with ranks.main_first():
            if ranks.is_main():
                job.model.save_pretrained(folder)
                write_atomically(done, json.dumps(summary))
    # Tied weights are saved once.
    job.model.load_state_dict(load_file(folder / SAFE_WEIGHTS_NAME), strict=False)
    found: dict[str, Any] = json.loads(done.read_text(encoding="utf-8"))
    return found


def _data_of(phase: Phase, data: Samples) -> Samples:
    """What a phase learns from: where it learns by labels alone, the rows that have one."""
    rows = data.samples if isinstance(data, CachedSamples) else data
    if isinstance(rows, EncodedRows) and set(_weighed(phase.losses)) == {"labels"}:
        return rows.labelled()
    return data


def share_out(options: Training, phases: Sequence[Phase]) -> list[Training]:
    """The same options for each phase: together they have all of the length.

    Steps are whole numbers, and every phase has one at least.
    """
    if not options.steps:
        return [share_of(options, phase.share) for phase in phases]
    ends = [round(options.steps * share) for share in accumulate(phase.share for phase in phases)]
    return [
        options.model_copy(update={"steps": max(1, end - start)})
        for start, end in zip([0, *ends[:-1]], ends, strict=True)
    ]


def share_of(options: Training, share: float) -> Training:
    """The same options for a share of their length."""
    if options.steps:
        return options.model_copy(update={"steps": max(1, round(options.steps * share))})
    if options.budget:
        return options.model_copy(update={"budget": options.budget * share})
    return options.model_copy(update={"epochs": (options.epochs or EPOCHS) * share})


def _weighed(losses: Losses) -> dict[str, float]:
    return {name: weight for name, weight in losses.model_dump().items() if weight}


def _folder(folder: Path, number: int) -> Path:
    return folder / f"phase-{number + 1}"


def _sum_up(summaries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What the stage gave: steps are counted through its phases."""
    last = dict(summaries[-1])
    if "best_step" in last:
        last["best_step"] += sum(summary["steps"] for summary in summaries[:-1])
    return last | {name: sum(summary[name] for summary in summaries) for name in COUNTED_THROUGH.values()}


def _gather_logs(folder: Path, phases: Sequence[Phase], summaries: Sequence[dict[str, Any]]) -> None:
    """One log, whose steps and seconds are counted through all phases, and one folder for the board."""
    lines = []
    for number, phase in enumerate(phases):
        of_phase = _folder(folder, number)
        before = {
            name: sum(summary[total] for summary in summaries[:number]) for name, total in COUNTED_THROUGH.items()
        }
        for line in (of_phase / LOG).read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            counted = {name: entry[name] + count for name, count in before.items()}
            lines.append(json.dumps({"phase": phase.name, **entry, **counted}) + "\n")
        shutil.copytree(of_phase / BOARD, folder / BOARD / phase.name, dirs_exist_ok=True)
    write_atomically(folder / LOG, "".join(lines))
