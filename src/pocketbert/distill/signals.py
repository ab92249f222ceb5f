"""Signals: what the teacher says about a batch, and no more of it than the losses need."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from pocketbert.distill.losses import TopK
from pocketbert.models.inside import Attention, Inside, Seen
from pocketbert.models.projection import Projection, accepted_inputs, model_inputs
from pocketbert.models.training import choose_attention
from pocketbert.models.undecoded import Undecoded

CPU_TOKENS = 1024
"""Tokens that a teacher reads at once on a CPU: what it computes of them stays in the cache (docs/lab-notes.md)."""


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
        pieces = _pieces(model_inputs(batch, self._accepted), positions)
        return _join([ask(self._projection, inputs, places, self._needs.logits) for inputs, places in pieces])


def _pieces(inputs: dict[str, Tensor], positions: Tensor | None) -> Iterator[tuple[dict[str, Tensor], Tensor | None]]:
    """Some rows after the other, each with the positions that are in them; all at once where that is faster."""
    rows, tokens = inputs["input_ids"].shape
    size = max(1, CPU_TOKENS // tokens)
    if inputs["input_ids"].device.type != "cpu" or size >= rows:
        yield inputs, positions
        return
    for start in range(0, rows, size):
        some = {name: values[start : start + size] for name, values in inputs.items()}
        places = None if positions is None else positions - start * tokens
        yield some, None if places is None else places[(places >= 0) & (places < some["input_ids"].numel())]


def _join(parts: Sequence[Signals]) -> Signals:
    """What was said of some rows after the other, as one."""
    if len(parts) == 1:
        return parts[0]
    seen = [part.inside for part in parts]
    states = {layer: torch.cat([one.states[layer] for one in seen]) for layer in seen[0].states}
    attention = {
        layer: Attention(*map(torch.cat, zip(*(one.attention[layer] for one in seen), strict=True)))
        for layer in seen[0].attention
    }
    return Signals(_join_logits([part.logits for part in parts]), Seen(states, attention))


def _join_logits(parts: list[Any]) -> Tensor | Undecoded | None:
    if parts[0] is None:
        return None
    if isinstance(parts[0], Undecoded):
        return Undecoded(torch.cat([part.features for part in parts]), parts[0].weight, parts[0].bias)
    return torch.cat(parts)


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
