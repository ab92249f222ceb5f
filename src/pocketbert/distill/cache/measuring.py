"""What the likeliest classes alone leave out of the soft targets."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from pocketbert.data.order import Position
from pocketbert.distill import losses
from pocketbert.distill.cache.filling import ROWS_AT_ONCE, Filling
from pocketbert.distill.cache.signals import CachedSamples, CachedSignals
from pocketbert.distill.losses import TopK
from pocketbert.distill.prediction import evaluating
from pocketbert.distill.signals import Needs, ask
from pocketbert.models.projection import Projection, accepted_inputs, model_inputs
from pocketbert.models.undecoded import Undecoded

SAMPLES = 256
"""Of 128 tokens each: about 5,000 masked positions."""
AT_ONCE = 32


@torch.no_grad()
def measure_top_k(
    filling: Filling, cached: CachedSamples, student: PreTrainedModel, numbers: NDArray[np.int64]
) -> dict[str, float]:
    """Compare the soft-target loss by all classes with that by the ones that a cache keeps.

    Args:
        filling: how the cache was filled, with the top k of a vocabulary.
        cached: the same samples, read back.
        student: as it is before its first step, which is when it differs most from its teacher.
        numbers: of entries that are there; some of them are looked at.

    Returns:
        Averaged over positions, with the student's logits: ``full``, the loss by all classes; ``top_k``, the loss by
        the kept ones and the rest, as they are read back; and ``rest``, the probability that is not told by class.
    """
    sums, rows = torch.zeros(3, dtype=torch.float64), 0
    temperature = filling.content.temperature or 1.0
    with evaluating(student):
        for own, theirs, told in _answers(filling, cached, student, numbers[:SAMPLES]):
            full = losses.soft_target_loss(own, theirs, temperature, 1)
            part = losses.top_k_soft_target_loss(own, told, temperature, 1)
            sums += torch.stack([full, part, told.rest.exp().sum()]).cpu().double()
            rows += len(own)
    return dict(zip(("full", "top_k", "rest"), (sums / rows).tolist(), strict=True))


def _answers(
    filling: Filling, cached: CachedSamples, student: PreTrainedModel, numbers: NDArray[np.int64]
) -> Iterator[tuple[Tensor, Tensor, TopK]]:
    """Logits of student and teacher, (positions, classes), and what was kept of the latter."""
    projection, accepted = Projection(student.to(filling.device)), accepted_inputs(student)
    read = CachedSignals(Needs(logits=True))
    for start in range(0, len(numbers), AT_ONCE):
        places = [divmod(number, len(cached)) for number in numbers[start : start + AT_ONCE].tolist()]
        batch = cached.collate([cached[Position(*place)] for place in places])
        batch = {name: value.to(filling.device) for name, value in batch.items()}
        positions = filling.objective.positions(batch)
        own = ask(projection, model_inputs(batch, accepted), positions, logits=True).logits
        theirs, told = filling.teacher(batch, positions).logits, read(batch, positions).logits
        if isinstance(own, Undecoded) and isinstance(theirs, Undecoded) and isinstance(told, TopK):
            # Logits of a vocabulary are wide, and fp32 in the losses.
            for start in range(0, len(own), ROWS_AT_ONCE):
                rows = slice(start, start + ROWS_AT_ONCE)
                yield own.decode(rows), theirs.decode(rows), TopK(*(values[rows] for values in told))
