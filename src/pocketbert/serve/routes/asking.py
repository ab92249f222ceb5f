"""What the routes share: limits on what is asked, the model that answers, and the answer as bytes."""

from collections.abc import Sequence
from typing import Any

import orjson
from fastapi import Request, Response

from pocketbert.serve.account import Account
from pocketbert.serve.answers import ErrorResponse, OpenAIError
from pocketbert.serve.problems import too_much
from pocketbert.serve.registry import Registry
from pocketbert.serve.served import ServedModel, Task
from pocketbert.serve.strict_json import ACCOUNT

REFUSALS = {
    401: "No key, or a wrong one",
    404: "There is no such model",
    408: "The body did not arrive in time",
    413: "More than a limit allows, or a text that is too long and may not be cut",
    415: "The body is not JSON",
    422: "The body cannot be understood",
    424: "No model here answers such requests, or the model failed at this one",
    429: "Overloaded: try again after the seconds of `Retry-After`",
    503: "No model is there at present",
}


def responses(answer: Any, error: type[ErrorResponse | OpenAIError] = ErrorResponse) -> dict[int | str, dict[str, Any]]:
    """Of a route, for the OpenAPI description.

    Args:
        answer: what it answers.
        error: what it refuses with.
    """
    refusals: dict[int | str, dict[str, Any]] = {
        status: {"model": error, "description": text} for status, text in REFUSALS.items()
    }
    return {200: {"model": answer}, **refusals}


class Asking:
    """A request on its way to its model.

    Args:
        request: that came.
    """

    def __init__(self, request: Request) -> None:
        self.registry: Registry = request.app.state.registry
        self.account: Account = request.scope[ACCOUNT]

    def choose(self, name: str | None, *tasks: Task) -> ServedModel:
        """The model that answers; see :meth:`~pocketbert.serve.registry.Registry.choose`."""
        model = self.registry.choose(name, tasks)
        self.account.model = model.name
        return model

    def check(self, texts: Sequence[str], items: int | None = None) -> None:
        """Refuse more than the limits allow.

        Args:
            texts: of the request.
            items: that are answered; as many as there are texts when None.

        Raises:
            Problem: which limit, and how much it is.
        """
        settings = self.registry.settings
        self.account.items = len(texts) if items is None else items
        self.account.characters = sum(map(len, texts))
        if self.account.items > settings.max_items:
            raise too_much(f"{self.account.items} inputs are more than the {settings.max_items} of one request")
        if max(map(len, texts)) > settings.max_characters:
            raise too_much(f"a text has more than {settings.max_characters} characters")

    def may_cut(self, truncate: bool | None) -> bool:
        """Whether texts that are too long are cut."""
        return self.registry.settings.auto_truncate if truncate is None else truncate

    def respond(self, answer: Any) -> Response:
        """The answer, with the headers of its account."""
        body = orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)
        return Response(body, media_type="application/json", headers=self.account.headers())


def as_list(texts: str | list[str]) -> list[str]:
    """One text as a list of one."""
    return [texts] if isinstance(texts, str) else texts


def alike(asked: Any, answers: list[Any]) -> Any:
    """Answers in the form of the question: one alone for one alone, a list for a list."""
    return answers if isinstance(asked, list) else answers[0]
