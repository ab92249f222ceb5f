"""SIGTERM and Ctrl-C end a run at once: what is committed stays, and the same command goes on from there."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from pocketbert.errors import Interrupted

SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def stoppable(output: str) -> Iterator[None]:
    """Turn the signals into an error inside the block; outside the main thread they stay with whoever has them.

    Raises:
        Interrupted: one came.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    stopped: list[Interrupted] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        for each in SIGNALS:
            signal.signal(each, signal.SIG_DFL)  # a second one ends the process however busy it is
        name = signal.Signals(number).name
        stopped.append(
            Interrupted(f"{output}: stopped by {name}; finished parts are kept, run the same command to go on")
        )
        raise stopped[0]

    before = {number: signal.signal(number, stop) for number in SIGNALS}
    try:
        yield
    except Exception:  # of whatever kind: a library whose import a signal breaks off raises its own in place of ours
        if stopped:
            raise stopped[0] from None
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
