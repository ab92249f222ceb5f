"""Vectors of texts and how alike they are, as text-embeddings-inference and OpenAI serve them."""

import base64
from typing import Any

import numpy as np
from fastapi import APIRouter, Request, Response
from numpy.typing import NDArray

from pocketbert.serve.answers import OpenAIError, OpenAIResponse
from pocketbert.serve.routes.asking import Asking, as_list, responses
from pocketbert.serve.schemas import Cut, EmbedRequest, OpenAIRequest, SimilarityRequest
from pocketbert.serve.served import ServedModel
from pocketbert.serve.strict_json import StrictRoute

router = APIRouter(route_class=StrictRoute)


async def _vectors(
    asking: Asking, model: ServedModel, texts: list[str], normalise: bool, truncate: bool | None
) -> NDArray[np.float32]:
    """Of each text (texts, width)."""
    asking.check(texts)
    options = model.pipeline.options.changed(too_long="truncate", normalise=normalise)
    with model.used():
        found = await model.answer(model.pipeline, texts, options, asking.account, asking.may_cut(truncate))
    return np.stack([answer.vector for answer in found])


@router.post("/embed", responses=responses(list[list[float]]))
async def embed(body: EmbedRequest, request: Request) -> Response:
    """A vector for each text."""
    asking = Asking(request)
    model = asking.choose(body.model, "embedding")
    return asking.respond(await _vectors(asking, model, as_list(body.inputs), body.normalize, body.truncate))


@router.post("/similarity", responses=responses(list[float]))
async def similarity(body: SimilarityRequest, request: Request) -> Response:
    """The cosine of a text with each of some others."""
    asking = Asking(request)
    model = asking.choose(body.model, "embedding")
    texts = [body.inputs.source_sentence, *body.inputs.sentences]
    vectors = await _vectors(asking, model, texts, True, (body.parameters or Cut()).truncate)
    return asking.respond(vectors[1:] @ vectors[0])


@router.post("/v1/embeddings", responses=responses(OpenAIResponse, OpenAIError))
async def openai_embeddings(body: OpenAIRequest, request: Request) -> Response:
    """A vector for each text, as OpenAI's clients expect them; ``input`` is texts, not tokens."""
    asking = Asking(request)
    model = asking.choose(body.model, "embedding")
    vectors = await _vectors(asking, model, as_list(body.input), True, None)
    given: Any = vectors if body.encoding_format == "float" else [_base64(vector) for vector in vectors]
    data = [{"object": "embedding", "index": number, "embedding": each} for number, each in enumerate(given)]
    usage = {"prompt_tokens": asking.account.tokens, "total_tokens": asking.account.tokens}
    return asking.respond({"object": "list", "data": data, "model": model.name, "usage": usage})


def _base64(vector: NDArray[np.float32]) -> str:
    return base64.b64encode(vector.astype("<f4").tobytes()).decode("ascii")
