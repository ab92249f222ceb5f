"""The stages of a recipe and their options."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from pocketbert.recipe.sections import (
    Cache,
    Data,
    LayerMap,
    Losses,
    Masking,
    MethodName,
    Section,
    Sources,
    Training,
    parse_bytes,
    without_repeats,
)

_OF_TEXT = {
    "text_column": "the columns of rows are named in data",
    "held_out": "rows to choose by are named in data.validation",
    "block": "data.max_length is the most that a row has",
    "masking": "rows are read as they are",
    "soft_targets": "the weight of this loss is losses.soft_targets",
}
"""What a distillation of rows has no use for, and what stands for it there."""
REPLACED = 0.2
"""Share of the words that is replaced where a model is named and no share."""


class PretrainStage(Training):
    """Make a BERT from text alone."""

    corpus: Sources = Field(description="plain text, or any source with a text column")
    held_out: Sources | None = Field(None, description="text to validate on; the corpus's last blocks when absent")
    text_column: str | None = Field(None, description="the text column of tables; guessed when absent")
    tokenizer: str | None = Field(None, description="a directory or vocab.txt; trained on the text when absent")
    vocabulary: int = Field(30522, gt=100, description="pieces of a tokenizer trained here")
    lowercase: bool = Field(True, description="for a tokenizer trained here")
    layers: int = Field(12, gt=0, description="of the BERT")
    hidden_size: int = Field(768, gt=0, description="of the BERT")
    heads: int = Field(12, gt=0, description="of the BERT; must divide hidden_size")
    feed_forward: int | None = Field(None, gt=0, description="four times hidden_size when absent")
    positions: int = Field(512, ge=8, description="longest input the model can take")
    block: int = Field(128, ge=8, description="tokens per training sequence, special tokens included")
    masking: Masking = Masking()
    learning_rate: float = Field(5e-4, gt=0, description=Training.model_fields["learning_rate"].description)
    weight_decay: float = Field(0.01, ge=0, description=Training.model_fields["weight_decay"].description)


class FinetuneStage(Training):
    """Train a model on the labels of a task."""

    data: Data | None = Field(None, description="the recipe's data when absent")


class Augment(Section):
    """Altered copies of the training texts, which the teacher labels."""

    copies: int = Field(4, ge=1, description="altered copies of each training text")
    delete: float = Field(0.1, ge=0, lt=1, description="share of a copy's words that is left out")
    mix: float = Field(0.0, ge=0, le=1, description="share of the copies that get their end from another training text")
    model: str | None = Field(
        None, description="a masked language model that replaces words: a model directory, or a hub name"
    )
    replace: float | None = Field(
        None, ge=0, le=0.5, description="share of a copy's words that the model replaces; 0.2 when absent"
    )
    candidates: int = Field(15, ge=1, description="a replacement is drawn among so many of the likeliest words")

    @property
    def replaced(self) -> float:
        """Share of the words that is replaced: none without a model."""
        if self.model is None:
            return 0.0
        return REPLACED if self.replace is None else self.replace

    @model_validator(mode="after")
    def _alters_something(self) -> "Augment":
        if self.replace and self.model is None:
            raise ValueError("augment: replace needs a model (augment.model), one with its masked-LM head")
        if not (self.delete or self.mix or self.replaced):
            raise ValueError("augment: nothing is altered; give delete or mix a share, or name a model")
        return self


class DistillStage(Training):
    """Teach a student."""

    dropout: float | None = Field(
        None, ge=0, lt=1, description="on text none when absent; on rows the model's own, as in every other stage"
    )
    data: Data | None = Field(None, description="the recipe's data when absent")
    corpus: Sources | None = Field(None, description="text for masked-LM distillation, instead of the rows of a task")
    held_out: Sources | None = Field(None, description="text to validate on; the corpus's last blocks when absent")
    text_column: str | None = Field(None, description="the text column of tables; guessed when absent")
    block: int = Field(128, ge=8, description="tokens per sequence of masked-LM distillation")
    masking: Masking = Masking()
    method: MethodName | None = Field(None, description="a published method, instead of losses (docs/losses/)")
    losses: Losses | None = Field(None, description="the stage's own defaults when absent")
    temperature: float | None = Field(
        None, gt=0, description="softens teacher and student; the method's own, else 2 when absent"
    )
    layer_map: LayerMap | None = Field(
        None,
        description="layers that are compared; pairs are of a student's and a teacher's, counted from 0: "
        "[[0, 2], [1, 5]]; the method's own, else uniform when absent",
    )
    relation_heads: int | None = Field(
        None, gt=0, description="heads that relations are cut into; up to 48, as the widths allow, when absent"
    )
    contrastive_temperature: float = Field(
        0.05, gt=0, description="divides the cosines of the contrastive loss and of the similarities"
    )
    soft_targets: Literal["masked", "all"] = Field(
        "masked",
        description="where masked-LM soft targets are computed: masked positions, or all real tokens",
    )
    signals: Literal["online", "cached"] = Field(
        "online", description="the teacher runs at every step, or once, and what it said is read from then on"
    )
    cache: Cache = Cache()
    augment: Augment | None = Field(None, description="also learn from altered copies of the training texts")
    without_teacher: bool = Field(
        True, description="also train the same student on the labels alone, as the baseline of the comparison"
    )

    @model_validator(mode="after")
    def _method_or_losses(self) -> "DistillStage":
        if self.method and self.losses:
            raise ValueError("distill: name a method or losses, not both; docs/losses/ lists what a method is made of")
        return self

    @model_validator(mode="after")
    def _cache_of_signals(self) -> "DistillStage":
        if self.signals == "online" and self.cache != Cache():
            raise ValueError("distill: a cache is of no use to a teacher that runs at every step; set signals: cached")
        return self

    @model_validator(mode="after")
    def _rows_or_text(self) -> "DistillStage":
        if self.corpus and self.data:
            raise ValueError("distill: name the rows of a task (data) or text (corpus), not both")
        for name, instead in _OF_TEXT.items():
            if not self.corpus and getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"distill: {name} is of a corpus; {instead}. Leave it out, or name a corpus")
        if self.augment and self.corpus:
            raise ValueError("distill: augment alters the rows of a task; text (corpus) has masks of its own")
        return self


Share = Annotated[float, Field(gt=0, le=1)]
Bytes = Annotated[int, BeforeValidator(parse_bytes), Field(gt=0)]
Format = Literal["onnx", "openvino", "browser", "mobile"]
Precision = Literal["fp32", "fp16", "bf16", "int8"]


class Target(Section):
    """What a pruned model has to reach: exactly one of bytes, latency_ms and kept."""

    bytes: Bytes | None = Field(
        None, description="most bytes of weights, tokenizer and configuration on disk: 10MB, 800kB"
    )
    latency_ms: float | None = Field(None, gt=0, description="most milliseconds for one text of so many tokens")
    tokens: int = Field(128, ge=8, description="tokens of the text that latency_ms is about")
    kept: float | None = Field(
        None, gt=0, lt=2, description="least share of the unpruned model's score: as small as can be"
    )

    @model_validator(mode="after")
    def _one_aim(self) -> "Target":
        if sum(value is not None for value in (self.bytes, self.latency_ms, self.kept)) != 1:
            raise ValueError("target: name one of bytes, latency_ms and kept")
        return self


class PruneStage(Section):
    """Take out what matters least, for real, and let the unpruned model teach the rest again."""

    data: Data | None = Field(None, description="the recipe's data when absent")
    layers: Share | None = Field(None, description="share of the layers that stays")
    heads: Share | None = Field(
        None,
        description="share of the attention heads that stays; they go with the hidden width: only beside hidden",
    )
    feed_forward: Share | None = Field(
        None, description="share of the feed-forward neurons of each layer that stays, in multiples of 8"
    )
    hidden: Share | None = Field(
        None, description="share of the hidden width that stays, in whole attention heads, which go with it"
    )
    target: Target | None = Field(None, description="search the sizes instead of naming shares")
    importance_rows: int = Field(512, gt=0, description="training rows that the importance is measured on")
    recover: Training = Training(epochs=3)
    losses: Losses | None = Field(None, description="of the recovery; those of distill when absent")
    temperature: float = Field(2.0, gt=0, description="of the recovery's soft targets")

    @model_validator(mode="after")
    def _shares_or_target(self) -> "PruneStage":
        shares = [name for name in ("layers", "heads", "feed_forward", "hidden") if getattr(self, name) is not None]
        if bool(shares) == bool(self.target):
            raise ValueError("prune: name shares that stay (layers, heads, feed_forward, hidden) or a target")
        return self


class TrimStage(Section):
    """Cut the vocabulary to the pieces that the user's text needs."""

    data: Data | None = Field(None, description="the recipe's data when absent; its training texts are read")
    corpus: Sources | None = Field(None, description="text of the domain, read too")
    text_column: str | None = Field(None, description="the text column of tables; guessed when absent")
    keep: Sources | None = Field(None, description="plain text whose pieces stay whatever else is read")
    characters: bool = Field(True, description="also keep every single character, so that any word can still be spelt")
    check: Sources | None = Field(None, description="other text to report coverage and the unknown rate of")
    changed: Share | None = Field(
        None,
        description="expected share of unseen texts of the domain that may be read in other pieces, 0.01 when absent: "
        "the commonest pieces that did not occur stay until it holds",
    )
    least: int | None = Field(
        None,
        ge=1,
        description="instead: keep just the pieces that occur in so many texts; above 1, the texts that were read "
        "change too",
    )
    embedding_size: int | None = Field(
        None, ge=2, description="also narrow the embeddings to this width (ALBERT and ELECTRA with the head of a task)"
    )

    @model_validator(mode="after")
    def _share_or_count(self) -> "TrimStage":
        if self.changed is not None and self.least is not None:
            raise ValueError("trim: name one of changed and least")
        return self


class QuantizeStage(Section):
    """Make int8 files that hold their gate."""

    data: Data | None = Field(None, description="the recipe's data when absent")
    engines: Annotated[list[Literal["onnxruntime", "openvino"]], AfterValidator(without_repeats)] = Field(
        ["onnxruntime", "openvino"], min_length=1, description="for which engines"
    )
    calibration: int = Field(512, gt=0, description="training rows that the ranges of activations are measured on")
    kept: float = Field(0.99, gt=0, lt=2, description="least share of the fp32 score on validation rows")
    recover: Training | None = Field(
        None, description="quantization-aware distillation where the gate does not hold with half the layers in fp32"
    )


class Limits(Section):
    """How far an exported file may be from the model it was made from, on the texts of the gate."""

    fp32: float = Field(1e-3, gt=0, description="largest difference of a logit, as a share of the largest logit")
    half: float = Field(0.05, gt=0, description="the same for fp16 and bf16")
    int8: float = Field(0.25, gt=0, description="the same for int8")
    kept: float = Field(0.99, gt=0, lt=2, description="least share of the score on validation rows")
    label_flips: float = Field(0.01, ge=0, le=1, description="share of the answers that may change")
    label_flips_int8: float = Field(0.05, ge=0, le=1, description="the same for int8")
    batch_mates: float = Field(
        0.02, ge=0, description="largest difference of a logit, alone against in a batch, as a share"
    )


class ExportStage(Section):
    """Write the files that engines run, and hold them against the model they were made from."""

    data: Data | None = Field(None, description="the recipe's data when absent; real texts for the gate")
    formats: Annotated[list[Format], AfterValidator(without_repeats)] = Field(
        ["onnx", "openvino"], min_length=1, description="what to write"
    )
    precisions: Annotated[list[Precision], AfterValidator(without_repeats)] = Field(
        ["fp32"], min_length=1, description="of the weights; int8 comes from quantize"
    )
    pooling: Literal["mean", "cls"] | None = Field(
        None, description="make one embedding of a text from its tokens, instead of the answer of the model's head"
    )
    max_length: int | None = Field(None, ge=8, description="tokens of a text; the data's, else the model's when absent")
    mobile_lengths: list[Annotated[int, Field(ge=8)]] = Field(
        [32, 128], description="tokens that an ExecuTorch program has a method for, beside max_length"
    )
    texts: int = Field(100, ge=0, description="texts of the data for the gate, beside those that come with PocketBERT")
    packages: str | None = Field(
        None, description="a folder node_modules with @huggingface/transformers, for the browser (docs/browser.md)"
    )
    limits: Limits = Limits()

    @model_validator(mode="after")
    def _browser_needs_packages(self) -> "ExportStage":
        if "browser" in self.formats and not self.packages:
            raise ValueError(
                "export: the browser needs packages (--packages), a folder node_modules made by "
                "`npm install --ignore-scripts @huggingface/transformers`"
            )
        return self


StageOptions = PretrainStage | FinetuneStage | DistillStage | PruneStage | TrimStage | QuantizeStage | ExportStage


class Stage(Section):
    """One step of a recipe: exactly one of these keys."""

    pretrain: PretrainStage | None = None
    finetune: FinetuneStage | None = None
    distill: DistillStage | None = None
    prune: PruneStage | None = None
    trim: TrimStage | None = None
    quantize: QuantizeStage | None = None
    export: ExportStage | None = None

    @model_validator(mode="before")
    @classmethod
    def _without_options(cls, values: Any) -> Any:
        """In YAML a stage may be its name alone: ``- finetune:``."""
        if isinstance(values, dict):
            values = {name: {} if options is None else options for name, options in values.items()}
        return values

    @model_validator(mode="after")
    def _exactly_one(self) -> "Stage":
        if len(self.model_fields_set) != 1:
            raise ValueError(f"a stage has exactly one key, one of {', '.join(type(self).model_fields)}")
        return self

    @property
    def kind(self) -> str:
        """The stage's name."""
        return next(iter(self.model_fields_set))

    @property
    def options(self) -> StageOptions:
        """The stage's options."""
        options: StageOptions = getattr(self, self.kind)
        return options
