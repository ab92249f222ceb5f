"""A server that speaks the contract of the page and answers by `pocketbert.load`; it can be told to fail."""

import asyncio
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles

import pocketbert
from pocketbert.inference.pipeline import Pipeline
from pocketbert.inference.zero_shot import ZeroShotPipeline

PAGE = Path(pocketbert.__file__).parent / "serve" / "page"
TIMES = {"x-total-time": "4.5", "x-queue-time": "0", "x-tokenization-time": "0.75", "x-inference-time": "3.5"}


@dataclass(frozen=True)
class Model:
    """A model of the server: its directory, and texts to start from."""

    folder: Path
    examples: list[list[str]]
    zero_shot: bool = False


@dataclass
class FakeServer:
    """Serves models by name on a port of this machine.

    Attributes:
        models: by name.
        key: that requests have to bring, if any.
        refusals: by route the status, headers and words of a server that does not answer.
        asked: bodies of the requests, oldest first.
    """

    models: Mapping[str, Model]
    key: str | None = None
    refusals: dict[str, tuple[int, dict[str, str], str]] = field(default_factory=dict)
    asked: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.pipelines = {
            name: pocketbert.load(each.folder, engine="onnxruntime") for name, each in self.models.items()
        }
        self.zero_shot = {
            name: pocketbert.load(each.folder, "zero_shot", engine="onnxruntime")
            for name, each in self.models.items()
            if each.zero_shot
        }
        self.port = self.server = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def start(self) -> None:
        """Listen on the port of before, or on a free one."""
        listener = socket.create_server(("127.0.0.1", self.port or 0))
        self.port = listener.getsockname()[1]
        self.server = uvicorn.Server(uvicorn.Config(self.app(), log_level="error", timeout_graceful_shutdown=1))
        self.thread = threading.Thread(target=lambda: asyncio.run(self.server.serve(sockets=[listener])), daemon=True)
        self.thread.start()
        while not self.server.started:
            time.sleep(0.01)

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join()

    def app(self) -> FastAPI:
        app = FastAPI()
        app.get("/models", response_model=None)(self.list_models)
        for route in ROUTES:
            app.post(f"/{route}", response_model=None)(self.answer)
        for name, model in self.models.items():
            if (model.folder / "browser").is_dir():
                app.mount(f"/models/{name}/browser", StaticFiles(directory=model.folder / "browser", html=True))
        app.mount("/", StaticFiles(directory=PAGE, html=True))
        return app

    async def list_models(self, request: Request) -> Any:
        return self.refuse(request) or [self.describe(name) for name in self.models]

    async def answer(self, request: Request) -> Any:
        if refusal := self.refuse(request):
            return refusal
        body = await request.json()
        self.asked.append(body)
        pipelines = self.zero_shot if request.url.path == "/zero-shot" else self.pipelines
        results, reply = ROUTES[request.url.path[1:]](pipelines[body["model"]], body)
        cut = [str(number) for number, result in enumerate(results) if result.truncated]
        headers = TIMES | {"x-compute-tokens": str(sum(result.tokens for result in results))}
        return JSONResponse(reply, headers=headers | ({"x-truncated": ",".join(cut)} if cut else {}))

    def refuse(self, request: Request) -> JSONResponse | None:
        status, headers, words = self.refusals.get(request.url.path[1:], (0, {}, ""))
        if self.key and request.headers.get("authorization") != f"Bearer {self.key}":
            status, words = 401, "no such key"
        return JSONResponse({"error": words, "error_type": "x"}, status, headers) if status else None

    def describe(self, name: str) -> dict[str, Any]:
        pipeline, model = self.pipelines[name], self.models[name]
        said = pipeline.engine.description
        return {
            "name": name,
            "task": said.task,
            "labels": said.labels,
            "max_length": said.max_length,
            "engine": "onnxruntime",
            "file": pipeline.path,
            "precision": said.precision,
            "mask_token": getattr(pipeline, "mask_token", None),
            "zero_shot": model.zero_shot,
            "examples": model.examples,
            "browser": f"/models/{name}/browser/" if (model.folder / "browser").is_dir() else None,
        }


def _predict(pipeline: Pipeline, body: dict[str, Any]) -> tuple[list[Any], Any]:
    given = body["inputs"]
    many = isinstance(given, list)
    results = pipeline([tuple(pair) for pair in given] if many else [given], too_long="truncate")
    if pipeline.task == "regression":
        replies = [[{"label": pipeline.labels[0] if pipeline.labels else "score", "score": r.value}] for r in results]
    else:
        replies = [[{"label": each.label, "score": each.score} for each in r.scores] for r in results]
    return results, replies if many else replies[0]


def _tokens(pipeline: Pipeline, body: dict[str, Any]) -> tuple[list[Any], Any]:
    result = pipeline(body["inputs"])
    names = {"entity_group": "type", "score": "score", "word": "text", "start": "start", "end": "end"}
    return [result], [{key: getattr(each, name) for key, name in names.items()} for each in result.entities]


def _answer(pipeline: Pipeline, body: dict[str, Any]) -> tuple[list[Any], Any]:
    impossible, count = body["handle_impossible_answer"], body["top_k"]
    result = pipeline((body["question"], body["context"]), top_k=count, no_answer=impossible)
    found = [{"score": a.score, "start": a.start, "end": a.end, "answer": a.text} for a in result.answers]
    if impossible:
        found.append({"score": result.no_answer, "start": 0, "end": 0, "answer": ""})
    found = sorted(found, key=lambda each: -each["score"])[:count]
    return [result], found[0] if count == 1 else found


def _fill(pipeline: Pipeline, body: dict[str, Any]) -> tuple[list[Any], Any]:
    result = pipeline(body["inputs"], top_k=body["top_k"])
    gaps = [
        [{"score": g.score, "token": g.id, "token_str": g.token, "sequence": g.text} for g in guesses]
        for guesses in result.gaps
    ]
    return [result], gaps[0] if len(gaps) == 1 else gaps


def _zero_shot(pipeline: ZeroShotPipeline, body: dict[str, Any]) -> tuple[list[Any], Any]:
    asked = body["parameters"]
    result = pipeline(
        body["inputs"],
        labels=asked["candidate_labels"],
        hypothesis=asked["hypothesis_template"],
        multi_label=asked["multi_label"],
    )
    labels, scores = zip(*[(each.label, each.score) for each in result.scores], strict=True)
    return [result], {"sequence": body["inputs"], "labels": labels, "scores": scores}


def _embed(pipeline: Pipeline, body: dict[str, Any]) -> tuple[list[Any], Any]:
    results = pipeline(body["inputs"], too_long="truncate")
    return results, [result.vector.tolist() for result in results]


ROUTES = {
    "predict": _predict,
    "tokens": _tokens,
    "answer": _answer,
    "fill-mask": _fill,
    "zero-shot": _zero_shot,
    "embed": _embed,
}
"""By route the results of a pipeline, and the reply that says them."""
