"""How a model is set up to train, or to teach."""

import torch
from torch import nn
from transformers import PreTrainedModel

FASTEST_ATTENTION = {"cpu": "eager"}
"""On a CPU the plain products of matrices beat torch's fused attention: the encoder of a DistilBERT student took 10 %
less forward and backward, with dropout 7 %, and a teacher's forward 4 %, at 16 × 128 tokens, measured on one machine
without AMX (docs/lab-notes.md). Elsewhere the fused one stays."""


def choose_attention(model: PreTrainedModel, device: torch.device) -> None:
    """Switch a model to the attention that trains fastest on a device; its answers stay the same up to rounding."""
    wanted = FASTEST_ATTENTION.get(device.type)
    if wanted and model.config._attn_implementation != wanted:
        model.set_attn_implementation(wanted)


def set_dropout(model: PreTrainedModel, rate: float | None) -> None:
    """Set every dropout of a model; None leaves them as they are."""
    if rate is None:
        return
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = rate
