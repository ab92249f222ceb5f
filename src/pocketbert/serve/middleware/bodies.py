"""Limits on what is sent: how much, how slowly, how many at once. And nothing is computed for one who has gone."""

import asyncio
from typing import cast

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pocketbert.serve.middleware.refusing import refuse
from pocketbert.serve.problems import Problem, overloaded, too_much
from pocketbert.serve.settings import Settings

_PATIENCE, _MOST = 2.0, 64_000_000
"""Seconds and bytes for which what is too long is still read, and dropped: many clients send all before they listen."""
_CLOSE = {"connection": "close"}


class Bodies:
    """Reads the body of each request whole before a route sees it.

    Args:
        app: that answers.
        settings: of the server.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app, self._settings = app, settings
        self._count = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        if self._count >= self._settings.max_requests:
            await refuse(overloaded("the server is overloaded: too many requests at once", 1.0), scope, receive, send)
            return
        self._count += 1
        try:
            await self._answer(scope, receive, send)
        finally:
            self._count -= 1

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with asyncio.timeout(self._settings.receive_timeout):
                body = await self._read(Headers(scope=scope), receive)
        except TimeoutError:
            seconds = self._settings.receive_timeout
            problem = Problem(408, "Validation", f"the body did not arrive within {seconds:g} s", _CLOSE)
            await refuse(problem, scope, receive, send)
        except Problem as problem:
            await refuse(problem, scope, receive, send)
        else:
            if body is not None:
                await self._run(scope, body, receive, send)

    async def _read(self, headers: Headers, receive: Receive) -> bytes | None:
        """The body; None when the client has gone.

        Raises:
            Problem: it is too long, or no JSON.
        """
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            await _drop(receive)
            message = "send JSON, and say so: content-type: application/json"
            raise Problem(415, "Validation", message, _CLOSE)
        parts, size = list[bytes](), 0
        more = True
        while more:
            message_in = await receive()
            if message_in["type"] == "http.disconnect":
                return None
            parts.append(cast("bytes", message_in.get("body", b"")))
            size, more = size + len(parts[-1]), message_in.get("more_body", False)
            if size > self._settings.max_body or _length(headers) > self._settings.max_body:
                parts.clear()
                await _drop(receive, more)
                problem = too_much(f"the body has more than {self._settings.max_body} bytes")
                problem.headers |= _CLOSE
                raise problem
        return b"".join(parts)

    async def _run(self, scope: Scope, body: bytes, receive: Receive, send: Send) -> None:
        """Answer, unless the client goes before."""
        gone = asyncio.Event()
        given = False

        async def receive_body() -> Message:
            nonlocal given
            if given:
                await gone.wait()
                return {"type": "http.disconnect"}
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        answering = asyncio.ensure_future(self._app(scope, receive_body, send))
        leaving = asyncio.ensure_future(receive())  # what comes after the body is the end of the connection
        try:
            await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
            gone.set()
            if answering.done():
                answering.result()
        finally:
            for task in (answering, leaving):
                task.cancel()
            await asyncio.gather(answering, leaving, return_exceptions=True)


def _length(headers: Headers) -> int:
    """Bytes that the client says it will send; 0 when it does not say."""
    said = headers.get("content-length", "")
    return int(said) if said.isascii() and said.isdecimal() else 0


async def _drop(receive: Receive, more: bool = True) -> None:
    """Read on and keep nothing, for a while."""
    size = 0
    try:
        async with asyncio.timeout(_PATIENCE):
            while more and size < _MOST:
                message = await receive()
                size += len(message.get("body", b""))
                more = message["type"] == "http.request" and message.get("more_body", False)
    except TimeoutError:
        return
