"""Several processes that train one model, as ``torchrun`` and ``accelerate launch`` start them.

What they share on disk is made by the main one, while the others wait and then find it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from accelerate import PartialState

T = TypeVar("T")
PATIENCE = timedelta(days=1)
"""How long the others wait: tokenising a large corpus takes hours."""
_inside = False


def count() -> int:
    """How many processes there are; known before they are connected."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """The number of this process, from 0; known before they are connected."""
    return int(os.environ.get("RANK", "0"))


def is_main() -> bool:
    """Whether this is the process that writes and prints."""
    return rank() == 0


@contextmanager
def main_first() -> Iterator[None]:
    """Let the main process through the block before the others enter it; blocks inside it are part of it."""
    global _inside
    if count() == 1 or _inside:
        yield
        return
    with _connect().main_process_first():
        _inside = True
        try:
            yield
        finally:
            _inside = False


def gather(value: T) -> list[T]:
    """What every process gives, in the order of their numbers, for the main one; the others get nothing.

    Args:
        value: can be pickled. All processes give one.
    """
    if count() == 1:
        return [value]
    from torch import distributed

    _connect()
    found: list[T] = [value] * count() if is_main() else []
    distributed.gather_object(value, found or None, dst=0)
    return found


def share(value: T) -> T:
    """What the main process gives, for all.

    Args:
        value: can be pickled; that of the others does not count.
    """
    if count() == 1:
        return value
    from torch import distributed

    _connect()
    box = [value]
    distributed.broadcast_object_list(box, src=0)
    return box[0]


def _connect() -> "PartialState":
    # Imported here because the command line asks who is main before anything is worth loading.
    import torch
    from accelerate import PartialState

    # Once the ranks are connected, ``transformers`` would have the main one alone read weights where FSDP is set up,
    # and leave those of the others to be sent; but teachers are not sharded, and students are made from their weights.
    os.environ["FSDP_CPU_RAM_EFFICIENT_LOADING"] = "false"
    return PartialState(cpu=not torch.cuda.is_available(), timeout=PATIENCE)
