"""How a model is set up to train, or to teach."""

import torch
from torch import nn
from transformers import PreTrainedModel

from pocketbert.machine import has_amx

PLAIN, FUSED = "eager", "sdpa"


def choose_attention(model: PreTrainedModel, device: torch.device, learns: bool) -> None:
    """Switch a model to its fastest attention; its answers stay the same up to rounding.

    On a GPU that is torch's fused one. On a CPU the plain products of matrices are faster forward and backward (at 128
    tokens by a tenth without AMX, by a fifth with it), and without AMX a little faster forward, too; with AMX a model
    that only runs forward takes a twentieth to a quarter less time with the fused one (docs/lab-notes.md).

    Args:
        model: of any family.
        device: where it runs.
        learns: whether it runs backward, too.
    """
    plain = device.type == "cpu" and (learns or not has_amx())
    wanted = PLAIN if plain else FUSED
    if model.config._attn_implementation != wanted and (plain or model._supports_sdpa):
        model.set_attn_implementation(wanted)


def set_dropout(model: PreTrainedModel, rate: float | None) -> None:
    """Set every dropout of a model; None leaves them as they are."""
    if rate is None:
        return
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = rate
