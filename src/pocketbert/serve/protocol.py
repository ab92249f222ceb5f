"""HTTP as uvicorn speaks it, with limits on the head of a request: how long it may take, and how large it may be."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LARGEST_HEAD = 65_536
"""Bytes of names and values."""


class GuardedProtocol(HttpToolsProtocol):
    """Closes connections whose head does not arrive, or is too large.

    Args:
        timeout: seconds for a head.
        arguments: of the protocol.
    """

    def __init__(self, timeout: float, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._timeout = timeout
        self._size = 0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A connection that says nothing has no more time than one that says little."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """See :class:`asyncio.Protocol`."""
        self._stop()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """The first byte of a head."""
        super().on_message_begin()
        self._wait()

    def on_url(self, url: bytes) -> None:
        """A piece of the address."""
        super().on_url(url)
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field of the head."""
        super().on_header(name, value)
        self._count(len(name) + len(value))

    def on_headers_complete(self) -> None:
        """The last byte of a head."""
        self._stop()
        super().on_headers_complete()

    def _wait(self) -> None:
        self._stop()
        self._size = 0
        self._timer = self.loop.call_later(self._timeout, self.transport.close)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _count(self, size: int) -> None:
        self._size += size
        if self._size > LARGEST_HEAD:
            self.transport.close()
