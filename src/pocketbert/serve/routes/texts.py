"""Labels, numbers and ranks of texts and pairs, as text-embeddings-inference serves them."""

from typing import Any

import numpy as np
from fastapi import APIRouter, Request, Response
from numpy.typing import NDArray

from pocketbert.inference.texts import pool_windows, rank, sigmoid, softmax
from pocketbert.serve.answers import Prediction, Rank
from pocketbert.serve.routes.asking import Asking, responses
from pocketbert.serve.schemas import PredictParameters, PredictRequest, RerankRequest
from pocketbert.serve.served import ServedModel
from pocketbert.serve.strict_json import StrictRoute

router = APIRouter(route_class=StrictRoute)

_USUAL = {"classification": "softmax", "multi_label": "sigmoid", "regression": "none"}


async def _rows(asking: Asking, model: ServedModel, texts: list[Any], truncate: bool | None) -> NDArray[np.float32]:
    """Logits (texts, labels)."""
    options = model.pipeline.options.changed(too_long="truncate")
    reads, logits = await model.compute(model.pipeline, texts, options, asking.account, asking.may_cut(truncate))
    return pool_windows(reads, logits)


def _as_text(given: str | list[str]) -> str | tuple[str, ...]:
    return given if isinstance(given, str) else given[0] if len(given) == 1 else tuple(given)


def _activate(rows: NDArray[np.float32], function: str) -> NDArray[np.float32]:
    return {"softmax": softmax, "sigmoid": sigmoid}.get(function, lambda same: same)(rows)


@router.post("/predict", responses=responses(list[Prediction] | list[list[Prediction]]))
async def predict(body: PredictRequest, request: Request) -> Response:
    """Labels with scores, the likeliest first; of a regression its number."""
    asking = Asking(request)
    model = asking.choose(body.model, "classification", "multi_label", "regression")
    batch = isinstance(body.inputs, list) and isinstance(body.inputs[0], list)
    given: list[Any] = body.inputs if batch else [body.inputs]  # type: ignore[assignment]
    texts = [_as_text(each) for each in given]
    asking.check([part for each in texts for part in ([each] if isinstance(each, str) else each)], len(texts))
    with model.used():
        rows = await _rows(asking, model, texts, body.truncate)
    parameters = body.parameters or PredictParameters()
    function = "none" if body.raw_scores else parameters.function_to_apply or _USUAL[model.description.task]
    labels = model.description.labels or [f"LABEL_{number}" for number in range(rows.shape[1])]
    ranked = [rank(labels, row, parameters.top_k) for row in _activate(rows, function)]
    answers = [[{"score": each.score, "label": each.label} for each in scores] for scores in ranked]
    # Hugging Face's clients, which send parameters, expect a list of lists for one text too.
    return asking.respond(answers if batch or body.parameters is not None else answers[0])


@router.post("/rerank", responses=responses(list[Rank]))
async def rerank(body: RerankRequest, request: Request) -> Response:
    """Texts by how well they fit a query, the best first; needs a model that gives pairs a number."""
    asking = Asking(request)
    model = asking.choose(body.model, "regression")
    asking.check([body.query, *body.texts], len(body.texts))
    with model.used():
        rows = await _rows(asking, model, [(body.query, text) for text in body.texts], body.truncate)
    scores = _activate(rows[:, 0], "none" if body.raw_scores else "sigmoid")
    order = np.argsort(-scores, kind="stable").tolist()
    texts = ({"text": body.texts[index]} if body.return_text else {} for index in order)
    ranks = [{"index": index, **text, "score": float(scores[index])} for index, text in zip(order, texts, strict=True)]
    return asking.respond(ranks)
