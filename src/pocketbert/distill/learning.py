"""Training a model on a task's rows, with or without a teacher: what fine-tuning and task distillation share."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

from rich.console import Console
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from pocketbert.distill.cache.opening import SignalCache
from pocketbert.distill.datasets import EncodedRows
from pocketbert.distill.matching import MATCHES
from pocketbert.distill.objective import OF_LOGITS
from pocketbert.distill.phases import Course, train_phases
from pocketbert.distill.prediction import predict
from pocketbert.distill.rows import TaskRows, encode_role, targets
from pocketbert.distill.stage import StageFolder
from pocketbert.distill.trainer import Evaluator, Job
from pocketbert.errors import PocketBertError
from pocketbert.recipe import Losses, Training
from pocketbert.tasks.base import join

MASKED_LM_LOSSES = Losses(soft_targets=5.0, masked_lm=2.0, cosine=1.0)
"""The objective of Sanh et al. 2019."""

TASK_LOSSES = Losses(soft_targets=1.0, labels=0.5, cosine=1.0)
"""The best of six that were compared: docs/results.md, *Losses for tasks*."""

EMBEDDING_LOSSES = Losses(contrastive=1.0, cosine=1.0)
"""To find the teacher's vector of each text, and to be it."""
OTHER_WIDTH_LOSSES = Losses(similarities=1.0)
"""What takes the place of :data:`EMBEDDING_LOSSES` where student and teacher have vectors of two widths."""

UNTAUGHT = (
    "no loss of weight looks at the answers: the head stays as it started (soft_targets or labels would teach it)"
)


def check_losses(course: Course, kind: Literal["task", "masked_lm", "embedding"], stage: str) -> None:
    """Refuse losses that the stage cannot compute, and none at all.

    Args:
        course: what is learnt by.
        kind: whether rows of a task, masked text, or texts to embed are learnt from.
        stage: its name, for the message.

    Raises:
        PocketBertError: a loss has no meaning here, or every weight is zero.
    """
    name, other = ("labels", "masked_lm") if kind == "masked_lm" else ("masked_lm", "labels")
    for phase in course.phases:
        of_logits = [loss for loss in OF_LOGITS if kind == "embedding" and getattr(phase.losses, loss)]
        if of_logits:
            raise PocketBertError(
                f"{stage}: losses.{of_logits[0]} looks at the answers of a head, and a model of embeddings has none; "
                "take losses that compare the inside, such as contrastive, cosine and similarities"
            )
        if getattr(phase.losses, name):
            raise PocketBertError(
                f"{stage}: losses.{name} has no meaning here; the true answers weigh in as losses.{other}"
            )
        if not any(phase.losses.model_dump().values()):
            raise PocketBertError(f"{stage}: every loss has weight 0; give one of them a weight")


def check_batch(course: Course, batch_size: int, stage: str) -> None:
    """Refuse forward passes of too few texts for losses that compare them with one another: they would all be 0.

    Args:
        course: what is learnt by.
        batch_size: texts of a forward pass.
        stage: its name, for the message.

    Raises:
        PocketBertError: a loss of weight has nothing to compare.
    """
    for name, match in MATCHES.items():
        weighed = any(getattr(phase.losses, name) for phase in course.phases)
        if weighed and batch_size < match.least_texts:
            raise PocketBertError(
                f"{stage}: losses.{name} compares at least {match.least_texts} texts of a forward pass with one "
                f"another, but batch_size is {batch_size}; raise it, for accumulation does not add to a forward pass"
            )


def fit_default(course: Course, widths: tuple[int, int], stage: str, console: Console) -> Course:
    """A default without what compares vectors of one width, where there are two.

    Args:
        course: a default; what the user chose is refused instead.
        widths: of the student's and the teacher's hidden states.
        stage: its name, for the message.
        console: told of what is left out.
    """
    own, theirs = widths
    if own == theirs or not any(phase.losses.cosine for phase in course.phases):
        return course
    if any(phase.losses == EMBEDDING_LOSSES for phase in course.phases):
        console.print(
            f"{stage}: the student's vectors have {own} numbers and the teacher's {theirs}: similarities are learnt "
            "instead of the vectors themselves",
            highlight=False,
        )
        return replace(course, phases=[replace(phase, losses=OTHER_WIDTH_LOSSES) for phase in course.phases])
    console.print(
        f"{stage}: the cosine loss compares hidden states of one width, but the student has {own} and the teacher "
        f"{theirs}: it is left out",
        highlight=False,
    )
    phases = [replace(phase, losses=phase.losses.model_copy(update={"cosine": 0.0})) for phase in course.phases]
    return replace(course, phases=phases)


def learn_rows(
    title: str,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: TaskRows,
    options: Training,
    course: Course,
    stage: StageFolder,
    console: Console,
    teacher: PreTrainedModel | None = None,
    augment: Callable[[TaskRows], TaskRows] | None = None,
    cache: SignalCache | None = None,
) -> dict[str, Any]:
    """Train on the training rows, choosing the checkpoint on the validation rows.

    Args:
        title: of the progress line.
        model: trained in place.
        tokenizer: the teacher's, where there is one: it gives every input that either model takes.
        rows: of the task; those without a label are learnt from too, by what the teacher says about them.
        options: length and rates of the run.
        course: what it learns by.
        stage: where checkpoints go; begun when the rows of every role have proved good.
        console: for progress and notes.
        teacher: gives signals, or None.
        augment: makes altered copies of the training rows to learn from too, once the others have proved good.
        cache: has the teacher speak once, before the training.

    Returns:
        Steps, seconds, precision, best score, and how many rows were truncated.

    Raises:
        PocketBertError: the losses cannot compare models of these shapes.
        DataError: a row is too long, and so are all others of its role or ``too_long`` is ``fail``.
        Interrupted: asked to stop; the state is saved.
    """
    encoded = encode_role(rows, "train", tokenizer)
    if rows.unlabelled:
        encoded = join(encoded, encode_role(rows, "unlabelled", tokenizer))
    evaluate = evaluator(rows, tokenizer) if rows.validation else None
    # Nothing here reads them, but a row that cannot be used is better found now than after the training.
    encode_role(rows, "test", tokenizer)
    for note in [*rows.notes, *([] if course.answers or not rows.task.head else [UNTAUGHT])]:
        console.print(note, highlight=False)
    # Before anything is written, for every phase: the shapes may not be such that its losses can compare them.
    objectives = course.objectives(rows.task.name, model, teacher, options.seed)
    stage.begin()
    if augment is not None:
        told = len(rows.notes)
        encoded = join(encoded, encode_role(augment(rows), "augmented", tokenizer))
        for note in rows.notes[told:]:
            console.print(note, highlight=False)
    job = Job(
        title=title,
        model=model,
        data=EncodedRows(encoded, tokenizer.pad_token_id),
        objective=objectives[0],
        options=options,
        folder=stage.work,
        teacher=teacher,
        console=console,
        evaluate=evaluate,
    )
    if cache is not None:
        job = cache.take_over(job, objectives)
    return train_phases(job, course, rows.task.name) | {"truncated": encoded.truncated}


def evaluator(rows: TaskRows, tokenizer: PreTrainedTokenizerBase) -> Evaluator:
    """Validation on the held-out rows: every metric, and the mean of the deciding ones as the score."""
    task = rows.task
    encoded = encode_role(rows, "validation", tokenizer)
    true = targets(encoded.examples)

    def evaluate(model: PreTrainedModel) -> dict[str, float]:
        metrics = task.score(predict(model, task, encoded, tokenizer.pad_token_id), true)
        return {**metrics, "score": sum(metrics[name] for name in task.deciding) / len(task.deciding)}

    return evaluate
