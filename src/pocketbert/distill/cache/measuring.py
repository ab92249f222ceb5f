"""How far what is kept of a vocabulary's logits is from saying all."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from pocketbert.data.order import Position
from pocketbert.distill import losses
from pocketbert.distill.cache.asking import ROWS_AT_ONCE, Asking
from pocketbert.distill.cache.signals import CachedSamples, CachedSignals
from pocketbert.distill.chunks import take
from pocketbert.distill.losses import TopK
from pocketbert.distill.places import find_places
from pocketbert.distill.prediction import evaluating
from pocketbert.distill.signals import ask
from pocketbert.models.projection import Projection, accepted_inputs, model_inputs
from pocketbert.models.undecoded import Undecoded

SAMPLES = 256
"""Of 128 tokens each: about 5,000 masked positions."""
AT_ONCE = 32


@torch.no_grad()
def measure_error(
    asking: Asking,
    cached: CachedSamples,
    read: CachedSignals,
    student: PreTrainedModel,
    temperature: float,
    numbers: NDArray[np.int64],
) -> dict[str, float]:
    """Compare the soft-target loss by what the teacher says with that by what a cache keeps of it.

    Args:
        asking: how the cache was filled, with a vocabulary's logits.
        cached: the same samples, read back.
        read: makes signals of these.
        student: as it is before its first step, which is when it differs most from its teacher.
        temperature: of the soft targets.
        numbers: of entries that are there; some of them are looked at.

    Returns:
        With the student's logits, ``full``: the loss by what the teacher says, averaged over positions; ``kept``: the
        same by what is read back; ``deviation``: the root of the mean squared difference of the two at one position;
        ``rest``: the teacher's probability of the classes that are not told, averaged.
    """
    sums, rows = torch.zeros(4, dtype=torch.float64), 0
    with evaluating(student):
        for own, theirs, told in _answers(asking, cached, read, student, numbers[:SAMPLES]):
            full = losses.soft_target_divergences(own, theirs, temperature) * temperature**2
            if isinstance(told, TopK):
                kept, rest = losses.top_k_divergences(own, told, temperature) * temperature**2, told.rest.exp()
            else:
                kept = losses.soft_target_divergences(own, told, temperature) * temperature**2
                rest = torch.zeros_like(kept)
            parts = (full, kept, (kept - full).square(), rest)
            sums += torch.stack([values.double().sum().cpu() for values in parts])
            rows += len(own)
    full_mean, kept_mean, squared, rest = (sums / rows).tolist()
    return {"full": full_mean, "kept": kept_mean, "deviation": squared**0.5, "rest": rest}


def _answers(
    asking: Asking,
    cached: CachedSamples,
    read: CachedSignals,
    student: PreTrainedModel,
    numbers: NDArray[np.int64],
) -> Iterator[tuple[Tensor, Tensor, Tensor | TopK]]:
    """Logits of student and teacher, (positions, classes), and what was kept of the latter."""
    projection, accepted = Projection(student.to(asking.device)), accepted_inputs(student)
    for start in range(0, len(numbers), AT_ONCE):
        places = [divmod(number, len(cached)) for number in numbers[start : start + AT_ONCE].tolist()]
        batch = cached.collate([cached[Position(*place)] for place in places])
        batch = {name: value.to(asking.device) for name, value in batch.items()}
        where = asking.where(batch)
        positions = None if where is None else find_places(where)
        own = ask(projection, model_inputs(batch, accepted), positions, logits=True).logits
        theirs, told = asking.signals(batch).logits, read(batch, positions).logits
        if isinstance(own, Undecoded) and isinstance(theirs, Undecoded) and isinstance(told, Undecoded | TopK):
            # Logits of a vocabulary are wide, and fp32 in the losses.
            for start in range(0, len(own), ROWS_AT_ONCE):
                rows = slice(start, start + ROWS_AT_ONCE)
                yield own.decode(rows), theirs.decode(rows), take(told, rows)
