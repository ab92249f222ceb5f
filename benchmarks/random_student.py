"""A student of DistilBERT's size, random weights, exported in int8: it runs as fast as any, for benchmarks of speed."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import (
    BertConfig,
    BertModel,
    BertTokenizer,
    DistilBertConfig,
    DistilBertModel,
    DistilBertTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from common import PUBLIC_DATA
from pocketbert import pipeline
from pocketbert.engines.base import Inputs
from pocketbert.engines.description import Description
from pocketbert.errors import PocketBertError
from pocketbert.export.formats import ONNX, OPENVINO
from pocketbert.export.onnx import write_onnx
from pocketbert.models.answering import Answering
from pocketbert.recipe import ExportStage, Limits
from pocketbert.shrink.int8_onnx import write_int8_onnx
from pocketbert.shrink.int8_openvino import write_int8_openvino

INPUTS = ["input_ids", "attention_mask"]
MAX_LENGTH = 512
CALIBRATION = 64
"""Texts that the ranges of int8 are measured on."""
VOCABULARY = PUBLIC_DATA / "vocab" / "bert-base-uncased-vocab.txt"


def disturb(model: torch.nn.Module) -> None:
    """Give biases and layer normalisations values of their own: those of a fresh model are 0 and 1, and left out."""
    with torch.no_grad():
        for weights in model.parameters():
            if weights.ndim == 1:
                weights.add_(0.1 * torch.randn_like(weights))


def make_bert_base(folder: Path, short: bool) -> Path:
    """What most people run: BERT-base, as a model directory."""
    sizes = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2} if short else {}
    tokenizer = _tokenizer(BertTokenizer)
    _save(BertModel(BertConfig(vocab_size=len(tokenizer), **sizes)), tokenizer, folder)
    return folder


def make_student(folder: Path, texts: Sequence[str], short: bool) -> Path:
    """The student, an embedding of texts by the mean of their tokens, in fp32 and int8 for both engines.

    Args:
        folder: to make: the bare model in ``model``, the exported one in ``pocket``; what was made is used again.
        texts: that the ranges of int8 are measured on.
        short: whether it is a tiny one, to try things out.

    Returns:
        The exported directory.
    """
    if (folder / "pocket" / "manifest.json").is_file():
        return folder / "pocket"
    sizes = {"n_layers": 2, "dim": 64, "n_heads": 2, "hidden_dim": 256} if short else {}
    tokenizer = _tokenizer(DistilBertTokenizer)
    model = DistilBertModel(DistilBertConfig(vocab_size=len(tokenizer), **sizes))
    _save(model, tokenizer, folder / "model")
    description = Description(task="embedding", max_length=MAX_LENGTH, pooling="mean")
    graph = folder / "graph.onnx"
    write_onnx(Answering(model, INPUTS, "mean"), description, graph)
    for path in (ONNX["int8"], OPENVINO["int8"]):
        (folder / "model" / path).parent.mkdir(exist_ok=True)
    batches = _calibration(folder / "model", texts)
    int8 = description.model_copy(update={"precision": "int8"})
    write_int8_onnx(graph, int8, batches, folder / "model" / ONNX["int8"])
    write_int8_openvino(graph, int8, batches, folder / "model" / OPENVINO["int8"])
    graph.unlink()
    # Random weights lose more to int8 than trained ones; here speed is measured and nothing else.
    options = ExportStage(
        formats=["onnx", "openvino"], precisions=["fp32", "int8"], pooling="mean", limits=Limits(int8=1.0)
    )
    pipeline.export(options, str(folder / "model"), folder / "pocket")
    return folder / "pocket"


def _tokenizer(kind: type[PreTrainedTokenizerBase]) -> PreTrainedTokenizerBase:
    if not VOCABULARY.is_file():
        raise PocketBertError(f"{VOCABULARY}: not there; the public data beside the project is needed")
    pieces = VOCABULARY.read_text(encoding="utf-8").splitlines()
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    return kind(vocab=vocabulary, do_lower_case=True, model_max_length=MAX_LENGTH)


def _save(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    torch.manual_seed(0)
    disturb(model.eval())
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _calibration(folder: Path, texts: Sequence[str]) -> list[Inputs]:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(MAX_LENGTH)
    found = tokenizer.encode_batch(list(texts[:: max(1, len(texts) // CALIBRATION)][:CALIBRATION]))
    return [{"input_ids": np.array([each.ids]), "attention_mask": np.array([each.attention_mask])} for each in found]
