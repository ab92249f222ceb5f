"""Where in a batch the losses look, as numbers.

They are found where the batch is made, on the CPU: a GPU that has to say how many places a mask has keeps the whole
program waiting for all it has still to do.
"""

import torch
from torch import Tensor

from pocketbert.data.records import IGNORED

COUNTED = "counted"
"""Key of a batch's places that have a label, or soft targets."""
REAL = "real"
"""Key of the places of its real tokens; batches without padding have none, for all of their tokens are real."""


def counted_tokens(batch: dict[str, Tensor], everywhere: bool) -> Tensor:
    """(batch, tokens) true where answers are compared: at all real tokens, or at those that have a label."""
    return real_tokens(batch) if everywhere else batch["labels"] != IGNORED


def find_places(mask: Tensor) -> Tensor:
    """The places of a mask, counted through the rows of a batch.

    Args:
        mask: (batch, tokens).

    Returns:
        (places,) int64.
    """
    return torch.nonzero(mask.reshape(-1)).squeeze(1)


def pick(values: Tensor, places: Tensor | None) -> Tensor:
    """The values at some places of a batch.

    Args:
        values: (batch, tokens, …).
        places: as of :func:`find_places`; None for all.

    Returns:
        (places, …).
    """
    flat = values.flatten(0, 1)
    return flat if places is None else flat.index_select(0, places)


def real_tokens(batch: dict[str, Tensor]) -> Tensor:
    """(batch, tokens) true where there is text; batches without padding come without a mask."""
    mask = batch.get("attention_mask")
    return torch.ones_like(batch["input_ids"], dtype=torch.bool) if mask is None else mask.bool()
