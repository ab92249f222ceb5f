"""The objective: a weighted sum of losses over the rows of a task.

Whatever the task, the logits become rows of distributions, (rows, classes): masked tokens, labelled words, texts, or
the starts and ends of answers. One set of losses then serves all tasks. What compares the inside of the two models
is the same for all tasks anyway.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from pocketbert.data.records import IGNORED
from pocketbert.distill import losses
from pocketbert.distill.matching import Comparison, Matching, Models, Step
from pocketbert.distill.signals import Needs, Signals
from pocketbert.models.inside import Inside
from pocketbert.models.projection import Outputs
from pocketbert.recipe import Losses

SoftPositions = Literal["masked", "all"]
LabelLoss = Callable[[Tensor, Tensor, Tensor], Tensor]
SoftLoss = Callable[[Tensor, Tensor, float, Tensor], Tensor]
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
        self.matching = Matching.of(weights, models, how or Comparison([])) if models else None
        self.answers = any(getattr(weights, name) for name in OF_LOGITS)
        self.needs = Needs(
            logits=weights.soft_targets > 0 or weights.logit_mse > 0,
            inside=self.matching.teacher if self.matching else Inside(),
        )

    def positions(self, batch: dict[str, Tensor]) -> Tensor | None:
        """Where the head has to look: (batch, tokens) for the masked language model, None for everywhere."""
        if self.task != "masked_lm":
            return None
        return real_tokens(batch) if self.soft_everywhere else batch["labels"] != IGNORED

    def counts(self, batch: dict[str, Tensor]) -> Tensor:
        """Rows of one micro-batch: (4,) labelled, soft, real tokens and sequences, summed into :class:`Counts`."""
        labels, tokens = batch["labels"], real_tokens(batch).sum()
        sequences = torch.tensor(len(labels), device=tokens.device)
        if self.task in {"masked_lm", "token_classification"}:
            soft = tokens if self.soft_everywhere else (labels != IGNORED).sum()
            return torch.stack([(labels >= 0).sum(), soft, tokens, sequences])
        known = ~labels.isnan() if labels.is_floating_point() else labels >= 0
        if self.task == "question_answering":
            return torch.stack([known.sum(), 2 * sequences, tokens, sequences])
        return torch.stack([known.reshape(len(labels), -1).all(dim=1).sum(), sequences, tokens, sequences])

    def __call__(
        self, outputs: Outputs, signals: Signals, batch: dict[str, Tensor], counts: Counts
    ) -> dict[str, Tensor]:
        """Each loss by name, unweighted; :meth:`total` sums them up."""
        parts = self._of_logits(outputs.logits, signals, batch, counts) if self.answers else {}
        if self.matching:
            step = Step(real_tokens(batch), counts.tokens, counts.sequences)
            parts |= self.matching(outputs.inside, signals.inside, step)
        return parts

    def total(self, parts: dict[str, Tensor]) -> Tensor:
        """The weighted sum of the losses."""
        terms = [getattr(self.weights, name) * value for name, value in parts.items()]
        return torch.stack(terms).sum()

    def _of_logits(
        self, student_logits: Tensor, signals: Signals, batch: dict[str, Tensor], counts: Counts
    ) -> dict[str, Tensor]:
        logits, labels = self._rows(student_logits, batch)
        parts: dict[str, Tensor] = {}
        if self.weights.masked_lm or self.weights.labels:
            name = "masked_lm" if self.task == "masked_lm" else "labels"
            parts[name] = self._label_loss()(logits, labels, counts.labelled)
        if isinstance(signals.logits, losses.TopK):
            parts["soft_targets"] = losses.top_k_soft_target_loss(logits, signals.logits, self.temperature, counts.soft)
        elif signals.logits is not None:
            teacher_logits, _ = self._rows(signals.logits, batch)
            if self.weights.soft_targets:
                parts["soft_targets"] = self._soft_loss()(logits, teacher_logits, self.temperature, counts.soft)
            if self.weights.logit_mse:
                parts["logit_mse"] = losses.squared_error_loss(logits, teacher_logits, counts.soft)
        return parts

    def _rows(self, logits: Tensor, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Logits as (rows, classes) and labels as (rows,) or, for several labels a row, (rows, labels)."""
        labels = batch["labels"]
        if self.task == "masked_lm":
            positions = self.positions(batch)
            return logits, labels[positions]
        if self.task == "token_classification":
            counted = labels != IGNORED
            return logits[counted], labels[counted]
        if self.task == "question_answering":
            # (batch, tokens, 2) → (2 × batch, tokens); padding can be neither start nor end.
            scores = logits.float().masked_fill(~real_tokens(batch)[..., None], -1e4)
            return torch.cat([scores[..., 0], scores[..., 1]]), torch.cat([labels[:, 0], labels[:, 1]])
        if self.task == "regression":
            return logits, labels.reshape(logits.shape).to(logits.dtype)
        return logits, labels

    def _label_loss(self) -> LabelLoss:
        return {
            "multi_label": losses.binary_cross_entropy_loss,
            "regression": losses.squared_error_loss,
        }.get(self.task, losses.cross_entropy_loss)

    def _soft_loss(self) -> SoftLoss:
        if self.task == "multi_label":
            return losses.binary_soft_target_loss
        if self.task == "regression":
            # A number has no distribution to soften: the teacher's value is the target.
            return lambda student, teacher, _temperature, count: losses.squared_error_loss(student, teacher, count)
        return losses.soft_target_loss


def real_tokens(batch: dict[str, Tensor]) -> Tensor:
    """(batch, tokens) true where there is text; full blocks come without a mask."""
    mask = batch.get("attention_mask")
    return torch.ones_like(batch["input_ids"], dtype=torch.bool) if mask is None else mask.bool()
