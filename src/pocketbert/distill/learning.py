"""Training a model on a task's rows, with or without a teacher: what fine-tuning and task distillation share."""

from typing import Any

from rich.console import Console
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from pocketbert.distill.datasets import EncodedRows
from pocketbert.distill.objective import Objective
from pocketbert.distill.prediction import predict
from pocketbert.distill.rows import TaskRows, encode_role, targets
from pocketbert.distill.stage import StageFolder
from pocketbert.distill.trainer import Evaluator, Job, train
from pocketbert.recipe import Losses, Training


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
        rows: of the task.
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
