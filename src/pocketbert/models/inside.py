"""Looking into a model while it runs: the outputs of its layers, and what their attention compares.

Hooks on the three projections of each attention are enough, for every family: what goes into a layer's queries is the
output of the layer before it, and scores and relations follow from queries, keys and values. The model attends as
fast as it can and never has to show its (tokens × tokens) matrices.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, NamedTuple

from torch import Tensor, nn

from pocketbert.errors import ModelError
from pocketbert.models.families import PARTS

EMBEDDINGS = -1
"""The layer before the first: what the embeddings give to it."""
_Part = Literal["queries", "keys", "values"]
_PARTS: tuple[_Part, ...] = ("queries", "keys", "values")


class Attention(NamedTuple):
    """What the attention of a layer compares and mixes.

    Attributes:
        queries: (batch, tokens, width) of all heads side by side.
        keys: (batch, tokens, width).
        values: (batch, tokens, width).
    """

    queries: Tensor
    keys: Tensor
    values: Tensor


@dataclass(frozen=True)
class Inside:
    """What of a model's inside is wanted.

    Attributes:
        states: layers whose output is wanted; ``EMBEDDINGS`` for what enters the first.
        attention: layers whose queries, keys and values are wanted.
    """

    states: frozenset[int] = frozenset()
    attention: frozenset[int] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.states or self.attention)

    def __or__(self, other: "Inside") -> "Inside":
        return Inside(self.states | other.states, self.attention | other.attention)

    def without(self, layer: int) -> "Inside":
        """All but the output of a layer."""
        return Inside(self.states - {layer}, self.attention)


@dataclass(frozen=True)
class Seen:
    """What was seen inside a model.

    Attributes:
        states: (batch, tokens, width) by layer.
        attention: by layer.
    """

    states: dict[int, Tensor] = field(default_factory=dict)
    attention: dict[int, Attention] = field(default_factory=dict)


class Window:
    """A way to look into a model.

    Args:
        model: of one of the known families, with whatever head.

    Raises:
        ModelError: the family is another, or the model an ALBERT of several groups.
    """

    def __init__(self, model: nn.Module) -> None:
        config: Any = model.config
        if config.model_type not in PARTS:
            raise ModelError(
                f"a {config.model_type} model cannot be looked into; losses that compare layers need one of "
                f"{', '.join(PARTS)}"
            )
        if getattr(config, "num_hidden_groups", 1) * getattr(config, "inner_group_num", 1) != 1:
            raise ModelError(
                "an ALBERT whose layers do not all share one set of weights (num_hidden_groups, inner_group_num) "
                "cannot be looked into; take losses that compare no layers"
            )
        names = {part: f".{getattr(PARTS[config.model_type], part)}" for part in _PARTS}
        self._layers: int = config.num_hidden_layers
        # ALBERT calls one module for every layer; else there is a module for each.
        self._modules = {
            part: [module for name, module in model.named_modules() if name.endswith(tail)]
            for part, tail in names.items()
        }
        # Convolutions of width 1 have the tokens last.
        self._tokens_last = config.model_type == "squeezebert"

    @contextmanager
    def open(self, wanted: Inside, stop: bool = False) -> Iterator[Seen]:
        """Collect what is wanted of one forward pass inside the block.

        Args:
            wanted: which layers.
            stop: end the pass as soon as all of it is there; the rest of the block is not run.
        """
        look = _Look(wanted, stop, self._layers, self._tokens_last)
        handles = [
            module.register_forward_hook(partial(look.take, part, number))
            for part, modules in self._modules.items()
            for number, module in enumerate(modules)
        ]
        try:
            yield look.seen
        except _EnoughError:
            pass
        finally:
            for handle in handles:
                handle.remove()


class _EnoughError(Exception):
    """All that was wanted has been seen."""


class _Look:
    """One forward pass, looked at."""

    def __init__(self, wanted: Inside, stop: bool, layers: int, tokens_last: bool) -> None:
        self.seen = Seen()
        self._wanted = wanted
        # The output of the last layer enters no other.
        self._stop = stop and (layers - 1) not in wanted.states
        self._layers = layers
        self._tokens_last = tokens_last
        self._calls: dict[tuple[_Part, int], int] = {}
        self._parts: dict[int, dict[_Part, Tensor]] = {}

    def take(self, part: _Part, number: int, _module: nn.Module, inputs: Any, output: Tensor) -> None:
        """A hook: note the input and the output of one projection."""
        calls = self._calls.get((part, number), 0)
        self._calls[part, number] = calls + 1
        layer = number + calls
        if part == "queries" and layer - 1 in self._wanted.states:
            self.seen.states[layer - 1] = self._tokens_first(inputs[0])
        if layer in self._wanted.attention:
            parts = self._parts.setdefault(layer, {})
            parts[part] = self._tokens_first(output)
            if len(parts) == len(_PARTS):
                self.seen.attention[layer] = Attention(**parts)
        if self._stop and self._complete():
            raise _EnoughError

    def _tokens_first(self, values: Tensor) -> Tensor:
        # (batch, width, tokens) → (batch, tokens, width)
        return values.transpose(1, 2) if self._tokens_last else values

    def _complete(self) -> bool:
        return self._wanted.states <= self.seen.states.keys() and self._wanted.attention <= self.seen.attention.keys()
