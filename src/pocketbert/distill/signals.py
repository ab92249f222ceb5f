"""Signals: what the teacher says about a batch, and no more of it than the losses need."""

from dataclasses import dataclass, field

import torch
from torch import Tensor
from transformers import PreTrainedModel

from pocketbert.distill.losses import TopK
from pocketbert.models.inside import Inside, Seen
from pocketbert.models.projection import Projection, accepted_inputs, model_inputs
from pocketbert.models.training import choose_attention
from pocketbert.models.undecoded import Undecoded


@dataclass(frozen=True)
class Needs:
    """What an objective asks of the teacher."""

    logits: bool = False
    inside: Inside = field(default_factory=Inside)

    def __bool__(self) -> bool:
        return self.logits or bool(self.inside)


@dataclass(frozen=True)
class Signals:
    """What the teacher said; what the student says to it has the same form.

    Attributes:
        logits: of the head; those of a vocabulary are still to be made, or come from a cache, some of them;
            None where not needed.
        inside: of its layers, as far as needed.
    """

    logits: Tensor | Undecoded | TopK | None = None
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
        teacher.eval().requires_grad_(False).to(device=device, dtype=dtype)
        choose_attention(teacher, device)
        self._projection = Projection(teacher, needs.inside)
        self._accepted = accepted_inputs(teacher)
        self._needs = needs

    @torch.no_grad()
    def __call__(self, batch: dict[str, Tensor], positions: Tensor | None) -> Signals:
        """Run the teacher.

        Args:
            batch: the student's batch; what the teacher does not take is left out.
            positions: (places,) where logits of a vocabulary are wanted; None for the head of a task.
        """
        return ask(self._projection, model_inputs(batch, self._accepted), positions, self._needs.logits)


def ask(projection: Projection, inputs: dict[str, Tensor], positions: Tensor | None, logits: bool) -> Signals:
    """Run a model as far as is needed.

    Args:
        projection: the model, and what of its inside is wanted.
        inputs: what it takes.
        positions: (places,) where a vocabulary's logits are wanted; None for the head of a task.
        logits: whether any are.
    """
    if not logits:
        return Signals(inside=projection.look(inputs))
    outputs = projection(inputs) if positions is None else projection.choose(inputs, positions)
    return Signals(outputs.logits, outputs.inside)
