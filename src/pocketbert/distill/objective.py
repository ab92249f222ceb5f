"""The objective: a weighted sum of losses over the rows of a task.

Whatever the task, the logits become rows of distributions, (rows, classes): masked tokens, labelled words, texts, or
the starts and ends of answers. One set of losses then serves all tasks. What compares the inside of the two models
is the same for all tasks anyway.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from pocketbert.data.records import IGNORED
from pocketbert.distill import losses
from pocketbert.distill.chunks import sum_losses
from pocketbert.distill.losses import TopK
from pocketbert.distill.matching import Comparison, Matching, Models, Step
from pocketbert.distill.places import COUNTED, REAL, counted_tokens, find_places, pick, real_tokens
from pocketbert.distill.signals import Needs, Signals
from pocketbert.models.inside import Inside
from pocketbert.models.undecoded import Undecoded
from pocketbert.recipe import Losses

SoftPositions = Literal["masked", "all"]
LabelLoss = Callable[[Tensor, Tensor, Tensor], Tensor]
SoftLoss = Callable[[Tensor, Tensor, float, Tensor], Tensor]
OF_TOKENS = ("masked_lm", "token_classification")
"""Tasks whose answers are those of tokens."""
OF_LOGITS = ("soft_targets", "labels", "masked_lm", "logit_mse")
"""Losses that look at the answers of a head."""


@dataclass(frozen=True)
class Counts:
    """Over how many rows the losses of one optimiser step average, over all its micro-batches and ranks.

    Attributes:
        labelled: rows with a label.
        soft: rows with soft targets.
        tokens: real tokens.
        sequences: texts, windows or blocks.
    """

    labelled: Tensor
    soft: Tensor
    tokens: Tensor
    sequences: Tensor


class Objective:
    """The weighted sum of losses that a stage minimises.

    Args:
        task: name of the task.
        weights: weight of each loss; zero leaves it out.
        temperature: of the soft targets.
        soft_positions: for the masked language model, where soft targets are compared.
        models: shapes of student and teacher, where losses compare their insides.
        how: which of their layers are compared, and how.

    Attributes:
        needs: what the teacher has to give.
        matching: compares the insides; its projections are trained beside the student.
        answers: whether any loss looks at the student's head.

    Raises:
        PocketBertError: the shapes of the models cannot be compared so.
    """

    def __init__(
        self,
        task: str,
        weights: Losses,
        temperature: float = 2.0,
        soft_positions: SoftPositions = "masked",
        models: Models | None = None,
        how: Comparison | None = None,
    ) -> None:
        self.task = task
        self.weights = weights
        self.temperature = temperature
        self.soft_everywhere = task == "masked_lm" and soft_positions == "all"
        self.matching = Matching.of(weights, models, how or Comparison()) if models else None
        self.answers = any(getattr(weights, name) for name in OF_LOGITS)
        self.needs = Needs(
            logits=weights.soft_targets > 0 or weights.logit_mse > 0,
            inside=self.matching.teacher if self.matching else Inside(),
        )

    def where(self, batch: dict[str, Tensor]) -> Tensor | None:
        """Which tokens are counted, (batch, tokens), for tasks that answer tokens; None for others."""
        return counted_tokens(batch, self.soft_everywhere) if self.task in OF_TOKENS else None

    def find_places(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The places that the losses look at; those that the batch has already are not looked for again."""
        masks = {COUNTED: self.where(batch), REAL: batch.get("attention_mask") if self.matching else None}
        return {
            name: batch[name] if name in batch else find_places(mask)
            for name, mask in masks.items()
            if mask is not None
        }

    def positions(self, batch: dict[str, Tensor]) -> Tensor | None:
        """The places that the head has to look at, for the masked language model; None for everywhere."""
        return self.find_places(batch)[COUNTED] if self.task == "masked_lm" else None

    def counts(self, batch: dict[str, Tensor]) -> Tensor:
        """Rows of one micro-batch: (4,) labelled, soft, real tokens and sequences, summed into :class:`Counts`."""
        labels, tokens = batch["labels"], real_tokens(batch).sum()
        sequences = torch.tensor(len(labels), device=tokens.device)
        if self.task in OF_TOKENS:
            soft = tokens if self.soft_everywhere else (labels != IGNORED).sum()
            return torch.stack([(labels >= 0).sum(), soft, tokens, sequences])
        known = ~labels.isnan() if labels.is_floating_point() else labels >= 0
        if self.task == "question_answering":
            return torch.stack([known.sum(), 2 * sequences, tokens, sequences])
        return torch.stack([known.reshape(len(labels), -1).all(dim=1).sum(), sequences, tokens, sequences])

    def __call__(
        self, student: Signals, teacher: Signals, batch: dict[str, Tensor], counts: Counts
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The losses of a micro-batch, as shares of the averages over the whole step.

        Args:
            student: what the student says.
            teacher: what the teacher says.
            batch: with the labels.
            counts: of the whole step.

        Returns:
            The weighted sum, and each loss by name, unweighted.
        """
        batch = batch | self.find_places(batch)
        terms: list[Tensor] = []
        parts: dict[str, Tensor] = {}
        if isinstance(student.logits, Undecoded):
            labels = pick(batch["labels"], batch[COUNTED])
            total, parts = sum_losses(student.logits, teacher.logits, partial(self._of_positions, labels, counts))
            terms.append(total)
        elif isinstance(student.logits, Tensor):
            parts = self._of_rows(student.logits, teacher, batch, counts)
            terms.append(self._weigh(parts))
        if self.matching:
            step = Step(real_tokens(batch), batch.get(REAL), counts.tokens, counts.sequences)
            matched = self.matching(student.inside, teacher.inside, step)
            terms.append(self._weigh(matched))
            parts |= matched
        return torch.stack(terms).sum(), parts

    def _weigh(self, parts: dict[str, Tensor]) -> Tensor:
        return torch.stack([getattr(self.weights, name) * value for name, value in parts.items()]).sum()

    def _of_positions(
        self, labels: Tensor, counts: Counts, logits: Tensor, theirs: Tensor | TopK | None, rows: slice
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Losses of some positions of a masked language model."""
        parts = self._of_logits(logits, labels[rows], theirs, counts)
        return self._weigh(parts), parts

    def _of_rows(
        self, student_logits: Tensor, teacher: Signals, batch: dict[str, Tensor], counts: Counts
    ) -> dict[str, Tensor]:
        """Losses of the answers to a task."""
        logits, labels = self._rows(student_logits, batch)
        theirs = self._rows(teacher.logits, batch)[0] if isinstance(teacher.logits, Tensor) else None
        # Starts and ends are chosen among the real tokens of a row.
        columns = real_tokens(batch).sum(dim=1).repeat(2) if self.task == "question_answering" else None
        return self._of_logits(logits, labels, theirs, counts, columns)

    def _of_logits(
        self,
        logits: Tensor,
        labels: Tensor,
        theirs: Tensor | TopK | None,
        counts: Counts,
        columns: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Losses of rows of distributions, over so many columns each where the rest is padding."""
        weights, parts = self.weights, {}
        if weights.masked_lm or weights.labels:
            name = "masked_lm" if self.task == "masked_lm" else "labels"
            parts[name] = self._label_loss()(logits, labels, counts.labelled)
        if isinstance(theirs, TopK):
            parts["soft_targets"] = losses.top_k_soft_target_loss(logits, theirs, self.temperature, counts.soft)
        elif theirs is not None and weights.soft_targets:
            parts["soft_targets"] = self._soft_loss()(logits, theirs, self.temperature, counts.soft)
        if isinstance(theirs, Tensor) and weights.logit_mse:
            parts["logit_mse"] = losses.squared_error_loss(logits, theirs, counts.soft, columns)
        return parts

    def _rows(self, logits: Tensor, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Logits as (rows, classes) and labels as (rows,) or, for several labels a row, (rows, labels)."""
        labels = batch["labels"]
        if self.task == "token_classification":
            return pick(logits, batch[COUNTED]), pick(labels, batch[COUNTED])
        if self.task == "question_answering":
            # (batch, tokens, 2) → (2 × batch, tokens); padding can be neither start nor end.
            scores = logits.float().masked_fill(~real_tokens(batch)[..., None], -1e4)
            return torch.cat([scores[..., 0], scores[..., 1]]), torch.cat([labels[:, 0], labels[:, 1]])
        if self.task == "regression":
            return logits, labels.reshape(logits.shape).to(logits.dtype)
        return logits, labels

    def _label_loss(self) -> LabelLoss:
        of_tasks: dict[str, LabelLoss] = {
            "multi_label": losses.binary_cross_entropy_loss,
            "regression": losses.value_loss,
        }
        return of_tasks.get(self.task, losses.cross_entropy_loss)

    def _soft_loss(self) -> SoftLoss:
        if self.task == "multi_label":
            return losses.binary_soft_target_loss
        if self.task == "regression":
            # A number has no distribution to soften: the teacher's value is the target.
            return lambda student, teacher, _temperature, count: losses.squared_error_loss(student, teacher, count)
        return losses.soft_target_loss
