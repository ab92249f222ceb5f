"""What a torch model answers, told from its configuration, and the engine that asks it."""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import PreTrainedModel

from pocketbert.engines.description import Description, Precision
from pocketbert.errors import ModelError
from pocketbert.models.answering import Answering, Pooling
from pocketbert.models.loading import max_positions
from pocketbert.models.torch_engine import TorchEngine
from pocketbert.tasks.embedding import Embedding
from pocketbert.tasks.masked_lm import NAME as MASKED_LM
from pocketbert.tasks.registry import TASKS

EMBEDDING = Embedding.name

HEADS = {name: task.head for name, task in TASKS.items()} | {MASKED_LM: "MaskedLM"}
"""By what is asked of a model, the suffix of its auto class, ``AutoModelFor<head>``; an embedding needs no head."""

_LABELLED = ("classification", "multi_label", "token_classification")
_PRECISIONS: dict[torch.dtype, Precision] = {
    torch.float32: "fp32",
    torch.bfloat16: "bf16",
    torch.float16: "fp16",
}


def own_task(config: Any, source: str) -> str:
    """What a model was saved to answer; an embedding where it has no head.

    Args:
        config: of the model.
        source: where it came from, for the message.

    Raises:
        ModelError: its head is of no task of the project, or not named.
    """
    name = (config.architectures or ["none"])[0]
    if name.endswith("Model"):
        return EMBEDDING
    tasks = [task for task, head in HEADS.items() if head and name.endswith(f"For{head}")]
    if not tasks:
        known = ", ".join(sorted({head for head in HEADS.values() if head}))
        raise ModelError(f"{source}: config.json names no known head (architectures: {name}); known are {known}")
    if len(tasks) == 1:
        return tasks[0]
    # Classification, multi-label and regression share a head.
    told = [task for task in tasks if TASKS[task].problem_type == config.problem_type]
    return told[0] if told else "regression" if config.num_labels == 1 else "classification"


def as_engine(model: PreTrainedModel, inputs: Sequence[str], task: str) -> TorchEngine:
    """A model as an engine, in evaluation mode from here on.

    Args:
        model: with the head of the task; without one for embeddings, which are the mean of the tokens.
        inputs: names of what its tokenizer gives.
        task: what is asked of it.
    """
    description = describe(model, task)
    return TorchEngine(Answering(model, list(inputs), description.pooling), description)


def describe(model: PreTrainedModel, task: str, pooling: Pooling = "mean") -> Description:
    """What a torch model is.

    Args:
        model: with the head of the task.
        task: what is asked of it.
        pooling: of an embedding.
    """
    config = model.config
    return Description(
        task=task,
        labels=[config.id2label[number] for number in range(config.num_labels)] if task in _LABELLED else None,
        max_length=max_positions(config),
        pad_token_id=config.pad_token_id or 0,
        precision=_PRECISIONS[model.dtype],
        pooling=pooling if task == EMBEDDING else None,
    )
