"""From a reference to a model that answers: a model directory run by torch, or an exported file run by its engine."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, PreTrainedTokenizerBase

from pocketbert.engines.base import Engine
from pocketbert.engines.description import Description
from pocketbert.engines.exported import files_of, is_exported, model_folder, open_file
from pocketbert.errors import ModelError
from pocketbert.files import hash_file
from pocketbert.manifest import hash_weights
from pocketbert.models.describing import EMBEDDING, HEADS, as_engine, own_task
from pocketbert.models.loading import check_safe, load_for_use, load_model, load_tokenizer


@dataclass(frozen=True)
class OpenModel:
    """A model that answers.

    Attributes:
        source: the reference it was opened by.
        engine: what runs it.
        tokenizer: of its model directory.
        config: of its model directory, with the labels in the order of the engine's logits.
        device: where it runs.
    """

    source: str
    engine: Engine
    tokenizer: PreTrainedTokenizerBase
    config: Any
    device: str = "cpu"


def open_model(
    reference: str, task: str | None = None, *, threads: int | None = None, on_cpu: bool = False
) -> OpenModel:
    """Open what a reference names.

    Args:
        reference: a model directory or hub name, which torch runs; or an exported file inside a model directory.
        task: what will be asked of it; what it was made for when absent.
        threads: of an exported file's engine; those of torch are set by ``torch.set_num_threads``.
        on_cpu: keep torch from the GPU, where exported files do not run.

    Raises:
        ModelError: there is no such model, it cannot be loaded, or it answers another task.
    """
    if is_exported(reference):
        return _open_exported(Path(reference), reference, task, threads or torch.get_num_threads())
    check_safe(reference)
    asked = task or own_task(AutoConfig.from_pretrained(reference, trust_remote_code=False), reference)
    if asked == EMBEDDING:
        # What a checkpoint lacks of a headless model is its pooler, which the mean of the tokens does not ask.
        loaded = load_model(reference, HEADS[asked], need_head=False)
    else:
        loaded = (load_model if on_cpu else load_for_use)(reference, HEADS[asked])
    engine = as_engine(loaded.model, loaded.tokenizer.model_input_names, asked)
    return OpenModel(reference, engine, loaded.tokenizer, loaded.config, str(loaded.model.device))


def hash_reference(reference: str) -> str:
    """Hash of all files that a model is loaded from; the name itself for a hub model."""
    if not is_exported(reference):
        return hash_weights(reference)
    path = Path(reference)
    return "+".join([*(hash_file(file)[:32] for file in files_of(path)), hash_weights(str(model_folder(path)))])


def _open_exported(path: Path, reference: str, task: str | None, threads: int) -> OpenModel:
    engine = open_file(path, threads)
    folder = str(model_folder(path))
    own = engine.description.task
    if task and own != task:
        raise ModelError(f"{reference}: answers {own}, but {task} is asked")
    config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    return OpenModel(reference, engine, load_tokenizer(folder), _relabelled(config, engine.description))


def _relabelled(config: Any, description: Description) -> Any:
    """The file is asked, so the order of its labels is the file's."""
    if description.labels:
        config.id2label = dict(enumerate(description.labels))
        config.label2id = {label: number for number, label in enumerate(description.labels)}
    return config
