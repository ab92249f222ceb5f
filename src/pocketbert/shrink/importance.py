"""What matters for the task: first-order (Taylor) importance of layers, heads, neurons and dimensions.

A gate of 1 on a part of the network multiplies what the part gives. The derivative of the loss by the gate, which is
the sum of activation × gradient, says to first order how the loss of a row would change without the part. Its size,
averaged over rows, is the importance (Michel et al. 2019, for heads; Molchanov et al. 2019).
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from pocketbert.data.order import Position
from pocketbert.distill.datasets import ROWS, Batch, EncodedRows
from pocketbert.distill.objective import Counts, Objective
from pocketbert.distill.prediction import TOKENS_PER_BATCH
from pocketbert.distill.signals import Signals
from pocketbert.engines.batching import batches_by_length
from pocketbert.models.projection import Projection, accepted_inputs, model_inputs
from pocketbert.recipe import Losses
from pocketbert.shrink.anatomy import Anatomy


@dataclass(frozen=True)
class Importance:
    """How much the loss of a row changes, to first order, without a part.

    Attributes:
        layers: (layers,).
        heads: (blocks, heads); the layers that share their weights are one block.
        neurons: (blocks, feed-forward neurons).
        hidden: (width,).
        pooled: (width,) of the layer before the answer; empty where there is none.
    """

    layers: Tensor
    heads: Tensor
    neurons: Tensor
    hidden: Tensor
    pooled: Tensor

    def save(self, path: Path) -> None:
        """Write as safetensors; a killed write leaves none."""
        temporary = path.with_suffix(".part")
        save_file(vars(self), temporary)
        temporary.replace(path)

    @classmethod
    def load(cls, path: Path) -> "Importance":
        """Read what :meth:`save` wrote."""
        return cls(**load_file(path))


def measure_importance(model: PreTrainedModel, anatomy: Anatomy, rows: EncodedRows, task: str) -> Importance:
    """Importance of every part of a model on rows of a task, by the task's own loss on the true labels.

    (Soft targets of the model itself would say nothing: it agrees with itself, and every gradient is zero.)

    Args:
        model: in fp32; left as it is, in evaluation mode.
        anatomy: of the model.
        rows: training rows.
        task: its name.
    """
    objective, accepted, projection = Objective(task, Losses(labels=1.0)), accepted_inputs(model), Projection(model)
    gates, one = _Gates(anatomy), each_row(model.device)
    with _frozen(model), gates.on(model):
        for batch in row_batches(rows, model.device):
            own = Signals(projection(model_inputs(batch, accepted)).logits)
            loss, _ = objective(own, Signals(), batch, one)
            loss.backward()  # type: ignore[no-untyped-call]
            gates.close_batch()
    return gates.average(len(rows))


def row_batches(rows: EncodedRows, device: torch.device) -> Iterator[Batch]:
    """All rows in batches of like length."""
    for numbers in batches_by_length(rows.encoded.lengths.tolist(), TOKENS_PER_BATCH):
        batch = rows.collate([rows[Position(0, number)] for number in numbers])
        yield {key: value.to(device) for key, value in batch.items() if key != ROWS}


def each_row(device: torch.device) -> Counts:
    """Counts that make losses sums over rows, so that a row's loss does not depend on the others of its batch."""
    one = torch.ones((), device=device)
    return Counts(one, one, one, one)


class _Gates:
    """Hooks that take note of activation × gradient during a backward pass."""

    def __init__(self, anatomy: Anatomy) -> None:
        self._anatomy = anatomy
        # Convolutions have (batch, width, tokens).
        self._tokens = 2 if anatomy.config.model_type == "squeezebert" else 1
        self._sums: dict[str, dict[int, Tensor]] = {}
        self._stream: Tensor | None = None
        self._entries: list[Tensor] = []

    @contextmanager
    def on(self, model: nn.Module) -> Iterator[None]:
        """Watch a model inside the block."""
        parts = self._anatomy.parts
        with ExitStack() as hooks:
            for number, block in enumerate(self._anatomy.blocks):
                inputs: dict[str, Callable[[Tensor], None]] = {
                    parts.queries: self._enter,
                    parts.merge: self._watcher("heads", number),
                    parts.narrow: self._watcher("neurons", number),
                }
                for name, watch in inputs.items():
                    hooks.enter_context(_before(model.get_submodule(f"{block}.{name}"), watch))
                hooks.enter_context(_after(model.get_submodule(f"{block}.{parts.middle}"), self._watch_stream))
                hooks.enter_context(_after(model.get_submodule(f"{block}.{parts.end}"), self._leave))
            hooks.enter_context(_after(model.get_submodule(self._anatomy.stream), self._begin))
            if self._anatomy.narrows and self._anatomy.has_pooled:
                hooks.enter_context(_before(model.get_submodule(self._anatomy.answer), self._watcher("pooled", 0)))
            yield

    def close_batch(self) -> None:
        """Add the dimensions of the batch: their gate is one at all depths, so its derivatives add up."""
        if self._stream is not None:
            self._add("hidden", 0, self._stream.abs().sum(dim=0))
        self._stream = None
        self._entries.clear()

    def average(self, rows: int) -> Importance:
        """The means over rows."""
        means = {
            name: torch.stack([values[number] for number in sorted(values)]).div(rows).cpu()
            for name, values in self._sums.items()
        }
        return Importance(
            layers=means["layers"],
            heads=means["heads"],
            neurons=means["neurons"],
            hidden=means["hidden"][0],
            pooled=means["pooled"][0] if "pooled" in means else torch.zeros(0),
        )

    def _begin(self, output: Tensor) -> None:
        # The weights are frozen: the gradient goes as far back as here.
        _multiply(output.requires_grad_(), output, lambda products: self._note_stream(products, 1))

    def _enter(self, hidden: Tensor) -> None:
        self._entries.append(hidden.detach())

    def _leave(self, hidden: Tensor) -> None:
        self._watch_stream(hidden)
        layer = len(self._entries) - 1
        # Without the layer the hidden states stay what they were at its entry.
        change = hidden - self._entries[layer]
        _multiply(hidden, change, lambda products: self._add("layers", layer, products.sum(dim=(1, 2)).abs().sum()))

    def _watch_stream(self, hidden: Tensor) -> None:
        _multiply(hidden, hidden, lambda products: self._note_stream(products, self._tokens))

    def _note_stream(self, products: Tensor, tokens: int) -> None:
        each = products.sum(dim=tokens)
        self._stream = each if self._stream is None else self._stream + each

    def _watcher(self, kind: str, number: int) -> Callable[[Tensor], None]:
        def note(products: Tensor) -> None:
            each = products.sum(dim=self._tokens) if products.ndim == 3 else products
            if kind == "heads":
                each = each.reshape(len(each), self._anatomy.shape.heads, -1).sum(dim=2)
            self._add(kind, number, each.abs().sum(dim=0))

        return lambda tensor: _multiply(tensor, tensor, note)

    def _add(self, kind: str, number: int, values: Tensor) -> None:
        sums = self._sums.setdefault(kind, {})
        sums[number] = sums[number] + values if number in sums else values


def _multiply(tensor: Tensor, values: Tensor, note: Callable[[Tensor], None]) -> None:
    """Give ``values`` × the gradient of ``tensor`` to ``note``, once that gradient is known."""
    values = values.detach()
    tensor.register_hook(lambda gradient: note(values * gradient))  # type: ignore[no-untyped-call]


@contextmanager
def _before(module: nn.Module, see: Callable[[Tensor], None]) -> Iterator[None]:
    handle = module.register_forward_pre_hook(lambda _module, inputs: see(inputs[0]))
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def _after(module: nn.Module, see: Callable[[Tensor], None]) -> Iterator[None]:
    def hook(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
        see(output)

    handle = module.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def _frozen(model: nn.Module) -> Iterator[None]:
    """Without gradients of the weights, which nobody asks for here."""
    model.eval().requires_grad_(False)
    try:
        yield
    finally:
        model.requires_grad_(True)
