"""Memory of a step, kept for the next one."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

# Parameters of mallopt, from malloc.h of the GNU C library.
TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX = -1, -3, -4
NEVER = -1
"""As the library documents it; the largest int would be a limit of 2 GiB, and large steps leave more free."""
ORDINARY = {MMAP_MAX: 65536, MMAP_THRESHOLD: 2**25, TRIM_THRESHOLD: 2**26}
"""What the library comes to by itself once something large was freed; it cannot be asked."""


@contextmanager
def keep_memory() -> Iterator[None]:
    """Let the C library keep the memory that tensors give back, inside the block.

    A step asks for the same large tensors as the one before. By itself the library gives them back to the system, which
    hands out empty pages anew: 3 to 4 % of a step on a CPU (docs/lab-notes.md). Other libraries, and GPUs, are left
    as they are.
    """
    library = None if torch.cuda.is_available() else _gnu_library()
    if library is None:
        yield
        return
    library.mallopt(MMAP_MAX, 0)
    library.mallopt(TRIM_THRESHOLD, NEVER)
    try:
        yield
    finally:
        for parameter, value in ORDINARY.items():
            library.mallopt(parameter, value)
        library.malloc_trim(0)


def _gnu_library() -> Any | None:
    try:
        library = ctypes.CDLL(None)
    except (OSError, TypeError):
        return None  # Windows has no such thing
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None
