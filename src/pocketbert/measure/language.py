"""Masked language models on held-out text: one alone, or teacher against student."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from pocketbert.data.order import Position
from pocketbert.data.sources import fingerprint
from pocketbert.distill.datasets import MaskedBlocks
from pocketbert.distill.prediction import answer_blocks
from pocketbert.distill.texts import count_blocks, open_corpus, prepare_texts
from pocketbert.engines.exported import is_exported
from pocketbert.errors import ModelError
from pocketbert.files import hash_text
from pocketbert.manifest import hash_options, hash_weights
from pocketbert.measure.results import Comparison, Evaluation, Interval, Role
from pocketbert.measure.scores import compare_predictions, draw_scores
from pocketbert.measure.size import measure_size
from pocketbert.measure.speed import Runnable, measure_speed
from pocketbert.models.describing import as_engine
from pocketbert.models.loading import LoadedModel, check_length, load_for_use
from pocketbert.recipe import Data, DistillStage, Masking
from pocketbert.tasks.masked_lm import NAME, MaskedTokens

BATCH = 32
SPEED_SECONDS = 20.0
SPEED_BLOCKS = 64


def evaluate_masked_lm(model: str, data: Data, console: Console, resamples: int = 1000, seed: int = 0) -> Evaluation:
    """Score a masked language model on held-out text.

    Args:
        model: a model directory or hub name with a masked-LM head.
        data: names the text as ``test`` (or ``validation``); ``max_length`` is the length of a block.
        console: for progress.
        resamples: of the bootstrap over blocks.
        seed: of masks and bootstrap.

    Raises:
        PocketBertError: the model has no such head, or the text fills no block.
    """
    if is_exported(model):
        raise ModelError(f"{model}: hidden tokens are looked for by torch alone; name the model directory")
    loaded = load_for_use(model, "MaskedLM")
    check_length(loaded.model, data.max_length, model)
    sources = data.test or data.validation or []
    with tempfile.TemporaryDirectory() as folder:
        corpus = open_corpus(sources, loaded.tokenizer, Path(folder), console, data.text, "test")
        count_blocks(corpus, data.max_length, sources)
        blocks = MaskedBlocks(corpus, loaded.tokenizer, Masking(), data.max_length, seed)
        answers, targets = answer_blocks(loaded.model, blocks, BATCH)
    scoring = MaskedTokens()
    scores = scoring.score(answers, targets)
    draws = draw_scores({"student": scoring.scorer(answers, targets)}, len(targets), resamples, seed)
    low, high = np.quantile(draws["student"], [0.025, 0.975])
    return Evaluation(
        model=model,
        task=NAME,
        examples=len(targets),
        metrics=scores,
        majority=scoring.score(scoring.majority(targets), targets),
        deciding=scoring.deciding,
        score=scores["accuracy"],
        interval=Interval(low=float(low), high=float(high)),
        truncated=0,
        notes=[f"{sum(map(len, targets)):,} hidden tokens in {len(targets):,} blocks of {data.max_length}"],
    )


def text_comparison_key(models: Mapping[Role, str], options: DistillStage) -> str:
    """Hash of all that a comparison on text depends on, the threads that torch has been set to among it."""
    sources = options.held_out or options.corpus or []
    weights = map(hash_weights, models.values())
    return hash_text(hash_options(options), fingerprint(sources), *weights, str(torch.get_num_threads()))


def compare_masked_lm(
    models: Mapping[Role, str], options: DistillStage, corpora: Path, console: Console, name: str
) -> Comparison:
    """Compare a general student with its teacher on the held-out blocks of the stage that made it.

    Args:
        models: directories of ``teacher`` and ``student``.
        options: of the stage: which text, how masked.
        corpora: folder with the tokenised corpora.
        console: for progress.
        name: of the comparison, for people.
    """
    loaded = {role: load_for_use(model, "MaskedLM") for role, model in models.items()}
    texts = prepare_texts(options, loaded["teacher"].tokenizer, corpora, console)
    answers: dict[Role, list[Any]] = {}
    targets: list[Any] = []
    for role, model in loaded.items():
        answers[role], targets = answer_blocks(model.model, texts.validation, BATCH)
    scoring = MaskedTokens()
    quality = compare_predictions(
        scoring, targets, answers["teacher"], answers["student"], None, scoring.majority(targets), name=name
    )
    return Comparison(
        key=text_comparison_key(models, options),
        quality=quality,
        sizes={role: measure_size(model) for role, model in models.items()},
        speed=measure_speed(
            {role: _runnable(model, texts.validation) for role, model in loaded.items()}, seconds=SPEED_SECONDS
        ),
        notes=[],
    )


def _runnable(loaded: LoadedModel, blocks: MaskedBlocks) -> Runnable:
    rows = range(min(SPEED_BLOCKS, len(blocks)))
    ids = [blocks[Position(0, row)]["input_ids"].tolist() for row in rows]
    features = [{"input_ids": row, "attention_mask": [1] * len(row)} for row in ids]
    engine = as_engine(loaded.model, list(features[0]), NAME)
    return Runnable(engine, features, loaded.tokenizer.pad_token_id, str(loaded.model.device))
