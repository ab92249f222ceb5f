"""API keys."""

import hmac
from collections.abc import Collection, Sequence

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from pocketbert.serve.middleware.refusing import refuse
from pocketbert.serve.problems import Problem

_BEARER = b"bearer "


class Keys:
    """Lets requests pass that bring a key: ``Authorization: Bearer KEY``.

    Args:
        app: that answers them.
        keys: that are right; every one is compared, and in constant time.
        locked: methods and paths that need one.
    """

    def __init__(self, app: ASGIApp, keys: Sequence[bytes], locked: Collection[tuple[str, str]]) -> None:
        self._app, self._keys, self._locked = app, list(keys), frozenset(locked)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        locked = scope["type"] == "http" and (scope["method"], scope["path"]) in self._locked
        if locked and not self._knows(Headers(scope=scope)):
            challenge = {"www-authenticate": "Bearer"}
            await refuse(Problem(401, "Unauthorized", "no key, or a wrong one", challenge), scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _knows(self, headers: Headers) -> bool:
        given = headers.get("authorization", "").encode("latin-1")
        bearer, key = given[: len(_BEARER)].lower() == _BEARER, given[len(_BEARER) :]
        found = [hmac.compare_digest(key, each) for each in self._keys]
        return bearer and any(found)
