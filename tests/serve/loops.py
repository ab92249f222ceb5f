"""A loop whose clock jumps to what is planned next, so that seconds pass in no time and always alike."""

import asyncio
from collections.abc import Coroutine
from typing import Any


class JumpingLoop(asyncio.SelectorEventLoop):
    """Time stands still while there is something to do."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def time(self) -> float:
        return self.now

    def _run_once(self) -> None:
        planned = [handle._when for handle in self._scheduled if not handle.cancelled()]
        assert self._ready or planned, "everything waits for something that will never come"
        if not self._ready:
            self.now = max(self.now, min(planned))
        super()._run_once()


def run_jumping(coroutine: Coroutine[Any, Any, Any]) -> Any:
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        return runner.run(coroutine)
