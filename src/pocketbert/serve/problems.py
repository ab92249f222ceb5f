"""What a request is refused with: a status, a kind as text-embeddings-inference names it, and a message."""

from collections.abc import Mapping
from typing import Literal

import orjson

from pocketbert.errors import PocketBertError

Kind = Literal["Unhealthy", "Backend", "Overloaded", "Validation", "Tokenizer", "Unauthorized", "NotFound"]

OPENAI = "/v1/"
"""Below this, errors look as OpenAI's do."""


class Problem(PocketBertError):  # noqa: N818 - mostly the client's
    """A request that is not answered.

    Args:
        status: of HTTP.
        kind: of the problem.
        message: for the person who asked; says nothing of anybody's texts.
        headers: that belong to it.
    """

    def __init__(self, status: int, kind: Kind, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.kind, self.headers = status, kind, dict(headers or {})

    def body(self, path: str) -> bytes:
        """As JSON, in the manner of the routes below ``path``."""
        message = str(self)
        if path.startswith(OPENAI):
            kind = "invalid_request_error" if self.status in (400, 404, 413, 415, 422) else self.kind.lower()
            return orjson.dumps({"error": {"message": message, "type": kind, "param": None, "code": self.status}})
        return orjson.dumps({"error": message, "error_type": self.kind})


def overloaded(message: str, seconds: float) -> Problem:
    """Refuse for now.

    Args:
        message: why.
        seconds: after which it is worth another try; at least 1 is said.
    """
    return Problem(429, "Overloaded", message, {"retry-after": str(max(1, int(-(-seconds // 1))))})


def too_much(message: str) -> Problem:
    """Refuse what is more than a limit allows."""
    return Problem(413, "Validation", message)


def not_valid(message: str) -> Problem:
    """Refuse what cannot be understood."""
    return Problem(422, "Validation", message)


def failed(message: str) -> Problem:
    """The model could not answer."""
    return Problem(424, "Backend", message)


def unhealthy(message: str) -> Problem:
    """There is nobody to answer."""
    return Problem(503, "Unhealthy", message, {"retry-after": "1"})
