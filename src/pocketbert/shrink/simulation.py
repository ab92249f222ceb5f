"""int8 arithmetic played through in torch: which layers it hurts, and how weights learn to bear it.

A layer of a model computes with weights and inputs that were rounded as the int8 files round them. The parameters
themselves stay as they are, so that what is saved is a checkpoint of stock code.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from pocketbert.engines.base import Inputs
from pocketbert.models.answering import Answering
from pocketbert.shrink.layers import Quantizable, quantizable_modules

_LARGEST_WEIGHT = 63
"""Of seven bits, the fewer of what the files have."""
_LARGEST_ENTRY = 127
"""Of an embedding table."""
_LARGEST_INPUT = 255


class Range(NamedTuple):
    """Least and greatest value that goes into a layer; both 0 for a table, which ids go into."""

    low: float
    high: float


def measure_ranges(module: Answering, batches: Sequence[Inputs]) -> dict[str, Range]:
    """The range of what goes into each layer, by its name.

    Args:
        module: the model.
        batches: texts without padding.
    """
    seen: dict[str, list[Tensor]] = {}
    hooks = [
        layer.register_forward_pre_hook(
            lambda _layer, inputs, name=name: seen.setdefault(name, []).append(_span(inputs))
        )
        for name, layer in quantizable_modules(module.model).items()
    ]
    try:
        run_batches(module, batches)
    finally:
        for hook in hooks:
            hook.remove()
    spans = {name: torch.stack(found) for name, found in seen.items()}  # (calls, 2)
    return {
        name: Range(min(0.0, span[:, 0].min().item()), max(0.0, span[:, 1].max().item()))
        for name, span in spans.items()
    }


@torch.inference_mode()
def run_batches(module: Answering, batches: Sequence[Inputs]) -> Tensor:
    """All logits of some batches, as one row."""
    device = module.model.device
    answers = [module(**{name: torch.from_numpy(each[name]).to(device) for name in module.inputs}) for each in batches]
    return torch.cat([values.float().flatten() for answer in answers for values in answer])


@contextmanager
def simulated(model: nn.Module, ranges: Mapping[str, Range]) -> Iterator[None]:
    """Inside, the layers that are named compute as the int8 files do; gradients pass through the rounding.

    Args:
        model: any.
        ranges: of what goes into each layer that is to be int8, by its name.
    """
    modules = quantizable_modules(model)
    layers: list[Any] = [modules[name] for name in ranges]
    for layer, span in zip(layers, ranges.values(), strict=True):
        layer.forward = _rounded(layer, span)
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward  # the class's own is found again


def _span(inputs: tuple[Tensor, ...]) -> Tensor:
    """(2,) least and greatest of the values."""
    values = inputs[0].detach()
    return torch.stack(torch.aminmax(values)).float() if values.is_floating_point() else torch.zeros(2)


def _rounded(layer: Quantizable, span: Range) -> Any:
    """The layer's forward with rounded weights and inputs."""

    def forward(values: Tensor) -> Tensor:
        if isinstance(layer, nn.Embedding):
            return functional.embedding(values, _round_weights(layer.weight, _LARGEST_ENTRY), layer.padding_idx)
        weights = _round_weights(layer.weight, _LARGEST_WEIGHT)
        if isinstance(layer, nn.Linear):
            return functional.linear(_round_inputs(values, span), weights, layer.bias)
        convolved: Tensor = layer._conv_forward(_round_inputs(values, span), weights, layer.bias)
        return convolved

    return forward


def _round_weights(weights: Tensor, most: int) -> Tensor:
    """One scale for each output, or row of a table, around zero."""
    largest = weights.detach().abs().flatten(1).amax(dim=1)
    scales = (largest / most).clamp(min=torch.finfo(torch.float32).tiny)
    zeros = torch.zeros_like(scales, dtype=torch.int32)
    return torch.fake_quantize_per_channel_affine(weights, scales, zeros, 0, -most, most)


def _round_inputs(values: Tensor, span: Range) -> Tensor:
    """One scale for all, and a zero that is not in the middle."""
    scale = max((span.high - span.low) / _LARGEST_INPUT, torch.finfo(torch.float32).tiny)
    return torch.fake_quantize_per_tensor_affine(values.float(), scale, round(-span.low / scale), 0, _LARGEST_INPUT)
