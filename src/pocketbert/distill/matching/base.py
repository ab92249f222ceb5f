"""What every comparison of the insides of two models is."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from pocketbert.distill.matching.layers import Pairs, pair_layers
from pocketbert.distill.places import pick
from pocketbert.errors import PocketBertError
from pocketbert.models.inside import Inside, Seen
from pocketbert.recipe import LayerMap


@dataclass(frozen=True)
class Shape:
    """What of a model's shape decides how it can be compared."""

    layers: int
    width: int
    heads: int

    @classmethod
    def of(cls, config: Any) -> "Shape":
        """The shape that a configuration describes."""
        return cls(config.num_hidden_layers, config.hidden_size, config.num_attention_heads)


@dataclass(frozen=True)
class Models:
    """The two that are compared."""

    student: Shape
    teacher: Shape


@dataclass(frozen=True)
class Comparison:
    """How they are compared.

    Attributes:
        layer_map: which layers are compared, by the losses that compare several.
        relation_heads: of the relations; None for as many as the widths allow.
        contrastive_temperature: of the losses that compare the texts of a batch.
    """

    layer_map: LayerMap = "uniform"
    relation_heads: int | None = None
    contrastive_temperature: float = 0.05


@dataclass(frozen=True)
class Step:
    """What the losses of one micro-batch share.

    Attributes:
        real: (batch, tokens) true where there is text.
        places: of the real tokens; None where all are real.
        tokens: real tokens of the whole step, over its micro-batches and ranks.
        sequences: of the whole step.
    """

    real: Tensor
    places: Tensor | None
    tokens: Tensor
    sequences: Tensor

    def pick(self, states: Tensor) -> Tensor:
        """States of the real tokens, (batch, tokens, width) → (tokens, width)."""
        return pick(states, self.places)


class Match(nn.Module, ABC):
    """One loss of the insides of two models.

    A projection that it needs is one of its modules: trained beside the student, and left behind with the teacher.

    Args:
        models: their shapes.
        how: which layers are compared, and how.

    Attributes:
        name: of the loss in a recipe.
        least_texts: of a forward pass, with fewer of which there is nothing to compare.
        student: what of the student it looks at.
        teacher: what of the teacher it looks at.

    Raises:
        PocketBertError: these shapes cannot be compared so; the message says what to do.
    """

    name: ClassVar[str]
    least_texts: ClassVar[int] = 1
    student: Inside
    teacher: Inside

    def __init__(self, models: Models, how: Comparison) -> None:
        super().__init__()
        self.models = models
        self.how = how
        self.last = (models.student.layers - 1, models.teacher.layers - 1)

    def pair_layers(self) -> Pairs:
        """The layers that are compared, by the layer map.

        Raises:
            PocketBertError: these models have none.
        """
        return pair_layers(self.how.layer_map, self.models.student.layers, self.models.teacher.layers)

    @abstractmethod
    def forward(self, student: Seen, teacher: Seen, step: Step) -> Tensor:
        """The loss: this micro-batch's share of the average over the whole step."""

    def look_at_states(self, pairs: Pairs) -> None:
        """Ask for the outputs of layers."""
        self.student = Inside(states=frozenset(own for own, _ in pairs))
        self.teacher = Inside(states=frozenset(theirs for _, theirs in pairs))

    def look_at_attention(self, pairs: Pairs) -> None:
        """Ask for the queries, keys and values of layers."""
        self.student = Inside(attention=frozenset(own for own, _ in pairs))
        self.teacher = Inside(attention=frozenset(theirs for _, theirs in pairs))

    def need_same_width(self, instead: str = "relations") -> None:
        """Refuse hidden states of two widths.

        Args:
            instead: a loss that compares any.

        Raises:
            PocketBertError: they differ.
        """
        self._need_same("hidden width", self.models.student.width, self.models.teacher.width, instead)

    def need_same_heads(self) -> None:
        """Refuse two numbers of attention heads.

        Raises:
            PocketBertError: they differ.
        """
        self._need_same("number of heads", self.models.student.heads, self.models.teacher.heads, "relations")

    def _need_same(self, of: str, own: int, theirs: int, instead: str) -> None:
        """Refuse two models that differ in what has to be the same.

        Raises:
            PocketBertError: they differ.
        """
        if own != theirs:
            raise PocketBertError(
                f"losses.{self.name} compares models with the same {of}, but the student has {own} and the teacher "
                f"{theirs}; losses.{instead} compares any: docs/losses/README.md"
            )


def mean_of(pairs: Pairs, of_pair: Callable[[int, int], Tensor]) -> Tensor:
    """The mean over pairs of layers."""
    return torch.stack([of_pair(own, theirs) for own, theirs in pairs]).mean()
