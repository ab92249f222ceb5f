"""Tensors as the records of a cache, and back.

Numbers of 8 bits are steps between the highest and the lowest one of their record. Those of features are companded:
the steps are even in arsinh(x / scale), fine for the many and coarse for the few that are far out, which would else
make all steps coarse.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pocketbert.distill.losses import TopK

STEPS = 255
"""Between the highest and the lowest."""
_LARGEST = float(np.finfo(np.float16).max)


def pack_features(features: Tensor, kind: np.dtype[Any]) -> NDArray[Any]:
    """Records of what logits are made of, (positions,), from (positions, width)."""
    records = np.empty(len(features), dtype=kind)
    values = features.float().cpu().numpy()
    sizes = np.abs(values)
    scale = np.median(sizes, axis=1)
    # Where more than half of them are 0 the median says nothing.
    scale = np.maximum(np.where(scale > 0, scale, sizes.mean(axis=1)), np.finfo(np.float32).tiny)
    records["scale"] = scale
    _pack(np.arcsinh(values / scale[:, None]), records)
    return records


def unpack_features(records: NDArray[Any]) -> Tensor:
    """(positions, width) fp32 of what was packed, each number off by half a step at most."""
    return torch.from_numpy(np.sinh(_unpack(records)) * records["scale"][:, None])


def pack_top_k(targets: TopK, kind: np.dtype[Any]) -> NDArray[Any]:
    """Records of distributions, (rows,)."""
    records = np.empty(len(targets.ids), dtype=kind)
    records["rest"] = targets.rest.cpu().numpy()
    for part, ids, logs in (("told", targets.ids, targets.logs), ("drawn", targets.drawn, targets.drawn_logs)):
        records[part]["ids"] = ids.cpu().numpy()
        _pack(logs.cpu().numpy(), records[part])
    return records


def unpack_top_k(records: NDArray[Any]) -> TopK:
    """What was packed; the told probabilities and the rest add up to 1 again, whatever the rounding did."""
    (ids, logs), (drawn, drawn_logs) = (
        (torch.from_numpy(records[part]["ids"].astype(np.int64)), torch.from_numpy(_unpack(records[part])))
        for part in ("told", "drawn")
    )
    rest = torch.from_numpy(records["rest"].copy())
    total = torch.logaddexp(logs.logsumexp(dim=-1), rest)
    return TopK(ids, logs - total[:, None], rest - total, drawn, drawn_logs)


def pack_states(states: Tensor) -> NDArray[np.float16]:
    """(tokens, width) in fp16; what it cannot hold becomes the largest that it can."""
    packed: NDArray[np.float16] = states.float().clamp(-_LARGEST, _LARGEST).half().cpu().numpy()
    return packed


def _pack(values: NDArray[np.float32], records: NDArray[Any]) -> None:
    high, low = values.max(axis=1), values.min(axis=1)
    span = np.maximum(high - low, np.finfo(np.float32).tiny)
    records["high"], records["low"] = high, low
    # What is no number makes high and low none, and with them all that is read back.
    records["steps"] = np.nan_to_num(np.rint((high[:, None] - values) / span[:, None] * STEPS))


def _unpack(records: NDArray[Any]) -> NDArray[np.float32]:
    high, low = records["high"][:, None], records["low"][:, None]
    values: NDArray[np.float32] = high - records["steps"] * ((high - low) / np.float32(STEPS))
    return values
