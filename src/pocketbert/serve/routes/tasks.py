"""Entities, answers, zero-shot labels and gaps, in the dictionaries of the pipelines of `transformers`."""

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request, Response

from pocketbert.errors import PocketBertError
from pocketbert.inference.results import Answered, Classified, Filled, Tagged
from pocketbert.serve.answers import Filling, FoundAnswer, FoundEntity, Prediction, Sorted
from pocketbert.serve.problems import not_valid, too_much
from pocketbert.serve.routes.asking import Asking, alike, as_list, responses
from pocketbert.serve.schemas import (
    AnswerParameters,
    AnswerRequest,
    AnyAnswerRequest,
    AnyZeroShotRequest,
    FillMaskRequest,
    Question,
    TokensRequest,
    ZeroShotRequest,
)
from pocketbert.serve.strict_json import StrictRoute

router = APIRouter(route_class=StrictRoute)

_MOST_FILLED = 5_000_000
"""Characters of an answer to gaps: some hundredths of a second of work."""


@router.post("/tokens", responses=responses(list[FoundEntity] | list[list[FoundEntity]]))
async def tokens(body: TokensRequest, request: Request) -> Response:
    """The entities of each text, with their characters; long texts are read in windows."""
    asking = Asking(request)
    model = asking.choose(body.model, "token_classification")
    texts = as_list(body.inputs)
    asking.check(texts)
    options = model.pipeline.options
    with model.used():
        found = await model.answer(model.pipeline, texts, options, asking.account)
    ignored = body.parameters.ignore_labels or [] if body.parameters else []
    answers = [_entities(each, ignored) for each in found]
    return asking.respond(alike(body.inputs, answers))


def _entities(tagged: Tagged, ignored: list[str]) -> list[dict[str, Any]]:
    return [
        {"entity_group": each.type, "score": each.score, "word": each.text, "start": each.start, "end": each.end}
        for each in tagged.entities
        if each.type not in ignored
    ]


@router.post("/answer", responses=responses(FoundAnswer | list[FoundAnswer] | list[list[FoundAnswer]]))
async def answer(body: AnyAnswerRequest, request: Request) -> Response:
    """The pieces of a context that answer a question; long contexts are read in windows."""
    asking = Asking(request)
    model = asking.choose(body.model, "question_answering")
    plain = not isinstance(body, AnswerRequest)
    given: Any = Question(question=body.question, context=body.context) if plain else body.inputs  # type: ignore[union-attr]
    questions = given if isinstance(given, list) else [given]
    asking.check([part for each in questions for part in (each.question, each.context)], len(questions))
    parameters = body if isinstance(body, AnswerParameters) else body.parameters or AnswerParameters()
    count, none = parameters.top_k or 1, bool(parameters.handle_impossible_answer)
    options = model.pipeline.options.changed(top_k=count, no_answer=none)
    inputs = [(each.question, each.context) for each in questions]
    with model.used():
        found = await model.answer(model.pipeline, inputs, options, asking.account)
    answers = [_answers(each, count, none) for each in found]
    return asking.respond(alike(given, [each[0] if count == 1 else each for each in answers]))


def _answers(answered: Answered, count: int, none: bool) -> list[dict[str, Any]]:
    """Up to ``count``, the likeliest first; one without text says that there is none."""
    nothing = {"score": answered.no_answer, "start": 0, "end": 0, "answer": ""}
    found: list[dict[str, Any]] = [
        {"score": each.score, "start": each.start, "end": each.end, "answer": each.text} for each in answered.answers
    ]
    if none:
        found = sorted([*found, nothing], key=lambda each: -each["score"])
    return found[:count] or [nothing]


@router.post("/zero-shot", responses=responses(Sorted | list[Sorted] | list[Prediction] | list[list[Prediction]]))
async def zero_shot(body: AnyZeroShotRequest, request: Request) -> Response:
    """Texts under labels of one's own, by a model that tells whether one text follows from another."""
    asking = Asking(request)
    model = asking.choose(body.model, "zero_shot")
    parameters = body.parameters if isinstance(body, ZeroShotRequest) else body
    texts, labels = as_list(body.inputs), parameters.candidate_labels
    asking.check([*texts, *labels], len(texts) * len(labels))
    pipeline = model.pipelines["zero_shot"]
    given: dict[str, Any] = {"labels": labels, "multi_label": bool(parameters.multi_label)}
    if parameters.hypothesis_template is not None:
        given["hypothesis"] = parameters.hypothesis_template
    try:
        options = pipeline.options.changed(**given)
    except PocketBertError as error:
        raise not_valid(str(error)) from None
    with model.used():
        found = await model.answer(pipeline, texts, options, asking.account, asking.may_cut(body.truncate))
    flat = isinstance(body, ZeroShotRequest)
    return asking.respond(alike(body.inputs, [_labels(*each, flat) for each in zip(texts, found, strict=True)]))


def _labels(text: str, classified: Classified, flat: bool) -> Any:
    """As a list of labels with scores, or as a list of each beside the text."""
    scores = classified.scores
    if flat:
        return [{"label": each.label, "score": each.score} for each in scores]
    return {"sequence": text, "labels": [each.label for each in scores], "scores": [each.score for each in scores]}


@router.post("/fill-mask", responses=responses(list[Filling] | list[list[Filling]] | list[list[list[Filling]]]))
async def fill_mask(body: FillMaskRequest, request: Request) -> Response:
    """What may stand in the gaps of texts; of a text with several gaps a list for each."""
    asking = Asking(request)
    model = asking.choose(body.model, "masked_lm")
    texts = as_list(body.inputs)
    asking.check(texts)
    wanted = body.top_k or (body.parameters and body.parameters.top_k)
    pipeline: Any = model.pipeline
    options = pipeline.options.changed(**({"top_k": wanted} if wanted else {}))
    _check_size(texts, pipeline.mask_token, options.top_k)
    with model.used():
        found = await model.answer(pipeline, texts, options, asking.account)
    return asking.respond(alike(body.inputs, [_fillings(each) for each in found]))


def _check_size(texts: Sequence[str], mask: str, guesses: int) -> None:
    """Refuse what would be answered with too much: each guess comes with the whole text.

    Raises:
        Problem: how much it would be.
    """
    size = sum(text.count(mask) * guesses * len(text) for text in texts)
    if size > _MOST_FILLED:
        raise too_much(
            f"{size} characters would be answered, {_MOST_FILLED} at most: each guess for each gap comes with its "
            "whole text; send a shorter text, fewer gaps, or a lower top_k"
        )


def _fillings(filled: Filled) -> list[Any]:
    gaps = [
        [{"score": each.score, "token": each.id, "token_str": each.token, "sequence": each.text} for each in guesses]
        for guesses in filled.gaps
    ]
    return gaps[0] if len(gaps) == 1 else gaps
