"""Running a candidate without training it: how much a cut changes the answers, and how long the result takes."""

import torch
from torch import Tensor
from transformers import PreTrainedModel

from pocketbert.distill.datasets import EncodedRows
from pocketbert.distill.objective import Objective
from pocketbert.distill.signals import Signals
from pocketbert.measure.results import Candidate, Shape
from pocketbert.measure.speed import Runnable, measure_speed
from pocketbert.models.describing import as_engine
from pocketbert.models.projection import Projection, accepted_inputs, model_inputs
from pocketbert.recipe import Losses
from pocketbert.shrink.anatomy import Anatomy
from pocketbert.shrink.importance import Importance, each_row, row_batches
from pocketbert.shrink.surgery import choose_parts, cut_model, importance_kept

SECONDS = 1.5
"""Of timing a candidate."""


class Probe:
    """Runs candidates beside the whole model.

    Args:
        model: the whole one, on the device where candidates are run too.
        anatomy: of the whole model.
        importance: of its parts.
        rows: training rows whose answers are compared.
        task: its name.
        tokens: of the text that is timed, at most what the model takes.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        anatomy: Anatomy,
        importance: Importance,
        rows: EncodedRows,
        task: str,
        tokens: int,
    ) -> None:
        self._model = model
        self._anatomy = anatomy
        self._importance = importance
        self._objective = Objective(task, Losses(soft_targets=1.0), temperature=1.0)
        self._rows = len(rows)
        self._batches = [(batch, self._answer(model, batch)) for batch in row_batches(rows, model.device)]
        pad, pieces = anatomy.config.pad_token_id, anatomy.config.vocab_size
        text = [(pad + 1) % pieces] * tokens
        self._text = {"input_ids": text, "attention_mask": [1] * tokens, "token_type_ids": [0] * tokens}
        self._task = task
        self._whole = self._runnable(model)

    def change(self, shape: Shape) -> float:
        """Mean soft-target loss of a shape's answers against the whole model's, directly after the cut."""
        return self._change(self._cut(shape))

    def examine(self, candidate: Candidate) -> Candidate:
        """Measure the change and the importance that stays, and time the candidate in turn with the whole model."""
        small = self._cut(candidate.shape)
        speed = measure_speed({"whole": self._whole, "candidate": self._runnable(small)}, seconds=SECONDS, batch_size=1)
        picks = choose_parts(self._importance, self._anatomy, candidate.shape)
        measured = {
            "change": self._change(small),
            "importance": importance_kept(self._importance, self._anatomy, picks),
            "latency_ms": speed.models["candidate"].latency_p50,
            "faster": speed.latency_ratio["candidate"],
        }
        return candidate.model_copy(update=measured)

    def _runnable(self, model: PreTrainedModel) -> Runnable:
        engine = as_engine(model, list(self._text), self._task)
        return Runnable(engine, [self._text], self._anatomy.config.pad_token_id, str(model.device))

    def _cut(self, shape: Shape) -> PreTrainedModel:
        picks = choose_parts(self._importance, self._anatomy, shape)
        return cut_model(self._model, self._anatomy, picks).to(self._model.device)

    @torch.inference_mode()
    def _change(self, small: PreTrainedModel) -> float:
        total = torch.zeros((), device=self._model.device)
        one = each_row(self._model.device)
        for batch, logits in self._batches:
            total += self._objective(Signals(self._answer(small, batch)), Signals(logits), batch, one)[0]
        return float(total) / self._rows

    @torch.inference_mode()
    def _answer(self, model: PreTrainedModel, batch: dict[str, Tensor]) -> Tensor:
        return Projection(model)(model_inputs(batch, accepted_inputs(model))).logits
