"""How much memory something takes."""

import tracemalloc
from collections.abc import Callable

REPEATS = 3


def least_peak(action: Callable[[], object]) -> int:
    """Bytes that Python holds at most while an action runs: the least of three runs.

    Whatever else runs in this process is counted too, but not each time.
    """
    return min(_peak(action) for _ in range(REPEATS))


def _peak(action: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
