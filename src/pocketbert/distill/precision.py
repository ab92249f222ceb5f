"""Which number type this machine multiplies fastest."""

import math
import time
from functools import lru_cache
from pathlib import Path

import torch

from pocketbert.distill import ranks
from pocketbert.errors import PocketBertError
from pocketbert.files import write_atomically

SIZE = 1024
ROUNDS = 9
"""Of each type: the least of them was least disturbed."""
GAIN = 1.3
"""How much faster a shorter type has to be to be worth its rounding."""


@lru_cache(maxsize=1)
def fastest_precision() -> str:
    """``bf16``, ``fp16`` or ``fp32``: by timing a matrix product of each on the training device.

    fp16 is only considered on a GPU that has no bf16: it needs loss scaling, and CPUs emulate it.
    """
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    plain, short = _seconds(torch.float32, torch.bfloat16)
    return "bf16" if plain > GAIN * short else "fp32"


def settle_precision(wanted: str, folder: Path) -> str:
    """The precision of a run: the one asked for, or the fastest.

    Which is the fastest is decided once and kept in a file, for timings differ between ranks and from day to day.

    Args:
        wanted: a precision, or ``auto``.
        folder: of the run.

    Raises:
        PocketBertError: the training device has no such type.
    """
    check_precision(wanted)
    if wanted != "auto":
        return wanted
    path = folder / "precision"
    with ranks.main_first():
        if not path.is_file():
            write_atomically(path, fastest_precision())
    return path.read_text(encoding="utf-8")


def check_precision(wanted: str) -> None:
    """Refuse a number type in which this machine does not train.

    The libraries below would train in fp32 instead, without a word.

    Raises:
        PocketBertError: the training device has no such type.
    """
    on_gpu = torch.cuda.is_available()
    if wanted == "fp16" and not on_gpu:
        raise PocketBertError("fp16 needs a GPU; set precision: bf16, fp32 or auto")
    if wanted == "bf16" and on_gpu and not torch.cuda.is_bf16_supported():
        raise PocketBertError("this GPU has no bf16; set precision: fp16, fp32 or auto")


def torch_dtype(precision: str) -> torch.dtype:
    """The torch type of a precision's name."""
    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]


def _seconds(*types: torch.dtype) -> list[float]:
    """The least time of a product of each type, taken in turn: other work on the machine then meets all of them."""
    pairs = [[torch.randn(SIZE, SIZE).to(dtype) for _ in range(2)] for dtype in types]
    least = [math.inf] * len(types)
    for _ in range(ROUNDS):
        for place, (first, second) in enumerate(pairs):
            start = time.perf_counter()
            first @ second
            least[place] = min(least[place], time.perf_counter() - start)
    return least
