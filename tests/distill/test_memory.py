"""Memory that is kept between steps, and given back after them."""

import ctypes
import resource
import subprocess
import sys

import pytest

from pocketbert.distill import memory

LARGE = 48 * 2**20
"""Bytes: more than the library maps from the heap by itself."""
PROGRAM = f"""
import resource, sys
import torch
from pathlib import Path
from pocketbert.distill.memory import keep_memory

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def used():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

def work():
    before = faults()
    for _ in range(10):
        torch.ones({LARGE}, dtype=torch.uint8)
    return faults() - before

work()
plain = work()
with keep_memory():
    work()
    kept, inside = work(), used()
after = used()
print(plain, kept, inside, after)
"""


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or memory._gnu_library() is None, reason="needs the GNU C library"
)
def test_memory_is_kept_inside_and_given_back_after():
    printed = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True).stdout
    plain, kept, inside, after = map(int, printed.split())
    pages = LARGE / resource.getpagesize()
    assert kept < plain / 20 and plain > 5 * pages
    assert inside - after > 0.9 * LARGE


def test_what_was_set_is_set_back_whatever_happens(monkeypatch):
    calls = []

    class Library:
        def mallopt(self, parameter, value):
            calls.append((parameter, value))

        def malloc_trim(self, pad):
            calls.append(("trim", pad))

    monkeypatch.setattr(memory, "_gnu_library", Library)
    with pytest.raises(ValueError, match="inside"), memory.keep_memory():
        raise ValueError("inside")
    assert dict(calls[:2]) == {memory.MMAP_MAX: 0, memory.TRIM_THRESHOLD: memory.NEVER}
    assert dict(calls[2:]) == {**memory.ORDINARY, "trim": 0}


@pytest.mark.parametrize("error", [OSError, TypeError])
def test_other_systems_are_left_as_they_are(monkeypatch, error):
    def refuse(_name):
        raise error

    monkeypatch.setattr(ctypes, "CDLL", refuse)
    with memory.keep_memory():
        pass


def test_other_libraries_are_left_as_they_are(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: object())
    with memory.keep_memory():
        pass
