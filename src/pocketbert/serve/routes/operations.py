"""What is known of the server and its models, and whether they are well."""

from importlib.metadata import version
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query, Request, Response
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from tokenizers import Encoding

from pocketbert.inference.masks import MaskPipeline
from pocketbert.serve.answers import ErrorResponse, Info, ModelCard, OpenAIModels, SimpleToken
from pocketbert.serve.problems import unhealthy
from pocketbert.serve.registry import Registry
from pocketbert.serve.routes.asking import REFUSALS, Asking, as_list, responses
from pocketbert.serve.schemas import TokenizeRequest
from pocketbert.serve.served import BROWSER, ServedModel
from pocketbert.serve.strict_json import StrictRoute

router = APIRouter(route_class=StrictRoute)

LIVE, READY, HEALTH, METRICS = "/live", "/ready", "/health", "/metrics"
_UNWELL: dict[int | str, dict[str, Any]] = {503: {"model": ErrorResponse, "description": REFUSALS[503]}}
_CLASSIFIERS = ("classification", "multi_label", "token_classification")


def _registry(request: Request) -> Registry:
    found: Registry = request.app.state.registry
    return found


def _json(answer: Any) -> Response:
    return Response(orjson.dumps(answer), media_type="application/json")


@router.get(LIVE, responses={200: {"model": dict[str, str]}})
async def live() -> Response:
    """Whether the server answers at all: when not, start it anew."""
    return _json({"status": "live"})


@router.get(READY, responses={200: {"model": dict[str, str]}, **_UNWELL})
async def ready(request: Request) -> Response:
    """Whether requests should come here: every model has a worker, and the server is not about to end."""
    if not _registry(request).ready:
        raise unhealthy("not ready")
    return _json({"status": "ready"})


@router.get(HEALTH, responses={200: {"model": dict[str, str]}, **_UNWELL})
async def health(request: Request) -> Response:
    """Whether every model answers, tried where the last batch failed."""
    if not all([await model.healthy() for model in _registry(request).models]):
        raise unhealthy("unhealthy")
    return _json({"status": "healthy"})


@router.get(METRICS, responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}})
async def metrics(request: Request) -> Response:
    """Counts and times, for Prometheus."""
    return Response(_registry(request).metrics.render(), headers={"content-type": CONTENT_TYPE_LATEST})


@router.get("/info", responses={200: {"model": Info}, 404: {"model": ErrorResponse}})
async def info(request: Request, model: Annotated[str | None, Query()] = None) -> Response:
    """About the first model, or the one that is named."""
    registry = _registry(request)
    found, settings = registry.choose(model, registry.tasks), registry.settings
    return _json(
        {
            "model_id": found.name,
            "model_sha": found.description.weights or None,
            "model_dtype": found.description.precision,
            "model_type": _model_type(found),
            "max_concurrent_requests": settings.max_requests,
            "max_input_length": found.description.max_length,
            "max_batch_tokens": settings.batch_tokens,
            "max_batch_requests": None,
            "max_client_batch_size": settings.max_items,
            "auto_truncate": settings.auto_truncate,
            "tokenization_workers": registry.tokenising_threads,
            "version": version("pocketbert"),
            "sha": None,
            "docker_label": None,
        }
    )


def _model_type(model: ServedModel) -> dict[str, dict[str, Any]]:
    """As text-embeddings-inference tells it; what that does not serve has the name of its task."""
    task, labels = model.description.task, model.description.labels or []
    ids: dict[str, Any] = {"id2label": {str(number): label for number, label in enumerate(labels)}}
    ids["label2id"] = {label: number for number, label in enumerate(labels)}
    if task == "embedding":
        return {"embedding": {"pooling": model.description.pooling}}
    if task == "regression":
        return {"reranker": ids}
    return {"classifier" if task in _CLASSIFIERS else task: ids if task in _CLASSIFIERS else {}}


@router.get("/models", responses={200: {"model": list[ModelCard]}})
async def models(request: Request) -> Response:
    """All models, for a page to choose from."""
    registry = _registry(request)
    return _json([_card(model, not registry.settings.keys) for model in registry.models])


def _card(model: ServedModel, browser_open: bool) -> dict[str, Any]:
    pipeline, said = model.pipeline, model.description
    browser = browser_open and (model.folder / BROWSER / "index.html").is_file()
    return {
        "name": model.name,
        "task": said.task,
        "labels": said.labels or [],
        "max_length": said.max_length,
        "engine": model.said.engine,
        "file": model.said.path,
        "precision": said.precision,
        "mask_token": pipeline.mask_token if isinstance(pipeline, MaskPipeline) else None,
        "zero_shot": "zero_shot" in model.pipelines,
        "examples": model.examples,
        "browser": f"/models/{model.name}/browser/" if browser else None,
    }


@router.get("/v1/models", responses={200: {"model": OpenAIModels}})
async def openai_models(request: Request) -> Response:
    """All models, as OpenAI's clients expect them."""
    names = [model.name for model in _registry(request).models]
    data = [{"id": name, "object": "model", "created": 0, "owned_by": "pocketbert"} for name in names]
    return _json({"object": "list", "data": data})


@router.post("/tokenize", responses=responses(list[list[SimpleToken]]))
async def tokenize(body: TokenizeRequest, request: Request) -> Response:
    """The tokens of texts, as the model reads them."""
    asking = Asking(request)
    model = asking.choose(body.model, *asking.registry.tasks)
    texts = as_list(body.inputs)
    asking.check(texts)
    found = await model.tokenise(texts, body.add_special_tokens)
    asking.account.tokens = sum(map(len, found))
    return asking.respond([_tokens(each, text) for each, text in zip(found, texts, strict=True)])


def _tokens(encoding: Encoding, text: str) -> list[dict[str, Any]]:
    parts = zip(encoding.ids, encoding.tokens, encoding.special_tokens_mask, encoding.offsets, strict=True)
    return [
        {"id": number, "text": token, "special": True, "start": None, "stop": None}
        if special
        else {"id": number, "text": text[start:stop], "special": False, "start": start, "stop": stop}
        for number, token, special, (start, stop) in parts
    ]
