"""The app: routes, errors and the page, inside the layers that every request passes."""

from collections.abc import Awaitable, Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from pocketbert.serve.middleware.accounts import REQUEST_ID, Accounts
from pocketbert.serve.middleware.bodies import Bodies
from pocketbert.serve.middleware.keys import Keys
from pocketbert.serve.middleware.refusing import respond
from pocketbert.serve.problems import Kind, Problem, not_valid
from pocketbert.serve.registry import Registry
from pocketbert.serve.routes import dispatch, operations, tasks, texts, vectors
from pocketbert.serve.served import BROWSER
from pocketbert.serve.telemetry import trace

PAGE, PAGE_PATH = Path(__file__).parent / "page", "/"
ANSWER_HEADERS = (
    REQUEST_ID,
    "retry-after",
    "x-truncated",
    "x-total-time",
    "x-queue-time",
    "x-inference-time",
    "x-tokenization-time",
    "x-compute-tokens",
)
"""That a page of another origin may read."""
_OPEN = (operations.LIVE, operations.READY, operations.HEALTH)
_MOST_MISTAKES = 3


class Files(StaticFiles):
    """Files of a directory, which may come later, as a browser export does."""

    async def check_config(self) -> None:
        """Without a directory there are no files; starlette would raise."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """A file; starlette would answer methods other than GET with 405 where there is none."""
        if scope["method"] not in ("GET", "HEAD"):
            await super().get_response(path, {**scope, "method": "HEAD"})
        return await super().get_response(path, scope)


def make_app(registry: Registry) -> ASGIApp:
    """The app of a server, with all layers.

    Args:
        registry: its models, open.
    """
    settings, inner = registry.settings, _routes(registry)
    if settings.telemetry:
        trace(inner)
    app: ASGIApp = Bodies(inner, settings)
    if settings.keys:
        app = Keys(app, settings.keys, _locked(inner, settings.metrics_open))
    if settings.cors_origin:
        app = CORSMiddleware(
            app,
            allow_origins=settings.cors_origin,
            allow_methods=["GET", "POST"],
            allow_headers=["*"],
            expose_headers=ANSWER_HEADERS,
        )
    return Accounts(_answer_head(app, inner), registry)


def _answer_head(app: ASGIApp, routes: FastAPI) -> ASGIApp:
    """HEAD as GET wherever a route answers that, with the same keys; the protocol leaves out the body.

    Routes of FastAPI would not do so, and those of files do it themselves, without reading the file.
    """
    paths = {PAGE_PATH, *(path for path, methods in routes.openapi()["paths"].items() if "get" in methods)}

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "HEAD" and scope["path"] in paths:
            scope = {**scope, "method": "GET"}
        await app(scope, receive, send)

    return answer


def _routes(registry: Registry) -> FastAPI:
    app = FastAPI(
        title="PocketBERT",
        version=version("pocketbert"),
        description="Students behind HTTP.",
        docs_url=None,  # such pages fetch what they show from other hosts
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.registry = registry
    for family in (texts, vectors, tasks, operations, dispatch):
        app.include_router(family.router)
    app.add_exception_handler(Problem, _tell(lambda error: error))
    app.add_exception_handler(RequestValidationError, _tell(_mistakes))
    app.add_exception_handler(HTTPException, _tell(_of_status))
    app.add_exception_handler(Exception, _tell(lambda _: Problem(500, "Backend", "unexpected error")))
    _add_pages(app, registry)
    return app


def _add_pages(app: FastAPI, registry: Registry) -> None:
    """The page, and the browser exports of the models where no keys are asked for: a browser could not bring one."""

    @app.get(PAGE_PATH, include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(PAGE / "index.html")

    if not registry.settings.keys:
        for name, folder in registry.folders.items():
            files = Files(directory=folder / BROWSER, html=True, check_dir=False)
            app.mount(f"/models/{name}/browser", files)
    app.router.default = Files(directory=PAGE)


def _locked(app: FastAPI, metrics_open: bool) -> set[tuple[str, str]]:
    """Methods and paths that need a key: all but those by which the server's health is told, and the page."""
    opened = {*_OPEN, *([operations.METRICS] if metrics_open else [])}
    described = app.openapi()["paths"].items()
    locked = {(method.upper(), path) for path, methods in described for method in methods if path not in opened}
    return {*locked, ("GET", "/openapi.json"), ("HEAD", "/openapi.json")}


def _tell(understand: Callable[[Any], Problem]) -> Callable[[Request, Exception], Awaitable[Response]]:
    """A handler of errors that a route raised."""

    async def handle(request: Request, error: Exception) -> Response:  # a plain function would go through a thread
        return respond(understand(error), request.url.path)

    return handle


def _mistakes(error: RequestValidationError) -> Problem:
    """What is wrong with which fields; without their values."""
    told = []
    for each in error.errors()[:_MOST_MISTAKES]:
        where = ".".join(str(part) for part in each["loc"] if part != "body")
        told.append(f"{where}: {each['msg']}" if where else str(each["msg"]))
    return not_valid("; ".join(told))


def _of_status(error: HTTPException) -> Problem:
    kinds: dict[int, Kind] = {404: "NotFound"}
    return Problem(error.status_code, kinds.get(error.status_code, "Validation"), str(error.detail), error.headers)
