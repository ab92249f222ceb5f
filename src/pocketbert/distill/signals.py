"""Signals: what the teacher says about a batch, and no more of it than the losses need."""

from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel

from pocketbert.models.projection import Projection, accepted_inputs, model_inputs


@dataclass(frozen=True)
class Needs:
    """What an objective asks of the teacher."""

    logits: bool = False
    hidden: bool = False

    def __bool__(self) -> bool:
        return self.logits or self.hidden


@dataclass(frozen=True)
class Signals:
    """What the teacher said.

    Attributes:
        logits: as in :class:`~pocketbert.models.projection.Outputs`, or None where not needed.
        hidden: (batch, tokens, width), or None where not needed.
    """

    logits: Tensor | None = None
    hidden: Tensor | None = None


class OnlineSignals:
    """Signals from a teacher that runs beside the student.

    Args:
        teacher: the model; put into evaluation mode, moved and cast here, never trained.
        needs: what the objective asks for.
        device: where the student trains.
        dtype: in which type the teacher computes.
    """

    def __init__(self, teacher: PreTrainedModel, needs: Needs, device: torch.device, dtype: torch.dtype) -> None:
        self._teacher = teacher.eval().requires_grad_(False).to(device=device, dtype=dtype)
        self._projection = Projection(self._teacher)
        self._accepted = accepted_inputs(teacher)
        self._needs = needs

    @torch.no_grad()
    def __call__(self, batch: dict[str, Tensor], positions: Tensor | None) -> Signals:
        """Run the teacher.

        Args:
            batch: the student's batch; what the teacher does not take is left out.
            positions: (batch, tokens) where logits are wanted; None for everywhere.
        """
        if not self._needs.logits:
            # Without logits to give, the head may look at a single position.
            positions = _first_position(batch["input_ids"]) if positions is not None else None
        outputs = self._projection(self._teacher, model_inputs(batch, self._accepted), positions)
        return Signals(outputs.logits if self._needs.logits else None, outputs.hidden if self._needs.hidden else None)


def _first_position(input_ids: Tensor) -> Tensor:
    positions = torch.zeros_like(input_ids, dtype=torch.bool)
    positions[0, 0] = True
    return positions
