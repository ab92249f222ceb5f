"""Signals: what the teacher says about a batch, and no more of it than the losses need."""

from dataclasses import dataclass, field

import torch
from torch import Tensor
from transformers import PreTrainedModel

from pocketbert.distill.losses import TopK
from pocketbert.models.inside import Inside, Seen
from pocketbert.models.projection import Projection, accepted_inputs, model_inputs


@dataclass(frozen=True)
class Needs:
    """What an objective asks of the teacher."""

    logits: bool = False
    inside: Inside = field(default_factory=Inside)

    def __bool__(self) -> bool:
        return self.logits or bool(self.inside)


@dataclass(frozen=True)
class Signals:
    """What the teacher said.

    Attributes:
        logits: as in :class:`~pocketbert.models.projection.Outputs`; the likeliest of them alone where they come from
            a cache and are of a vocabulary; None where not needed.
        inside: of its layers, as far as needed.
    """

    logits: Tensor | TopK | None = None
    inside: Seen = field(default_factory=Seen)


class OnlineSignals:
    """Signals from a teacher that runs beside the student.

    Args:
        teacher: the model; put into evaluation mode, moved and cast here, never trained.
        needs: what the objective asks for.
        device: where the student trains.
        dtype: in which type the teacher computes.

    Raises:
        ModelError: its inside is needed, and it is of a family that cannot be looked into.
    """

    def __init__(self, teacher: PreTrainedModel, needs: Needs, device: torch.device, dtype: torch.dtype) -> None:
        self._teacher = teacher.eval().requires_grad_(False).to(device=device, dtype=dtype)
        self._projection = Projection(self._teacher, needs.inside)
        self._accepted = accepted_inputs(teacher)
        self._needs = needs

    @torch.no_grad()
    def __call__(self, batch: dict[str, Tensor], positions: Tensor | None) -> Signals:
        """Run the teacher.

        Args:
            batch: the student's batch; what the teacher does not take is left out.
            positions: (batch, tokens) where logits are wanted; None for everywhere.
        """
        inputs = model_inputs(batch, self._accepted)
        if not self._needs.logits:
            return Signals(inside=self._projection.look(inputs))
        outputs = self._projection(self._teacher, inputs, positions)
        return Signals(outputs.logits, outputs.inside)
