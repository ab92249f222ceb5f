"""Which attention a model computes with while it trains or teaches."""

import torch
from transformers import PreTrainedModel

FASTEST = {"cpu": "eager"}
"""On a CPU the plain products of matrices beat torch's fused attention, most of all its backward pass: a DistilBERT
student's step took 10 to 12 % less at 128, 256 and 512 tokens (docs/lab-notes.md). Elsewhere the fused one stays."""


def choose_attention(model: PreTrainedModel, device: torch.device) -> None:
    """Switch a model to the attention that trains fastest on a device; its answers stay the same up to rounding."""
    wanted = FASTEST.get(device.type)
    if wanted and model.config._attn_implementation != wanted:
        model.set_attn_implementation(wanted)
