"""Pipelines of tiny exported models, and torch's own answers to hold them against."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers

import pocketbert
from exported import HEADS, exported


@pytest.fixture(scope="session")
def pipeline() -> Callable[..., Any]:
    """The pipeline of a task in fp32, opened once."""
    opened: dict[Any, Any] = {}

    def open_(task: str, family: str = "bert", streams: int = 1) -> Any:
        key = task, family, streams
        if key not in opened:
            opened[key] = pocketbert.load(exported(task, family), precision="fp32", threads=2, streams=streams)
        return opened[key]

    return open_


@pytest.fixture(scope="session")
def torch_logits() -> Callable[..., Any]:
    """What the model itself answers to one text, or to a text and its pair, by transformers alone."""

    def answer(task: str, text: Any, pair: str | None = None, family: str = "bert", **options: Any) -> Any:
        folder = exported(task, family)
        head = HEADS[task][0]
        kind = getattr(transformers, f"AutoModelFor{head}" if head else "AutoModel")
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        inputs = tokenizer(text, pair, return_tensors="pt", **options)
        with torch.inference_mode():
            return kind.from_pretrained(folder).eval()(**inputs), inputs

    return answer
