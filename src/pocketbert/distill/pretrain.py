"""Make a BERT from text alone: a teacher for people with a domain of their own, or with no checkpoint at hand."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from pocketbert.data.sources import fingerprint, read_texts
from pocketbert.distill import ranks
from pocketbert.distill.objective import Objective
from pocketbert.distill.prediction import masked_lm_loss
from pocketbert.distill.stage import StageFolder
from pocketbert.distill.texts import CORPORA, TextData, prepare_texts
from pocketbert.distill.trainer import Job, train
from pocketbert.errors import PocketBertError
from pocketbert.files import hash_text
from pocketbert.manifest import Manifest, hash_options, hash_tokenizer
from pocketbert.models.loading import load_tokenizer
from pocketbert.models.scratch import build_bert
from pocketbert.models.tokenizers import read_tokenizer, train_wordpiece
from pocketbert.recipe import Losses, PretrainStage

TOKENIZER_CHARACTERS = 100_000_000
"""Text that a tokenizer is learnt from; more changes its pieces little."""


def pretrain(
    options: PretrainStage, output: Path | str, *, console: Console | None = None, replace: bool = False
) -> Manifest:
    """Pretrain a BERT with the masked language model.

    Args:
        options: corpus, shape and length of the run.
        output: the model directory to be.
        console: for progress; standard error when absent.
        replace: make it anew where the folder holds a model of other inputs.

    Returns:
        The manifest of the model directory; a finished one with the same inputs is left as it is.

    Raises:
        PocketBertError: the text or the options cannot be used.
        Interrupted: asked to stop; the state is saved.
    """
    console = console or Console(stderr=True)
    _check_shape(options)
    data = {"corpus": fingerprint(options.corpus)} | (
        {"held_out": fingerprint(options.held_out)} if options.held_out else {}
    )
    pieces = hash_tokenizer(options.tokenizer) if options.tokenizer else ""
    output = Path(output)
    stage = StageFolder(output, hash_text("pretrain", hash_options(options), pieces, *data.values()), replace)
    if stage.done:
        return stage.skip(console)
    with stage.preparing():
        with ranks.main_first():
            tokenizer = _tokenizer(options, stage.work / "tokenizer", console)
        texts = prepare_texts(options, tokenizer, output.parent / CORPORA, console)
    model = build_bert(
        tokenizer,
        options.layers,
        options.hidden_size,
        options.heads,
        options.feed_forward,
        options.positions,
        options.seed,
    )
    summary = train(_job(options, stage, model, texts, console))
    loss = masked_lm_loss(model, texts.validation, options.batch_size)
    manifest = Manifest(
        stage="pretrain",
        key=stage.key,
        options=options.model_dump(mode="json"),
        data=data,
        metrics=summary | {"validation_loss": loss, "corpus_tokens": texts.tokens, "documents": texts.documents},
    )
    stage.finish(model, tokenizer, manifest)
    return manifest


def _check_shape(options: PretrainStage) -> None:
    if options.hidden_size % options.heads:
        raise PocketBertError(f"pretrain: hidden_size {options.hidden_size} is not a multiple of heads {options.heads}")
    if options.block > options.positions:
        raise PocketBertError(f"pretrain: block {options.block} is longer than positions {options.positions}")


def masked_lm_evaluator(texts: TextData, batch_size: int) -> Any:
    """Validation of a masked language model: the score is minus the loss, so that higher is better."""

    def evaluate(model: PreTrainedModel) -> dict[str, float]:
        loss = masked_lm_loss(model, texts.validation, batch_size)
        return {"score": -loss, "loss": loss}

    return evaluate


def _job(options: PretrainStage, stage: StageFolder, model: PreTrainedModel, texts: TextData, console: Console) -> Job:
    return Job(
        title="pretrain",
        model=model,
        data=texts.train,
        objective=Objective("masked_lm", Losses(masked_lm=1.0)),
        options=options,
        folder=stage.work,
        evaluate=masked_lm_evaluator(texts, options.batch_size),
        console=console,
    )


def _tokenizer(options: PretrainStage, folder: Path, console: Console) -> PreTrainedTokenizerBase:
    """The stage's tokenizer, from its folder where an earlier run (or the main process) has made it."""
    if folder.is_dir():
        return load_tokenizer(str(folder))
    if options.tokenizer:
        tokenizer = read_tokenizer(options.tokenizer, options.lowercase, options.positions)
    else:
        console.print(f"learning a vocabulary of {options.vocabulary:,} pieces", highlight=False)
        tokenizer = train_wordpiece(
            partial(_first_texts, options), options.vocabulary, options.lowercase, options.positions
        )
    unfinished = folder.with_suffix(".part")
    tokenizer.save_pretrained(unfinished)
    unfinished.rename(folder)
    return load_tokenizer(str(folder))


def _first_texts(options: PretrainStage) -> Iterator[str]:
    characters = TOKENIZER_CHARACTERS
    for text in read_texts(options.corpus, options.text_column):
        yield text
        characters -= len(text)
        if characters < 0:
            return
