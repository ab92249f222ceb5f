"""Signals: what the teacher says about a batch, and no more of it than the losses need."""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from pocketbert.distill.cores import Cores
from pocketbert.distill.losses import TopK
from pocketbert.models.inside import Attention, Inside, Seen
from pocketbert.models.projection import Projection, accepted_inputs, model_inputs
from pocketbert.models.training import choose_attention
from pocketbert.models.undecoded import Undecoded

TOKENS_PER_CORE = 384
"""That a core has to get for a pass of its own to be worth its start (docs/lab-notes.md)."""


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
        choose_attention(teacher, device, learns=False)
        self._cores = Cores(torch.get_num_threads() if device.type == "cpu" else 1)
        self._teacher = teacher
        self._projections = [Projection(teacher, needs.inside)]
        self._accepted = accepted_inputs(teacher)
        self._needs = needs

    def __call__(self, batch: dict[str, Tensor], positions: Tensor | None) -> Signals:
        """Run the teacher, on a CPU with a part of the rows on each core.

        Args:
            batch: the student's batch; what the teacher does not take is left out.
            positions: (places,) where logits of a vocabulary are wanted; None for the head of a task.
        """
        parts = list(_parts(model_inputs(batch, self._accepted), positions, self._cores.count))
        # To look into a model its modules are hooked, so that each core needs its own.
        while len(self._projections) < len(parts):
            self._projections.append(Projection(_copy(self._teacher), self._needs.inside))
        tasks = [
            partial(self._ask, projection, inputs, places)
            for projection, (inputs, places) in zip(self._projections, parts, strict=False)
        ]
        return _join(self._cores.run(tasks))

    @torch.no_grad()
    def _ask(self, projection: Projection, inputs: dict[str, Tensor], positions: Tensor | None) -> Signals:
        return ask(projection, inputs, positions, self._needs.logits)


def _copy(model: PreTrainedModel) -> PreTrainedModel:
    """Modules of its own, and the same weights."""
    return copy.deepcopy(model, {id(tensor): tensor for tensor in chain(model.parameters(), model.buffers())})


def _parts(
    inputs: dict[str, Tensor], positions: Tensor | None, count: int
) -> Iterator[tuple[dict[str, Tensor], Tensor | None]]:
    """The rows in at most so many parts of like size, one after the other, each with the positions that are in it."""
    rows, tokens = inputs["input_ids"].shape
    if count == 1 or rows * tokens < count * TOKENS_PER_CORE:
        yield inputs, positions
        return
    size = -(-rows // count)
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
