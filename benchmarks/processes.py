"""Processes of their own that measure side by side, so that none of them finds the memory of another."""

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from pocketbert.errors import PocketBertError

PATIENCE = 60.0
"""Seconds that a process may take to end once it has hung up."""


class Worker:
    """A process that answers whenever it is asked.

    Args:
        name: for messages.
        serve: what it runs, in a fresh interpreter: gets its end of the connection and the arguments, and sends an
            answer for each ``True`` that it receives.
        arguments: of ``serve``; can be pickled.
    """

    def __init__(self, name: str, serve: Callable[..., None], *arguments: Any) -> None:
        self.name = name
        context = multiprocessing.get_context("spawn")
        self._here: Connection
        self._here, there = context.Pipe()
        self._process = context.Process(target=serve, args=(there, *arguments), daemon=True)
        self._process.start()
        # As long as this end of it is open here, too, nobody is told that the other has gone.
        there.close()

    def ask(self) -> Any:
        """Its next answer.

        Raises:
            PocketBertError: it has died.
        """
        try:
            self._here.send(True)
            return self._here.recv()
        except (EOFError, OSError):
            self._process.join(PATIENCE)
            raise PocketBertError(
                f"{self.name}: its process ended with exit code {self._process.exitcode} before it answered; what it "
                "said of it stands above (-9 is what a system sends that has no memory left: take smaller batches)"
            ) from None

    def end(self) -> None:
        """Let it go."""
        self._here.close()
        self._process.join(PATIENCE)
