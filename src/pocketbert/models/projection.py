"""Running a model so that it computes no more than is looked at.

The vocabulary projection is the widest matrix of a masked-LM model, and only some positions are counted. A forward
hook on the encoder hands the head just these, which works for every family without a word about its head. Where
nothing but the inside of a model is wanted, it runs no further than that.
"""

import inspect
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from pocketbert.models.inside import Inside, Seen, Window

MODEL_INPUTS = ("input_ids", "attention_mask", "token_type_ids")


class Outputs(NamedTuple):
    """What a forward pass gave.

    Attributes:
        logits: (positions, vocabulary) where positions were chosen; else the head's own (batch, labels) or
            (batch, tokens, labels); question answering has start and end stacked, (batch, tokens, 2).
        inside: what was wanted of the layers.
    """

    logits: Tensor
    inside: Seen


class Projection:
    """A model whose head can be limited to chosen positions.

    Args:
        model: any ``transformers`` encoder with a head; left as it is between calls.
        wanted: what of its inside is wanted at each call.

    Raises:
        ModelError: its inside is wanted, and it is of a family that cannot be looked into.
    """

    def __init__(self, model: nn.Module, wanted: Inside | None = None) -> None:
        self._encoder: Any = model.base_model
        self._wanted = wanted or Inside()
        config: Any = model.config
        self._last: int = config.num_hidden_layers - 1
        # The last hidden states are what an encoder gives; to see more it has to be looked into.
        self._window = Window(model) if self._wanted.without(self._last) else None

    def __call__(self, model: nn.Module, inputs: dict[str, Tensor], positions: Tensor | None = None) -> Outputs:
        """Run the model.

        Args:
            model: the model itself.
            inputs: what the model takes.
            positions: (batch, tokens) true where the head is to look; None for everywhere.
        """
        last: list[Tensor] = []

        def select(_encoder: nn.Module, _inputs: Any, output: Any) -> Any:
            last.append(output[0])
            if positions is not None:
                # (batch, tokens, width) → (1, positions, width)
                output["last_hidden_state"] = output[0][positions].unsqueeze(0)
            return output

        handle = self._encoder.register_forward_hook(select)
        try:
            with self._open(stop=False) as inside:
                logits = _logits(model(**inputs))
        finally:
            handle.remove()
        if self._last in self._wanted.states:
            inside.states[self._last] = last[0]
        return Outputs(logits if positions is None else logits.squeeze(0), inside)

    def look(self, inputs: dict[str, Tensor]) -> Seen:
        """Run the model as far as its inside is wanted: no head, and no layer after the last one that is.

        Args:
            inputs: what the model takes.
        """
        with self._open(stop=True) as inside:
            # Where an earlier layer was the last one wanted, what follows is not reached.
            inside.states[self._last] = self._encoder(**inputs)[0]
        return inside

    def _open(self, stop: bool) -> AbstractContextManager[Seen]:
        return self._window.open(self._wanted, stop) if self._window else nullcontext(Seen())


def model_inputs(batch: dict[str, Tensor], accepted: frozenset[str]) -> dict[str, Tensor]:
    """Those parts of a batch that a model takes."""
    return {key: value for key, value in batch.items() if key in accepted}


def accepted_inputs(model: nn.Module) -> frozenset[str]:
    """Which inputs a model's forward takes, such as ``token_type_ids``."""
    return frozenset(MODEL_INPUTS) & frozenset(inspect.signature(model.forward).parameters)


def _logits(output: Any) -> Tensor:
    if "start_logits" in output:
        return torch.stack([output["start_logits"], output["end_logits"]], dim=-1)
    logits: Tensor = output["logits"]
    return logits
