"""Training a model on a task's rows, with or without a teacher: what fine-tuning and task distillation share."""

from typing import Any, Literal

from rich.console import Console
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from pocketbert.distill.datasets import EncodedRows
from pocketbert.distill.objective import Objective
from pocketbert.distill.prediction import predict
from pocketbert.distill.rows import TaskRows, encode_role, targets
from pocketbert.distill.stage import StageFolder
from pocketbert.distill.trainer import Evaluator, Job, train
from pocketbert.errors import PocketBertError
from pocketbert.recipe import Losses, Training
from pocketbert.tasks.base import join

TASK_LOSSES = Losses(soft_targets=1.0, labels=0.5, cosine=1.0)
"""The best of those that ``benchmarks/objectives.py`` compared: docs/results.md, *Losses for tasks*."""


def check_losses(losses: Losses, kind: Literal["task", "masked_lm"], stage: str) -> None:
    """Refuse losses that the stage cannot compute, and none at all.

    Args:
        losses: their weights.
        kind: whether rows of a task or masked text are learnt from.
        stage: its name, for the message.

    Raises:
        PocketBertError: a loss has no meaning here, or every weight is zero.
    """
    wrong = losses.masked_lm if kind == "task" else losses.labels
    if wrong:
        name, other = ("masked_lm", "labels") if kind == "task" else ("labels", "masked_lm")
        raise PocketBertError(
            f"{stage}: losses.{name} has no meaning here; the true answers weigh in as losses.{other}"
        )
    if not any(losses.model_dump().values()):
        raise PocketBertError(f"{stage}: every loss has weight 0; give one of them a weight")


def has_teacher_loss(losses: Losses) -> bool:
    """Whether some loss of weight asks for the teacher's word, not for the true labels alone."""
    return any(losses.model_copy(update={"labels": 0.0, "masked_lm": 0.0}).model_dump().values())


def settle_losses(wanted: Losses, named: bool, widths: tuple[int, int], stage: str, console: Console) -> Losses:
    """The losses of the run: a default goes without the cosine where there is nothing to compare.

    Args:
        wanted: their weights.
        named: whether the user chose them.
        widths: of the student's and the teacher's hidden states.
        stage: its name, for the message.
        console: told of a loss that is left out.

    Raises:
        PocketBertError: the user chose a cosine of hidden states of two widths.
    """
    own, theirs = widths
    if not wanted.cosine or own == theirs:
        return wanted
    why = f"{stage}: the cosine loss compares hidden states of one width, but the student has {own} and the teacher "
    if named:
        raise PocketBertError(f"{why}{theirs}; set losses.cosine: 0")
    console.print(f"{why}{theirs}: it is left out", highlight=False)
    return wanted.model_copy(update={"cosine": 0.0})


def learn_rows(
    title: str,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: TaskRows,
    options: Training,
    losses: Losses,
    stage: StageFolder,
    console: Console,
    teacher: PreTrainedModel | None = None,
    temperature: float = 2.0,
) -> dict[str, Any]:
    """Train on the training rows, choosing the checkpoint on the validation rows.

    Args:
        title: of the progress line.
        model: trained in place.
        tokenizer: the teacher's, where there is one: it gives every input that either model takes.
        rows: of the task; those without a label are learnt from too, by what the teacher says about them.
        options: length and rates of the run.
        losses: weights of the objective.
        stage: where checkpoints go; begun when the rows of every role have proved good.
        console: for progress and notes.
        teacher: gives signals, or None.
        temperature: of the soft targets.

    Returns:
        Steps, seconds, precision, best score, and how many rows were truncated.

    Raises:
        DataError: a row is too long, and so are all others of its role or ``too_long`` is ``fail``.
        Interrupted: asked to stop; the state is saved.
    """
    encoded = encode_role(rows, "train", tokenizer)
    if rows.unlabelled:
        encoded = join(encoded, encode_role(rows, "unlabelled", tokenizer))
    evaluate = evaluator(rows, tokenizer)
    # Nothing here reads them, but a row that cannot be used is better found now than after the training.
    encode_role(rows, "test", tokenizer)
    for note in rows.notes:
        console.print(note, highlight=False)
    objective = Objective(rows.task.name, losses, temperature)
    stage.begin()
    job = Job(
        title=title,
        model=model,
        data=EncodedRows(encoded, tokenizer.pad_token_id),
        objective=objective,
        options=options,
        folder=stage.work,
        teacher=teacher,
        console=console,
        evaluate=evaluate,
    )
    return train(job) | {"truncated": encoded.truncated}


def evaluator(rows: TaskRows, tokenizer: PreTrainedTokenizerBase) -> Evaluator:
    """Validation on the held-out rows: every metric, and the mean of the deciding ones as the score."""
    task = rows.task
    encoded = encode_role(rows, "validation", tokenizer)
    true = targets(encoded.examples)

    def evaluate(model: PreTrainedModel) -> dict[str, float]:
        metrics = task.score(predict(model, task, encoded, tokenizer.pad_token_id), true)
        return {**metrics, "score": sum(metrics[name] for name in task.deciding) / len(task.deciding)}

    return evaluate
