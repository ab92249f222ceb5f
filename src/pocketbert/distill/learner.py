"""What the trainer trains: the student, and what only its training needs."""

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.utils import SAFE_WEIGHTS_NAME

from pocketbert.distill.objective import Counts, Objective
from pocketbert.distill.signals import Signals, ask
from pocketbert.models.inside import Inside
from pocketbert.models.projection import Projection, accepted_inputs, model_inputs

PROJECTIONS = "projections.safetensors"


class Learner(nn.Module):
    """A student with the projections of its objective beside it.

    The losses are part of the forward pass, so that what wraps a model for several ranks sees every weight that has
    a gradient, the projections' among them, and no other.

    Args:
        student: a model with a head.
        objective: what is minimised.
    """

    def __init__(self, student: PreTrainedModel, objective: Objective) -> None:
        super().__init__()
        self.student = student
        self.matching = objective.matching
        self._objective = objective
        self._projection = Projection(student, objective.matching.student if objective.matching else Inside())
        self._accepted = accepted_inputs(student)

    def save(self, folder: Path) -> None:
        """Write the student as a model directory, and the projections beside it."""
        self.student.save_pretrained(folder)
        if self.matching:
            save_file(self.matching.state_dict(), folder / PROJECTIONS)

    def load(self, folder: Path) -> None:
        """Take up what :meth:`save` wrote."""
        # Tied weights are saved once.
        self.student.load_state_dict(load_file(folder / SAFE_WEIGHTS_NAME), strict=False)
        if self.matching:
            self.matching.load_state_dict(load_file(folder / PROJECTIONS))

    def forward(self, batch: dict[str, Tensor], signals: Signals, counts: Counts) -> dict[str, Tensor]:
        """The losses of a micro-batch.

        Args:
            batch: what the student takes, and the labels.
            signals: what the teacher says of it.
            counts: of the whole step.

        Returns:
            Each loss by name, unweighted, and the weighted sum of them as ``total``.
        """
        objective, inputs = self._objective, model_inputs(batch, self._accepted)
        own = ask(self._projection, inputs, objective.positions(batch), objective.answers)
        # The forward pass may be in a shorter type; the losses are not.
        with torch.autocast(batch["input_ids"].device.type, enabled=False):
            total, parts = objective(own, signals, batch, counts)
        return {**parts, "total": total}
