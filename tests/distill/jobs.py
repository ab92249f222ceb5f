"""Small training jobs, run in this process."""

import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor
from transformers import PreTrainedModel

import tiny
from pocketbert.distill.cache.opening import SignalCache
from pocketbert.distill.datasets import EncodedRows
from pocketbert.distill.objective import Objective
from pocketbert.distill.phases import Course, Phase
from pocketbert.distill.rows import read_rows
from pocketbert.distill.texts import prepare_texts
from pocketbert.distill.trainer import Evaluator, Job, PocketTrainer
from pocketbert.models.loading import load_model
from pocketbert.models.students import build_student
from pocketbert.models.training import set_dropout
from pocketbert.recipe import Cache, Data, DistillStage, Losses, PretrainStage, Student, Training

QUIET = Console(quiet=True)
OPTIONS = {"precision": "fp32", "dropout": 0.0, "learning_rate": 3e-4, "seed": 3}


def masked_lm_job(
    folder: Path,
    losses: Losses,
    soft_positions: Any = "masked",
    documents: int = 60,
    shape: Student | None = None,
    **options: Any,
) -> Job:
    """Masked-LM distillation of a tiny BERT into a DistilBERT."""
    folder.mkdir(parents=True, exist_ok=True)
    source = _made_once(folder / "teacher", tiny.make_checkpoint)
    teacher = load_model(source, "MaskedLM")
    text = _made_once(folder / "text.txt", tiny.write_text, documents)
    stage = PretrainStage(corpus=[text], block=16, seed=3)
    blocks = prepare_texts(stage, teacher.tokenizer, folder / "corpora", QUIET)
    student = build_student(teacher.model, source, shape or Student(), False, 3).model
    course = Course((Phase(losses),), soft_positions=soft_positions)
    return Job(
        title="distill",
        model=student,
        data=blocks.train,
        objective=course.objectives("masked_lm", student, teacher.model, 3)[0],
        options=Training(**OPTIONS | options),
        folder=folder,
        teacher=teacher.model,
        console=QUIET,
    )


def task_job(folder: Path, task: str, losses: Losses, rows: int = 40, **options: Any) -> Job:
    """Distillation of a tiny BERT on rows of unequal length."""
    folder.mkdir(parents=True, exist_ok=True)
    write, head = {
        "classification": (tiny.write_reviews, "SequenceClassification"),
        "token_classification": (tiny.write_tags, "TokenClassification"),
    }[task]
    train = _made_once(folder / ("train.csv" if task == "classification" else "train.jsonl"), write, rows)
    source = _made_once(folder / "teacher", tiny.make_checkpoint, head=head)
    teacher = load_model(source, head)
    found = read_rows(Data(task=task, train=[train], max_length=32))
    encoded = found.task.encode(found.train, teacher.tokenizer)
    student = build_student(teacher.model, source, Student(), False, 3).model
    return Job(
        title="distill",
        model=student,
        data=EncodedRows(encoded, teacher.tokenizer.pad_token_id),
        objective=Course.of(losses).objectives(task, student, teacher.model, 3)[0],
        options=Training(**OPTIONS | options),
        folder=folder,
        teacher=teacher.model,
        console=QUIET,
    )


def _made_once(path: Path, make: Any, *args: Any, **kwargs: Any) -> str:
    """What the first rank has made is read by the others."""
    if not path.exists():
        make(path, *args, **kwargs)
    return str(path)


def cached(job: Job, folder: Path, objectives: Sequence[Objective] | None = None, **cache: Any) -> Job:
    """The same job, its teacher asked beforehand."""
    options = DistillStage(**job.options.model_dump(), signals="cached", cache=Cache(folder=str(folder), **cache))
    return SignalCache(options, tiny.make_tokenizer("bert"), folder.parent, QUIET).take_over(
        job, objectives or [job.objective]
    )


def run(job: Job) -> tuple[list[dict[str, float]], dict[str, Tensor]]:
    """Train with a log entry a step; the entries and the final weights."""
    set_dropout(job.model, job.options.dropout)
    trainer = PocketTrainer(job)
    trainer.args.logging_steps = 1
    trainer.train()
    trainer.finish()
    entries = [entry for entry in trainer.state.log_history if "loss" in entry]
    return entries, {name: value.clone() for name, value in job.model.state_dict().items()}


def scripted(scores: Sequence[float]) -> tuple[Evaluator, list[dict[str, Tensor]]]:
    """A validation that gives these scores, one after the other, and remembers the weights it saw."""
    seen: list[dict[str, Tensor]] = []

    def evaluate(model: PreTrainedModel) -> dict[str, float]:
        seen.append({name: value.clone() for name, value in model.state_dict().items()})
        return {"score": scores[len(seen) - 1]}

    return evaluate, seen


def stop_at(job: Job, batch: int) -> None:
    """Raise SIGTERM while a batch is made."""
    collate, calls = job.data.collate, iter(range(1, 1000))

    def stopping(samples: Any) -> Any:
        if next(calls) == batch:
            signal.raise_signal(signal.SIGTERM)
        return collate(samples)

    job.data.collate = stopping


def differences(
    one: tuple[list[dict[str, float]], dict[str, Tensor]], other: tuple[list[dict[str, float]], dict[str, Tensor]]
) -> tuple[float, float]:
    """The largest difference of a logged loss, and of a weight."""
    assert len(one[0]) == len(other[0]) and one[1].keys() == other[1].keys()
    losses = [
        abs(first[name] - second[name])
        for first, second in zip(one[0], other[0], strict=True)
        for name in first
        if name.startswith("loss")
    ]
    weights = [(one[1][name] - other[1][name]).abs().max().item() for name in one[1]]
    return max(losses), max(weights)


def weights_of(folder: Path) -> dict[str, Tensor]:
    """The weights in a model directory."""
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def largest_difference(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    """Between two sets of weights of the same names."""
    assert one.keys() == other.keys()
    return max(torch.max((one[name] - other[name]).abs()).item() for name in one)
