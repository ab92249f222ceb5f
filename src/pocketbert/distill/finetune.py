"""Train a model on the labels of a task: how a teacher comes to its head."""

from pathlib import Path

import torch
from rich.console import Console

from pocketbert.distill.learning import learn_rows
from pocketbert.distill.phases import Course
from pocketbert.distill.rows import fingerprints, read_rows, training_inputs
from pocketbert.distill.stage import StageFolder
from pocketbert.errors import PocketBertError
from pocketbert.files import hash_text
from pocketbert.manifest import Manifest, Parent, hash_options, hash_weights
from pocketbert.models.loading import check_length, load_model
from pocketbert.recipe import Data, FinetuneStage, Losses
from pocketbert.tasks.embedding import UNLABELLED, Embedding


def finetune(
    options: FinetuneStage,
    model: str,
    output: Path | str,
    data: Data | None = None,
    *,
    console: Console | None = None,
    replace: bool = False,
) -> Manifest:
    """Train a model with a fresh (or its own) task head on true labels.

    Args:
        options: length and rates of the run.
        model: the model directory or hub name to start from.
        output: the model directory to be.
        data: the task and its rows, where the options name none.
        console: for progress and notes; standard error when absent.
        replace: make it anew where the folder holds a model of other inputs.

    Returns:
        The manifest of the model directory; a finished one with the same inputs is left as it is.

    Raises:
        PocketBertError: the data or the model cannot be used.
        Interrupted: asked to stop; the state is saved.
    """
    console = console or Console(stderr=True)
    data = options.data or data
    if data is None:
        raise PocketBertError("finetune: name the rows of a task (data)")
    if data.task == Embedding.name:
        raise PocketBertError(f"finetune: {UNLABELLED}; distil it from a teacher that makes embeddings")
    parent = Parent(role="start", source=model, weights=hash_weights(model))
    prints = fingerprints(data)
    key = hash_text("finetune", hash_options(options), training_inputs(data, prints), parent.weights)
    stage = StageFolder(Path(output), key, replace)
    if stage.done:
        return stage.skip(console)
    rows = read_rows(data)
    torch.manual_seed(options.seed)
    loaded = load_model(model, rows.task.head, rows.task.model_fields(), need_head=False)
    check_length(loaded.model, data.max_length, model)
    summary = learn_rows(
        "finetune",
        loaded.model,
        loaded.tokenizer,
        rows,
        options,
        Course.of(Losses(labels=1.0)),
        stage,
        console,
    )
    manifest = Manifest(
        stage="finetune",
        key=key,
        parents=[parent],
        data=prints,
        notes=rows.notes,
        metrics=summary,
        options={"data": data.model_dump(mode="json"), **options.model_dump(mode="json", exclude={"data"})},
    )
    stage.finish(loaded.model, loaded.tokenizer, manifest)
    return manifest
