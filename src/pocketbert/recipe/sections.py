"""What several stages share: the data of a task, masks, training, losses, the student's shape."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

TaskName = Literal[
    "masked_lm",
    "classification",
    "multi_label",
    "regression",
    "token_classification",
    "question_answering",
    "embedding",
]
Layout = Literal["cola", "sst2", "mrpc", "qqp", "stsb", "mnli", "qnli", "rte", "wnli", "conll", "squad"]
Metric = Literal[
    "accuracy",
    "f1",
    "macro_f1",
    "micro_f1",
    "matthews",
    "pearson",
    "spearman",
    "span_f1",
    "exact_match",
    "answer_f1",
]
Init = Literal["uniform", "first", "last", "distilbert", "none"]
MethodName = Literal["distilbert", "tinybert", "minilm", "minilmv2", "pkd", "xtremedistil", "mobilebert", "contrastive"]
LayerWord = Literal["uniform", "last", "top"]


def parse_duration(value: Any) -> Any:
    """Turn ``90s``, ``20m``, ``1.5h`` into seconds; numbers are seconds already."""
    if isinstance(value, str):
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhd]?)\s*", value)
        if not match:
            raise ValueError(f"{value!r} is not a duration; write 90s, 20m or 1.5h")
        return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}[match[2]]
    return value


def parse_bytes(value: Any) -> Any:
    """Turn ``10MB``, ``800 kB``, ``1.5GB`` into bytes, by powers of 1000; numbers are bytes already."""
    if isinstance(value, str):
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kKMG]?)B?\s*", value)
        if not match:
            raise ValueError(f"{value!r} is not a size; write 10MB, 800kB or a number of bytes")
        return round(float(match[1]) * {"": 1, "k": 1000, "K": 1000, "M": 1000**2, "G": 1000**3}[match[2]])
    return value


def as_list(value: Any) -> Any:
    """Let a single path stand where a list of paths is meant."""
    return [value] if isinstance(value, str | Path) else value


def without_repeats(values: list[Any]) -> list[Any]:
    """Each value once, in the order of the first."""
    return list(dict.fromkeys(values))


def check_layer_map(value: Any) -> Any:
    """Refuse what is neither one of the words nor pairs of layers, in one line instead of one for each part."""
    pairs = isinstance(value, list) and value and all(map(_is_pair, value))
    if not pairs and value not in get_args(LayerWord):
        raise ValueError(
            f"{value!r} is none of {', '.join(get_args(LayerWord))}, nor pairs of a student's and a teacher's layer, "
            "counted from 0, such as [[0, 2], [1, 5]]"
        )
    return value


def _is_pair(value: Any) -> bool:
    layers = isinstance(value, list | tuple) and len(value) == 2
    return layers and all(type(layer) is int and layer >= 0 for layer in value)


LayerMap = Annotated[LayerWord | list[tuple[int, int]], BeforeValidator(check_layer_map)]
Seconds = Annotated[float, BeforeValidator(parse_duration), Field(gt=0)]
Sources = Annotated[list[str], BeforeValidator(as_list), Field(min_length=1)]


class Section(BaseModel):
    """A part of a recipe; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class Data(Section):
    """Which rows a task reads, and from which columns."""

    task: TaskName = Field(description="what is predicted")
    train: Sources | None = Field(
        None, description="files, globs, hub:NAME, embedded:NAME, altered:FILE (docs/data.md)"
    )
    validation: Sources | None = Field(None, description="rows for choosing the checkpoint (see docs/data.md)")
    test: Sources | None = Field(None, description="rows for the reported numbers")
    unlabelled: Sources | None = Field(
        None, description="rows, or plain text, that the teacher labels: distill learns from them too"
    )
    layout: Layout | None = Field(None, description="a published layout instead of named columns")
    text: str | None = Field(None, description="column of the text; guessed when absent")
    pair: str | None = Field(None, description="column of the second text of a pair")
    label: str | None = Field(None, description="column of the label, the labels or the number to predict")
    label_separator: str = Field(",", min_length=1, description="between the labels of one multi-label row")
    labels: list[str] | None = Field(None, description="the labels in order; collected from train when absent")
    tokens: str | None = Field(None, description="column of a row's words (token classification)")
    tags: str | None = Field(None, description="column of a row's tags (token classification)")
    question: str | None = Field(None, description="column of the question (question answering)")
    context: str | None = Field(None, description="column of the context (question answering)")
    answers: str | None = Field(None, description="column of the answers (question answering)")
    metric: list[Metric] | None = Field(
        None, description="what decides; the mean where several; a task's usual choice when absent"
    )
    max_length: int = Field(128, ge=8, description="tokens per row, special tokens included")
    stride: int = Field(32, ge=0, description="overlap of the windows of a long context (question answering)")
    on_error: Literal["fail", "skip"] = Field("fail", description="what a bad row does; skipped rows are counted")
    too_long: Literal["truncate", "fail", "skip"] = Field(
        "truncate", description="what a text longer than max_length does; truncated rows are counted"
    )
    limit: int | None = Field(None, ge=1, description="read at most this many training rows")

    @model_validator(mode="before")
    @classmethod
    def _metric_as_list(cls, values: Any) -> Any:
        if isinstance(values, dict) and isinstance(values.get("metric"), str):
            values = {**values, "metric": [values["metric"]]}
        return values

    @model_validator(mode="after")
    def _each_label_once(self) -> "Data":
        twice = [label for number, label in enumerate(self.labels or []) if label in (self.labels or [])[:number]]
        if twice:
            raise ValueError(
                f"labels: {twice[0]!r} stands there twice; the place of a label is the number of its logit"
            )
        return self


class Masking(Section):
    """Which tokens the masked language model has to predict."""

    rate: float = Field(0.15, gt=0, lt=1, description="share of the non-special tokens that is picked")
    mask: float = Field(0.8, ge=0, le=1, description="share of the picked tokens replaced by the mask token")
    random: float = Field(0.1, ge=0, le=1, description="share replaced by a random token; the rest is kept")
    whole_words: bool = Field(False, description="pick whole words, not pieces")
    smoothing: float = Field(
        0.0, ge=0, description="pick with probability ∝ max(count, 1)^-smoothing; 0.7 in the DistilBERT code"
    )
    seed: int | None = Field(None, ge=0, lt=2**32, description="of the masks; the run's when absent")

    @model_validator(mode="after")
    def _shares(self) -> "Masking":
        if self.mask + self.random > 1:
            raise ValueError("masking: mask + random must be at most 1")
        return self


class Cache(Section):
    """What is kept of the teacher's word, and where."""

    folder: str | None = Field(
        None, description="where it is kept; a folder of its own in signals/, beside the output, when absent"
    )
    top_k: int | None = Field(
        None,
        gt=0,
        description="keep so many of the likeliest pieces of a vocabulary, and as many of the others, instead of all",
    )
    epochs: int = Field(1, gt=0, description="epochs with masks of their own, after which the first ones come again")


class Training(Section):
    """How long and how fast to learn; the same for every stage that trains."""

    epochs: float | None = Field(None, gt=0, description="passes over the data")
    steps: int | None = Field(None, gt=0, description="optimiser steps, instead of epochs")
    budget: Seconds | None = Field(None, description="time, instead of epochs or steps: 90s, 20m, 3h")
    batch_size: int = Field(32, gt=0, description="sequences per device and forward pass")
    accumulation: int = Field(1, gt=0, description="forward passes per optimiser step")
    learning_rate: float = Field(5e-5, gt=0, description="the highest, reached after the warm-up")
    warmup_ratio: float = Field(0.05, ge=0, lt=1, description="share of the run spent warming up")
    weight_decay: float = Field(0.0, ge=0, description="of AdamW")
    beta1: float = Field(0.9, ge=0, lt=1, description="of AdamW")
    beta2: float = Field(0.98, ge=0, lt=1, description="of AdamW")
    epsilon: float = Field(1e-6, gt=0, description="of AdamW")
    clip: float = Field(1.0, ge=0, description="largest gradient norm; 0 switches clipping off")
    dropout: float | None = Field(None, ge=0, lt=1, description="the model's own when absent")
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto", description="auto: the one this machine multiplies fastest; fp16 needs a GPU"
    )
    evaluate_every: int | None = Field(None, gt=0, description="steps between validations; ten a run when absent")
    patience: int | None = Field(None, gt=0, description="validations without gain before stopping")
    save_every: Seconds = Field(300.0, description="time between checkpoints")
    save_steps: int | None = Field(None, gt=0, description="steps between checkpoints, instead of time")
    seed: int = Field(0, ge=0, lt=2**32, description="of new weights, order, masks and dropout")

    @model_validator(mode="after")
    def _one_length(self) -> "Training":
        if sum(value is not None for value in (self.epochs, self.steps, self.budget)) > 1:
            raise ValueError("name one of epochs, steps and budget")
        return self


class Losses(Section):
    """Weights of the losses; the objective is their weighted sum."""

    soft_targets: float = Field(0.0, ge=0, description="KL to the teacher's softened distribution")
    labels: float = Field(0.0, ge=0, description="the task's own loss on the true labels")
    masked_lm: float = Field(0.0, ge=0, description="cross-entropy on the masked tokens")
    logit_mse: float = Field(0.0, ge=0, description="mean squared error of the logits")
    cosine: float = Field(0.0, ge=0, description="1 - cosine of the last hidden states")
    hidden: float = Field(0.0, ge=0, description="mean squared error of the outputs of layers, projected")
    embeddings: float = Field(0.0, ge=0, description="the same of what enters the first layer")
    feature_maps: float = Field(0.0, ge=0, description="mean squared error of the outputs of layers, as they are")
    attention_scores: float = Field(0.0, ge=0, description="mean squared error of attention before the softmax")
    attention_maps: float = Field(0.0, ge=0, description="KL to the teacher's attention, head by head")
    relations: float = Field(0.0, ge=0, description="KL of the relations of queries, keys and values")
    value_relations: float = Field(0.0, ge=0, description="KL of the relations of values alone")
    patience: float = Field(0.0, ge=0, description="squared distance of the first token's directions below the top")
    representations: float = Field(0.0, ge=0, description="squared error of last hidden states through GELU")
    contrastive: float = Field(0.0, ge=0, description="finding the teacher's vector of a text among those of a batch")
    similarities: float = Field(0.0, ge=0, description="KL of how near each text of a batch is to the others")


class Student(Section):
    """The shape of the student and where its first weights come from."""

    architecture: str = Field(
        "auto",
        description="auto: distilbert for a BERT teacher of single texts, else the teacher's own family",
    )
    layers: int | None = Field(None, gt=0, description="half of the teacher's when absent")
    hidden_size: int | None = Field(None, gt=0, description="the teacher's when absent")
    heads: int | None = Field(None, gt=0, description="the teacher's when absent")
    feed_forward: int | None = Field(None, gt=0, description="the teacher's when absent")
    init: Init | list[int] = Field("uniform", description="which teacher layers the student starts from")
    start: str | None = Field(None, description="a model to start from, instead of shape and init")

    @model_validator(mode="after")
    def _start_or_shape(self) -> "Student":
        fields = type(self).model_fields
        shape = [name for name in fields if name != "start" and getattr(self, name) != fields[name].default]
        if self.start and shape:
            raise ValueError(f"a student that starts from {self.start} has its shape; leave out {', '.join(shape)}")
        return self


class Teacher(Section):
    """The model that teaches."""

    model: str = Field(description="a model directory, or a hub name")
