"""JSON as it was meant: no name twice, no number that is none, no text that is none."""

import json
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

from fastapi import HTTPException, Request, Response
from fastapi.routing import APIRoute

from pocketbert.serve.account import Account

ACCOUNT = "pocketbert.account"
"""Under which the account of a request lies in its scope."""


def parse(body: bytes) -> Any:
    """The values of a body.

    Raises:
        ValueError: what is wrong with it; says nothing of its texts.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"the body is not UTF-8: byte {error.start}") from None
    try:
        found = json.loads(text, object_pairs_hook=_once, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        raise ValueError(f"the body is not JSON: {error.msg} at character {error.pos}") from None
    except RecursionError:
        raise ValueError("the body is nested too deeply") from None
    if "\\u" in text:
        _check_surrogates(found)
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for number, name in enumerate(names) if name in names[:number])
        raise ValueError(f"the name {twice[:60]!r} stands twice in one object")
    return found


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number of JSON")


def _check_surrogates(found: Any) -> None:
    """Refuse halves of characters, which JSON can spell but nothing can encode."""
    try:
        json.dumps(found, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("a text holds half a character (a lone surrogate)") from None


class StrictRequest(Request):
    """A request whose JSON is parsed strictly."""

    async def json(self) -> Any:
        """The values of its body.

        Raises:
            HTTPException: with status 422, what is wrong with it.
        """
        try:
            return parse(await self.body())
        except ValueError as error:
            raise HTTPException(422, str(error)) from None


class StrictRoute(APIRoute):
    """A route of strict requests, which is told to their account."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """See :class:`fastapi.routing.APIRoute`."""
        answer = super().get_route_handler()

        async def handle(request: Request) -> Response:
            account: Account = request.scope[ACCOUNT]
            account.route = self.path
            return await answer(StrictRequest(request.scope, request.receive))

        return handle
