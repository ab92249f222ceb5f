"""What is measured of a device, with a GPU that is only spoken of."""

import importlib

import pytest
import torch

GPU, CPU = torch.device("cuda"), torch.device("cpu")


@pytest.fixture
def devices():
    return importlib.import_module("devices")


@pytest.fixture
def calls(devices, monkeypatch):
    """What is asked of torch's GPU, and when the clock is read."""
    made = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: made.append("wait"))
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 123)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: made.append("release"))
    monkeypatch.setattr(devices.time, "perf_counter", lambda: made.append("read") or 5.0)
    return made


def test_a_gpu_is_waited_for_before_the_clock_is_read(devices, calls):
    assert devices.training_device() == GPU
    assert devices.read_clock(GPU) == 5.0 and calls == ["wait", "read"]
    devices.read_clock(CPU)
    assert calls == ["wait", "read", "read"]


def test_memory_is_that_of_the_device(devices, calls):
    assert devices.peak_memory(GPU) == 123
    assert devices.peak_memory(CPU) > 2**20
    devices.release_memory(CPU)
    assert calls == []
    devices.release_memory(GPU)
    assert calls == ["release"]


def test_a_product_has_two_operations_for_each_of_its_terms(devices, monkeypatch):
    times = iter(range(1000))
    monkeypatch.setattr(devices, "read_clock", lambda device: next(times))
    monkeypatch.setitem(devices.PRODUCT, "cpu", 16)
    assert devices.product_speed(CPU, torch.bfloat16) == 2 * 16 * 16 * 16
