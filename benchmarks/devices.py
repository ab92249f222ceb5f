"""The device that a step is timed on: when its work is done, what memory it took, and how fast it multiplies."""

import gc
import time

import torch

from pocketbert.measure import startup

PRODUCT = {"cpu": 2048, "cuda": 8192}
"""Rows and columns of the matrices whose product is the ceiling."""
PRODUCTS = 50


def training_device() -> torch.device:
    """Where the trainer trains: the GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def read_clock(device: torch.device) -> float:
    """Seconds, once the device has done all that it was asked for."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def peak_memory(device: torch.device) -> int:
    """Most bytes that this process has held: tensors on a GPU, all of the process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return startup.peak_memory()


def release_memory(device: torch.device) -> None:
    """Give back what this process keeps of a GPU's memory for tensors to come."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def product_speed(device: torch.device, dtype: torch.dtype) -> float:
    """Floating-point operations a second of a large matrix product."""
    size = PRODUCT[device.type]
    one, other = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    seconds = []
    for _ in range(PRODUCTS):
        start = read_clock(device)
        one @ other
        seconds.append(read_clock(device) - start)
    # A ceiling is what the machine does undisturbed.
    return float(2 * size**3 / min(seconds))
