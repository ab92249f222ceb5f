"""The outermost layer: an id for each request, a log line, metrics, headers, and an answer to what went wrong."""

import logging
import re
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pocketbert.serve.account import Account
from pocketbert.serve.logs import LOGGER, log
from pocketbert.serve.middleware.refusing import refuse
from pocketbert.serve.problems import Problem
from pocketbert.serve.registry import Registry
from pocketbert.serve.strict_json import ACCOUNT

REQUEST_ID = "x-request-id"
_SANE = re.compile(r"[A-Za-z0-9._-]{1,128}")
_GONE = 499
"""What is logged where the client did not wait for its answer."""
_QUIET = ("/live", "/ready", "/health", "/metrics")
"""Asked every few seconds by machines; not worth a line when all is well."""


class Accounts:
    """Keeps the account of each request.

    Args:
        app: that answers.
        registry: of the server.
    """

    def __init__(self, app: ASGIApp, registry: Registry) -> None:
        self._app, self._registry = app, registry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        account = scope[ACCOUNT] = Account(_request_id(Headers(scope=scope).get(REQUEST_ID)))
        status = _GONE

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._add_headers(MutableHeaders(scope=message), account)
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except Exception:  # whatever it is, the server goes on and the client is told
            LOGGER.exception("unexpected error", extra={"fields": {"id": account.request, "route": account.route}})
            if status == _GONE:
                await refuse(Problem(500, "Backend", "unexpected error"), scope, receive, send_with_headers)
        finally:
            self._close(account, scope["method"], status)

    def _add_headers(self, headers: MutableHeaders, account: Account) -> None:
        headers[REQUEST_ID] = account.request
        headers["x-content-type-options"] = "nosniff"
        headers["referrer-policy"] = "no-referrer"
        if self._registry.draining:
            headers["connection"] = "close"

    def _close(self, account: Account, method: str, status: int) -> None:
        """Count the request and write its line."""
        metrics, total = self._registry.metrics, account.total
        metrics.requests.labels(account.route, str(status), account.model).inc()
        metrics.seconds.labels(account.route).observe(total)
        if account.model and account.tokens:
            metrics.tokenise_seconds.labels(account.model).observe(account.tokenise)
            metrics.queue_seconds.labels(account.model).observe(account.queue)
            metrics.inference_seconds.labels(account.model).observe(account.inference)
        if account.route in _QUIET and status < 400:
            return
        fields = {"items": account.items, "characters": account.characters, "tokens": account.tokens}
        times = {"tokenise": account.tokenise, "queue": account.queue, "inference": account.inference, "total": total}
        log(
            "request",
            logging.ERROR if status >= 500 else logging.INFO,
            id=account.request,
            method=method,
            route=account.route,
            status=status,
            model=account.model,
            truncated=len(account.truncated),
            **fields,
            **{f"{name}_ms": round(seconds * 1000, 2) for name, seconds in times.items()},
        )


def _request_id(given: str | None) -> str:
    """The client's own where it is sane, else a new one."""
    return given if given is not None and _SANE.fullmatch(given) else uuid.uuid4().hex
