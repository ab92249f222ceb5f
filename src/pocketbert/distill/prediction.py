"""Running models over encoded rows, for validation and evaluation."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from pocketbert.data.order import Position
from pocketbert.data.records import IGNORED
from pocketbert.distill.datasets import MaskedBlocks
from pocketbert.distill.places import find_places, pick
from pocketbert.engines.base import Engine
from pocketbert.engines.batching import batches_by_length
from pocketbert.models.describing import as_engine
from pocketbert.models.projection import Projection, accepted_inputs, model_inputs
from pocketbert.tasks.base import Encoded, Feature, Task, collate
from pocketbert.tasks.masked_lm import BlockAnswer, MaskedTokens

TOKENS_PER_BATCH = 4096


def predict(model: PreTrainedModel, task: Task, encoded: Encoded, pad_token_id: int) -> list[Any]:
    """One prediction an example, of a model that may be in training.

    Args:
        model: with the task's head.
        task: decodes the logits.
        encoded: rows of the task.
        pad_token_id: what fills short rows.
    """
    return task.decode(run_model(model, task.name, encoded.features, pad_token_id), encoded)


def run_model(
    model: PreTrainedModel, task: str, features: Sequence[Feature], pad_token_id: int
) -> list[NDArray[np.float32]]:
    """As :func:`run_engine`, for a torch model, which goes back to training where it came from there."""
    inputs = list(features[0]) if features else []
    with evaluating(model):
        return run_engine(as_engine(model, inputs, task), features, pad_token_id)


def run_engine(engine: Engine, features: Sequence[Feature], pad_token_id: int) -> list[NDArray[np.float32]]:
    """Logits of each feature, without padding: (labels,), (tokens, labels) or (tokens, 2).

    Rows are run sorted by length in batches of a fixed number of tokens, and come back in their own order.
    """
    inputs = select_inputs(features, engine)
    logits: list[NDArray[np.float32] | None] = [None] * len(inputs)
    for rows in batches_by_length([len(item["input_ids"]) for item in inputs], TOKENS_PER_BATCH):
        batch = collate([inputs[row] for row in rows], pad_token_id)
        for row, values in zip(rows, engine.run(batch), strict=True):
            length = len(inputs[row]["input_ids"])
            logits[row] = values[:length] if values.ndim > 1 else values
    return [values for values in logits if values is not None]


def select_inputs(features: Sequence[Feature], engine: Engine) -> list[Feature]:
    """Features with nothing but what an engine takes."""
    return [{key: value for key, value in feature.items() if key in engine.inputs} for feature in features]


def masked_lm_loss(model: PreTrainedModel, blocks: MaskedBlocks, batch_size: int) -> float:
    """Mean cross-entropy over the masked tokens of held-out blocks, in nats."""
    answers, targets = answer_blocks(model, blocks, batch_size)
    return MaskedTokens().score(answers, targets)["loss"]


@torch.inference_mode()
def answer_blocks(
    model: PreTrainedModel, blocks: MaskedBlocks, batch_size: int
) -> tuple[list[BlockAnswer], list[NDArray[np.int64]]]:
    """The model's answer to each held-out block, and the true ids; the masks are those of epoch 0."""
    projection, accepted = Projection(model), accepted_inputs(model)
    answers: list[BlockAnswer] = []
    targets: list[NDArray[np.int64]] = []
    with evaluating(model):
        for start in range(0, len(blocks), batch_size):
            rows = range(start, min(start + batch_size, len(blocks)))
            batch = blocks.collate([blocks[Position(0, row)] for row in rows])
            batch = {key: value.to(model.device) for key, value in batch.items()}
            masked = batch["labels"] != IGNORED
            places = find_places(masked)
            logits = projection.choose(model_inputs(batch, accepted), places).logits.decode().float()
            labels = pick(batch["labels"], places)
            loss = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
            sizes = masked.sum(dim=1).tolist()
            parts = (torch.split(values.cpu(), sizes) for values in (logits.argmax(dim=-1), loss, labels))
            for ids, losses, true in zip(*parts, strict=True):
                answers.append(BlockAnswer(ids.numpy(), losses.sum().item()))
                targets.append(true.numpy())
    return answers, targets


@contextmanager
def evaluating(model: PreTrainedModel) -> Iterator[None]:
    """Without dropout inside the block; a model in training goes back to it."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)
