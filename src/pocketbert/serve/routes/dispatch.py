"""``POST /``, where Hugging Face's clients ask: what a request is about shows in its fields and in its model."""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import TypeAdapter, ValidationError

from pocketbert.serve.routes.asking import Asking, responses
from pocketbert.serve.routes.tasks import answer, fill_mask, tokens, zero_shot
from pocketbert.serve.routes.texts import predict, rerank
from pocketbert.serve.routes.vectors import embed, similarity
from pocketbert.serve.schemas import (
    AnyAnswerRequest,
    AnyZeroShotRequest,
    EmbedRequest,
    FillMaskRequest,
    PredictRequest,
    RerankRequest,
    SimilarityRequest,
    TokensRequest,
)
from pocketbert.serve.strict_json import StrictRoute

router = APIRouter(route_class=StrictRoute)

Route = tuple[Any, Callable[[Any, Request], Awaitable[Response]]]
_PREDICT: Route = (PredictRequest, predict)
_BY_TASK: dict[str, Route] = {
    "classification": _PREDICT,
    "multi_label": _PREDICT,
    "regression": _PREDICT,
    "embedding": (EmbedRequest, embed),
    "token_classification": (TokensRequest, tokens),
    "question_answering": (AnyAnswerRequest, answer),
    "masked_lm": (FillMaskRequest, fill_mask),
}


@router.post("/", responses=responses(Any))
async def dispatch(body: dict[str, Any], request: Request) -> Response:
    """What the model answers: as `/predict`, `/embed`, `/rerank`, `/similarity`, `/tokens`, `/answer`, `/fill-mask` or
    `/zero-shot`, by its task and the fields of the request.
    """  # noqa: D205
    name = body.get("model")
    registry = Asking(request).registry
    model = registry.choose(name if isinstance(name, str) else None, registry.tasks)
    schema, handler = _by_fields(body) or _BY_TASK[model.description.task]
    try:
        parsed = TypeAdapter(schema).validate_python(body)
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from None
    return await handler(parsed, request)


def _by_fields(body: dict[str, Any]) -> Route | None:
    """The route that alone has such fields; None where the model has to tell."""
    inputs, parameters = body.get("inputs"), body.get("parameters")
    first = inputs[0] if isinstance(inputs, list) and inputs else inputs
    if "query" in body:
        return RerankRequest, rerank
    if isinstance(inputs, dict) and "source_sentence" in inputs:
        return SimilarityRequest, similarity
    if "question" in body or (isinstance(first, dict) and "question" in first):
        return AnyAnswerRequest, answer
    if "candidate_labels" in body or (isinstance(parameters, dict) and "candidate_labels" in parameters):
        return AnyZeroShotRequest, zero_shot
    return None
