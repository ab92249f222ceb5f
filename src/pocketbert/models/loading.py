"""Reading a model directory (or hub name) safely: safetensors only, no remote code, and the head that is asked for."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from huggingface_hub import HfApi, snapshot_download, try_to_load_from_cache
from safetensors import SafetensorError
from transformers import AutoConfig, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from pocketbert.errors import ModelError

_REMEDIES = {"MaskedLM": "use a checkpoint saved with its masked-LM head", "": "fetch it again"}
"""What helps a checkpoint that lacks its head, by the suffix of the auto class."""
HUB_SECONDS = 10.0
"""How long the hub may take to say whether it has a model."""


@dataclass(frozen=True)
class LoadedModel:
    """A model with its tokenizer.

    Attributes:
        model: in fp32, on the CPU, in evaluation mode.
        tokenizer: a fast tokenizer.
        source: the directory or hub name it came from.
        new: parameters that the checkpoint did not have, such as a fresh head.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    source: str
    new: tuple[str, ...]

    @property
    def config(self) -> Any:
        """Of the model."""
        return self.model.config


def load_model(source: str, head: str, fields: dict[str, Any] | None = None, need_head: bool = True) -> LoadedModel:
    """Load a model with a head.

    Args:
        source: a model directory, or a hub name.
        head: suffix of the auto class, such as ``MaskedLM`` or ``SequenceClassification``; empty for no head.
        fields: configuration of a new head (``id2label``, ``problem_type``, …).
        need_head: refuse a checkpoint that has no weights for this head; one that lacks some of the encoder is always.

    Raises:
        ModelError: the directory is missing or incomplete, its weights are pickles, it needs remote code, it has
            no such head, or its architecture has none in ``transformers``.
    """
    check_safe(source)
    tokenizer = load_tokenizer(source)
    config = _read_config(source, **(fields or {}))
    model, new = _read_weights(
        source, f"AutoModelFor{head}" if head else "AutoModel", config, "float32", ignore_mismatched_sizes=not need_head
    )
    lacking = _lacking(new)
    of_encoder = [name for name in lacking if not head or name.startswith(f"{model.base_model_prefix}.")]
    if of_encoder or (need_head and lacking):
        what = f"{head} head" if head and not of_encoder else "whole encoder"
        remedy = _REMEDIES.get("" if of_encoder else head, "finetune it on the task first")
        raise ModelError(f"{source}: has no {what} (missing: {', '.join((of_encoder or lacking)[:4])}); {remedy}")
    check_tokenizer(model, tokenizer, source)
    return LoadedModel(model.eval(), tokenizer, source, new)


def load_for_use(source: str, head: str) -> LoadedModel:
    """Load a trained model to where it answers fastest: the GPU where there is one, else the CPU.

    Raises:
        ModelError: as :func:`load_model`.
    """
    loaded = load_model(source, head)
    loaded.model.to(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    return loaded


def load_as_saved(source: str) -> LoadedModel:
    """Load a model with the head, and in the precision, that it was saved with.

    Raises:
        ModelError: the directory is missing or incomplete, its weights are pickles, it needs remote code, or its
            ``config.json`` names no architecture of ``transformers``.
    """
    check_safe(source)
    tokenizer = load_tokenizer(source)
    config = _read_config(source)
    architecture = (config.architectures or ["no architecture"])[0]
    if not hasattr(transformers, architecture):
        raise ModelError(
            f"{source}: config.json names {architecture}, where one of transformers is needed; save the model with "
            "save_pretrained"
        )
    model, new = _read_weights(source, architecture, config, "auto")
    if lacking := _lacking(new):
        raise ModelError(f"{source}: lacks weights of its {architecture}: {', '.join(lacking[:4])}; fetch it again")
    check_tokenizer(model, tokenizer, source)
    return LoadedModel(model.eval(), tokenizer, source, new)


def local_folder(source: str) -> Path:
    """The folder that a model was loaded from: the directory itself, or the hub's copy on this disk."""
    if Path(source).is_dir():
        return Path(source)
    return Path(snapshot_download(source, local_files_only=True))


def load_tokenizer(source: str, **options: Any) -> PreTrainedTokenizerBase:
    """Load a fast tokenizer; byte-level ones also take pre-split words.

    Raises:
        ModelError: there is none, or only a slow one.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False, **options)
    except Exception as error:  # the tokenizers library raises nothing more specific
        reason = _first_line(error)
        # Where nothing is found the library lists what it looked for, on lines of their own.
        why = "there is no tokenizer.json in it" if reason.endswith(":") else reason
        raise ModelError(f"{source}: its tokenizer cannot be loaded: {why}") from None
    if tokenizer.pad_token_id is None:
        raise ModelError(f"{source}: its tokenizer has no padding token, so that it is no BERT's; name another model")
    if len(tokenizer) <= len(tokenizer.all_special_ids):
        # Where a directory has no tokenizer, transformers makes one of special tokens alone.
        raise ModelError(f"{source}: has no tokenizer; save tokenizer.json beside the weights")
    if not tokenizer.is_fast:
        raise ModelError(f"{source}: its tokenizer is a slow one; save tokenizer.json beside the weights")
    return tokenizer


def check_safe(source: str) -> None:
    """Refuse what would run code: pickled weights and remote modelling code.

    Raises:
        ModelError: the reason, and what to do instead.
    """
    folder = Path(source)
    if not folder.is_dir():
        if folder.is_absolute() or source.startswith((".", "~")) or source.count("/") > 1 or folder.exists():
            raise ModelError(f"{source}: no such model directory")
        _check_hub(source)
        return
    config = folder / "config.json"
    if not config.is_file():
        raise ModelError(f"{source}: no config.json; this is not a model directory")
    try:
        fields = json.loads(config.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"{config}: damaged ({error}); fetch it again") from None
    if "auto_map" in fields:
        raise ModelError(f"{source}: needs remote code (auto_map in config.json), which PocketBERT never runs")
    if not any(folder.glob("*.safetensors")):
        pickles = sorted(path.name for pattern in ("*.bin", "*.pt", "*.pth", "*.ckpt") for path in folder.glob(pattern))
        found = f"only pickles ({', '.join(pickles)}), which can run code when read" if pickles else "no weights"
        raise ModelError(f"{source}: {found}; save it with save_pretrained(..., safe_serialization=True)")


def _check_hub(name: str) -> None:
    """Ask the hub once for a name that is not on this disk; the library itself would try for minutes."""
    if isinstance(try_to_load_from_cache(name, "config.json"), str):
        return
    try:
        HfApi().model_info(name, timeout=HUB_SECONDS)
    except Exception as error:  # the errors of the hub library's transports share no other base
        raise ModelError(
            f"{name}: no model directory of this name here, and the hub did not give one ({_first_line(error)}); "
            "check the path, or the name and the connection"
        ) from None


def check_tokenizer(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, source: str) -> None:
    """Refuse a tokenizer with more ids than the model has embeddings.

    Raises:
        ModelError: the ids do not fit.
    """
    embeddings = model.get_input_embeddings().weight.shape[0]
    if len(tokenizer) > embeddings:
        raise ModelError(
            f"{source}: the tokenizer has {len(tokenizer)} ids but the model {embeddings} embeddings; "
            "they do not belong together"
        )


_COUNT_FROM_PADDING = {
    "camembert", "data2vec-text", "ibert", "longformer", "luke", "mpnet", "roberta", "roberta-prelayernorm",
    "xlm-roberta", "xlm-roberta-xl", "xmod",
}  # fmt: skip
"""Families whose positions start behind the number of the padding piece."""


def max_positions(config: Any) -> int:
    """Longest input in tokens; RoBERTa-like models lose the positions up to the padding id."""
    positions: int = config.max_position_embeddings
    offset = config.pad_token_id + 1 if config.model_type in _COUNT_FROM_PADDING else 0
    return positions - offset


def check_length(model: PreTrainedModel, tokens: int, source: str) -> None:
    """Refuse rows longer than the model can take.

    Raises:
        ModelError: the model has fewer positions.
    """
    limit = max_positions(model.config)
    if tokens > limit:
        raise ModelError(
            f"{source}: takes at most {limit} tokens, but {tokens} are asked for; lower max_length, block or "
            "target.tokens"
        )


def _read_config(source: str, **fields: Any) -> Any:
    try:
        return AutoConfig.from_pretrained(source, trust_remote_code=False, **fields)
    except (OSError, ValueError) as error:
        raise ModelError(f"{source}: its config.json cannot be used: {_first_line(error)}") from None


def _read_weights(
    source: str, kind: str, config: Any, dtype: str, **options: Any
) -> tuple[PreTrainedModel, tuple[str, ...]]:
    """A model of a class of ``transformers``, and the names of the parameters that the checkpoint did not have."""
    auto: Any = getattr(transformers, kind)
    try:
        model, report = auto.from_pretrained(
            source,
            config=config,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=dtype,
            output_loading_info=True,
            **options,
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        head = kind.removeprefix("AutoModelFor")
        raise ModelError(f"{source}: cannot be loaded for {head}: {_first_line(error)}") from None
    return model, tuple(sorted(_missing(report)))


def _lacking(new: Iterable[str]) -> list[str]:
    """Parameters that a checkpoint should have had."""
    # A pooler that the masked-LM stage never trained is no part of a head's answer for tokens.
    return [name for name in new if "pooler" not in name.split(".")]


def _missing(report: Any) -> set[str]:
    missing = set(report["missing_keys"])
    mismatched = report.get("mismatched_keys") or ()
    return missing | {key if isinstance(key, str) else key[0] for key in mismatched}


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0].strip() if str(error).strip() else type(error).__name__
