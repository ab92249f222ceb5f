"""Tiny models of every task head, exported once for all tests that only read them."""

import json
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import torch
import transformers
from rich.console import Console

import tiny
from pocketbert.export.exporting import export
from pocketbert.recipe import ExportStage, Limits

HEADS = {
    "classification": ("SequenceClassification", {"problem_type": "single_label_classification"}),
    "multi_label": (
        "SequenceClassification",
        {"problem_type": "multi_label_classification", "num_labels": 3, "id2label": {0: "a", 1: "b", 2: "c"}},
    ),
    "regression": ("SequenceClassification", {"problem_type": "regression", "num_labels": 1, "id2label": {0: "score"}}),
    "token_classification": ("TokenClassification", {}),
    "question_answering": ("QuestionAnswering", {}),
    "masked_lm": ("MaskedLM", {}),
    "embedding": ("", {}),
}
"""By task: the head, and what its configuration says."""

QUIET = Console(quiet=True)


def make_model(folder: Path, task: str, family: str = "bert", **fields: object) -> Path:
    """A model directory with the head of a task and weights large enough to have opinions."""
    head, known = HEADS[task]
    tokenizer = tiny.make_tokenizer(family)
    if head:
        model = tiny.make_model(family, head, tokenizer, layers=1, **{**known, **fields})
    else:
        torch.manual_seed(0)
        model = transformers.AutoModel.from_config(tiny.make_config(family, tokenizer, layers=1))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@cache
def exported(task: str, family: str = "bert") -> Path:
    """The directory of an exported model: ONNX and OpenVINO, in every precision but int8. Not to be changed."""
    folder = Path(mkdtemp(prefix=f"exported-{task}-{family}-"))
    options = ExportStage(
        precisions=["fp32", "fp16", "bf16"],
        pooling="mean" if task == "embedding" else None,
        limits=Limits(label_flips=0.1),  # random weights leave many answers on the edge
    )
    export(options, str(make_model(folder / "model", task, family)), folder / "exported", console=QUIET)
    return folder / "exported"


def manifest_of(folder: Path) -> dict[str, object]:
    """The manifest as it stands in its file."""
    loaded: dict[str, object] = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    return loaded
