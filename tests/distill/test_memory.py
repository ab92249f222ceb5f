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


VERY_LARGE = 3 * 2**30
"""Bytes, which are asked for and never touched: more than an int of C can count."""
END_OF_HEAP = f"""
import ctypes
from pocketbert.distill.memory import keep_memory

library = ctypes.CDLL(None)
for function in (library.malloc, library.sbrk):
    function.restype = ctypes.c_void_p
library.malloc.argtypes, library.free.argtypes = [ctypes.c_size_t], [ctypes.c_void_p]
library.sbrk.argtypes = [ctypes.c_ssize_t]
with keep_memory():
    start, place = library.sbrk(0), library.malloc({VERY_LARGE})
    library.free(place)
    print(int(place is not None), library.sbrk(0) - start)
"""

needs_gnu = pytest.mark.skipif(
    not sys.platform.startswith("linux") or memory._gnu_library() is None, reason="needs the GNU C library"
)


def printed_numbers(program):
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return map(int, done.stdout.split())


@needs_gnu
def test_memory_is_kept_inside_and_given_back_after():
    plain, kept, inside, after = printed_numbers(PROGRAM)
    pages = LARGE / resource.getpagesize()
    assert kept < plain / 20 and plain > 5 * pages
    assert inside - after > 0.9 * LARGE


@needs_gnu
def test_however_much_is_free_it_is_kept():
    given, kept = printed_numbers(END_OF_HEAP)
    if not given:
        pytest.skip("no process gets 3 GiB of addresses here")  # a limit (ulimit -v) counts even what is not touched
    assert kept > 0.99 * VERY_LARGE


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
