"""Several processes that train one model, as ``torchrun`` and ``accelerate launch`` start them.

What they share on disk is made by the main one, while the others wait and then find it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

PATIENCE = timedelta(days=1)
"""How long the others wait: tokenising a large corpus takes hours."""
_inside = False


def count() -> int:
    """How many processes there are; known before they are connected."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main() -> bool:
    """Whether this is the process that writes and prints."""
    return int(os.environ.get("RANK", "0")) == 0


@contextmanager
def main_first() -> Iterator[None]:
    """Let the main process through the block before the others enter it; blocks inside it are part of it."""
    global _inside
    if count() == 1 or _inside:
        yield
        return
    # Imported here because the command line asks who is main before anything is worth loading.
    import torch
    from accelerate import PartialState

    # Once the ranks are connected, ``transformers`` would have the main one alone read weights where FSDP is set up,
    # and leave those of the others to be sent; but teachers are not sharded, and students are made from their weights.
    os.environ["FSDP_CPU_RAM_EFFICIENT_LOADING"] = "false"
    with PartialState(cpu=not torch.cuda.is_available(), timeout=PATIENCE).main_process_first():
        _inside = True
        try:
            yield
        finally:
            _inside = False
