"""What can be taken out of a model: its sizes, the axes of its weights, and what it would weigh in another shape."""

import copy
import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from transformers import PreTrainedModel

from pocketbert.errors import ModelError
from pocketbert.measure.results import Shape
from pocketbert.models.families import ANSWER, NORM, PARTS, POOLED, PROJECTION, TABLES, Axis

_KERNEL = 8
"""Kernels work on so many numbers at a time."""
_FLOAT_BYTES = 4


class Anatomy:
    """Where the layers and the cuttable axes of a model are.

    Four sizes can shrink: layers, attention heads, feed-forward neurons and the hidden width. In the stock code of all
    families the heads together are as wide as the hidden states, so heads go with the hidden width, whole heads at a
    time, and the size of a head stays.

    Args:
        model: of one of the families, with the head of a task.
        source: where it came from, for messages.

    Attributes:
        config: of the model.
        parts: names of the modules of a layer.
        shape: the sizes of the model.
        blocks: names of the modules that are layers, in order.
        shared: whether one block serves for every layer (ALBERT).
        stream: the module whose output enters the first layer.
        answer: the module that gives the logits.
        narrows: whether the hidden width can be cut.
        neuron_groups: groups that each keep as many neurons: a grouped convolution connects only these.
        unit: feed-forward neurons come in multiples of it.

    Raises:
        ModelError: the family is another, or the model has a part of unknown meaning.
    """

    def __init__(self, model: PreTrainedModel, source: str) -> None:
        family = model.config.model_type
        if family not in PARTS:
            raise ModelError(f"{source}: a {family} model cannot be pruned; it has to be one of {', '.join(PARTS)}")
        self.source = source
        self.config = model.config
        self.parts = PARTS[family]
        self.shape = _shape(model.config)
        modules = dict(model.named_modules())
        tail = f".{self.parts.widen}"
        self.blocks = [name.removesuffix(tail) for name in modules if name.endswith(tail)]
        self.shared = family == "albert"
        if self.shared and len(self.blocks) != 1:
            raise ModelError(f"{source}: its layers share several groups of weights; only one group can be pruned")
        self._shapes = {name: tuple(weight.shape) for name, weight in model.named_parameters()}
        self.axes = self._find_axes({_module(name) for name in self._shapes})
        self.stream = self._find(PROJECTION) or self._find(NORM) or ""
        self.answer = self._find(ANSWER) or ""
        # Grouped convolutions tie each dimension to its group.
        self.narrows = family != "squeezebert"
        around = (modules[f"{self.blocks[0]}.{part}"] for part in (self.parts.widen, self.parts.narrow))
        self.neuron_groups = math.lcm(*(getattr(module, "groups", 1) for module in around))
        self.unit = math.lcm(_KERNEL, self.neuron_groups)

    @property
    def head_size(self) -> int:
        """Dimensions of an attention head."""
        return self.shape.hidden // self.shape.heads

    @property
    def has_pooled(self) -> bool:
        """Whether the task's head has a layer of its own before the answer."""
        return self.axes[self.answer][1] == "pooled"

    def possible_heads(self) -> list[int]:
        """How many heads a layer can have, so that stock code loads it."""
        if not self.narrows:
            return [self.shape.heads]
        # ELECTRA puts no projection between embeddings and layers of one width.
        embedding = self.config.embedding_size if self.config.model_type == "electra" else None
        return [
            heads
            for heads in range(1, self.shape.heads + 1)
            if heads == self.shape.heads or heads * self.head_size != embedding
        ]

    def block_of(self, name: str) -> int | None:
        """The number of the block that a module or weight is in; None outside of the layers."""
        return next((number for number, block in enumerate(self.blocks) if name.startswith(f"{block}.")), None)

    def axes_of(self, weight: str) -> tuple[Axis, ...]:
        """The axes of a weight (of a bias: the first of them)."""
        return self.axes[_module(weight)]

    def length(self, axis: Axis, shape: Shape) -> int:
        """How long an axis is in a shape."""
        return shape.feed_forward if axis == "feed_forward" else shape.hidden

    def configure(self, shape: Shape) -> Any:
        """The configuration of the same model in another shape."""
        config = copy.deepcopy(self.config)
        if hasattr(config, "embedding_size") and self._find(PROJECTION) is None:
            config.embedding_size = shape.hidden
        config.num_hidden_layers, config.num_attention_heads = shape.layers, shape.heads
        config.hidden_size = shape.hidden
        setattr(config, _feed_forward_field(config), shape.feed_forward)
        return config

    def weights(self, shape: Shape) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the weights of the same model in another shape."""
        return {
            name: self._resize(name, old, shape)
            for name, old in self._shapes.items()
            if self.shared or (self.block_of(name) or 0) < shape.layers
        }

    def count(self, shape: Shape) -> tuple[int, int]:
        """Parameters of the same model in another shape, and the bytes of its file in fp32."""
        weights = self.weights(shape)
        return sum(map(math.prod, weights.values())), checkpoint_bytes(weights)

    def operations(self, shape: Shape, tokens: int) -> int:
        """Multiplications in the layers for one text of so many tokens: a first guess at latency."""
        matrices = [
            math.prod(size)
            for name, size in self.weights(shape).items()
            if self.block_of(name) is not None and len(size) > 1
        ]
        passes = shape.layers if self.shared else 1
        return tokens * (passes * sum(matrices) + 2 * shape.layers * tokens * shape.hidden)

    def _resize(self, name: str, old: tuple[int, ...], shape: Shape) -> tuple[int, ...]:
        axes = (*self.axes_of(name), None)
        return tuple(
            # In proportion: a row of a grouped convolution has only the inputs of its group.
            size if axis is None else size * self.length(axis, shape) // self.length(axis, self.shape)
            for size, axis in zip(old, axes, strict=False)
        )

    def _find_axes(self, names: Iterable[str]) -> dict[str, tuple[Axis, ...]]:
        found = sorted(names)
        factorised = any(re.search(PROJECTION, name) for name in found)
        pooled = any(re.search(POOLED, name) for name in found)
        outside: dict[str, tuple[Axis, ...]] = {
            TABLES: (None, None if factorised else "hidden"),
            NORM: (None if factorised else "hidden",),
            PROJECTION: ("hidden", None),
            POOLED: ("pooled", "hidden"),
            ANSWER: (None, "pooled" if pooled else "hidden"),
        }
        inside = {f"{block}.{part}": axes for block in self.blocks for part, axes in self.parts.axes.items()}
        axes: dict[str, tuple[Axis, ...]] = {}
        for name in found:
            known = inside.get(name) or next((a for pattern, a in outside.items() if re.search(pattern, name)), None)
            if known is None:
                raise ModelError(f"{self.source}: has weights {name}, which PocketBERT does not know how to prune")
            axes[name] = known
        return axes

    def _find(self, pattern: str) -> str | None:
        return next((name for name in self.axes if re.search(pattern, name)), None)


def checkpoint_bytes(weights: Mapping[str, tuple[int, ...]]) -> int:
    """Size of a safetensors file of fp32 weights, without making it: a header in JSON, then the numbers.

    Args:
        weights: shape of each by name.
    """
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, shape in sorted(weights.items()):
        start, end = end, end + _FLOAT_BYTES * math.prod(shape)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [start, end]}
    length = len(json.dumps(header, separators=(",", ":")).encode())
    return 8 + -(-length // 8) * 8 + end


def _shape(config: Any) -> Shape:
    return Shape(
        layers=config.num_hidden_layers,
        heads=config.num_attention_heads,
        feed_forward=getattr(config, _feed_forward_field(config)),
        hidden=config.hidden_size,
    )


def _module(weight: str) -> str:
    return weight.rsplit(".", 1)[0]


def _feed_forward_field(config: Any) -> str:
    return "hidden_dim" if config.model_type == "distilbert" else "intermediate_size"
