"""Running a model so that its head sees only chosen positions.

The vocabulary projection is the widest matrix of a masked-LM model, and only some positions are counted. A forward
hook on the encoder hands the head just these, which works for every family without a word about its head.
"""

import inspect
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

MODEL_INPUTS = ("input_ids", "attention_mask", "token_type_ids")


class Outputs(NamedTuple):
    """What a forward pass gave.

    Attributes:
        logits: (positions, vocabulary) where positions were chosen; else the head's own (batch, labels) or
            (batch, tokens, labels); question answering has start and end stacked, (batch, tokens, 2).
        hidden: (batch, tokens, width) the encoder's last hidden states.
    """

    logits: Tensor
    hidden: Tensor


class Projection:
    """A model whose head can be limited to chosen positions.

    Args:
        model: any ``transformers`` encoder with a head; left as it is between calls.
    """

    def __init__(self, model: nn.Module) -> None:
        self._encoder: Any = model.base_model

    def __call__(self, model: nn.Module, inputs: dict[str, Tensor], positions: Tensor | None = None) -> Outputs:
        """Run the model, or what wraps it for several ranks.

        Args:
            model: the model itself or its wrapper.
            inputs: what the model takes.
            positions: (batch, tokens) true where the head is to look; None for everywhere.
        """
        hidden: list[Tensor] = []

        def select(_encoder: nn.Module, _inputs: Any, output: Any) -> Any:
            hidden.append(output[0])
            if positions is not None:
                # (batch, tokens, width) → (1, positions, width)
                output["last_hidden_state"] = output[0][positions].unsqueeze(0)
            return output

        handle = self._encoder.register_forward_hook(select)
        try:
            logits = _logits(model(**inputs))
        finally:
            handle.remove()
        return Outputs(logits if positions is None else logits.squeeze(0), hidden[0])


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
