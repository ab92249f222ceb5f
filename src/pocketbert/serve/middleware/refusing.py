"""How a request is refused before it reaches a route."""

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from pocketbert.serve.problems import Problem


def respond(problem: Problem, path: str) -> Response:
    """The answer that tells of a problem."""
    return Response(problem.body(path), problem.status, problem.headers, media_type="application/json")


async def refuse(problem: Problem, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with a problem."""
    await respond(problem, scope["path"])(scope, receive, send)
