"""From text sources to masked blocks for training and for validation."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from pocketbert.bars import Meter
from pocketbert.data.corpus import Corpus, build_corpus, read_index
from pocketbert.data.sources import fingerprint, read_texts
from pocketbert.distill import ranks
from pocketbert.distill.datasets import MaskedBlocks
from pocketbert.errors import DataError
from pocketbert.files import hash_text
from pocketbert.recipe import DistillStage, PretrainStage

CORPORA = "corpora"
"""Folder beside the model directories that keeps tokenised corpora for later stages."""
HELD_OUT_SHARE = 0.02
HELD_OUT_BLOCKS = 512
"""Most blocks that validation takes: some 10,000 masked tokens, a standard error of about 0.03 nats."""


@dataclass(frozen=True)
class TextData:
    """Masked blocks for a stage.

    Attributes:
        train: to learn from.
        validation: held out.
        tokens: in the training corpus.
        documents: in the training corpus.
    """

    train: MaskedBlocks
    validation: MaskedBlocks
    tokens: int
    documents: int


def prepare_texts(options: PretrainStage | DistillStage, tokenizer: Any, corpora: Path, console: Console) -> TextData:
    """Tokenise what is not tokenised yet, and hold out the last blocks where no other text is named.

    Args:
        options: of the stage: which text, how much of it a block, how masked.
        tokenizer: fast, of the model.
        corpora: folder that keeps tokenised corpora for later stages.
        console: for progress.

    Raises:
        DataError: the text, or the held-out text, fills too few blocks.
    """
    sources, held_out, block = options.corpus or [], options.held_out, options.block
    corpus = open_corpus(sources, tokenizer, corpora, console, options.text_column)
    # Without other text one of its own blocks, or more, is held out.
    blocks = count_blocks(corpus, block, sources, least=1 if held_out else 2)
    if held_out:
        check_corpus = open_corpus(held_out, tokenizer, corpora, console, options.text_column)
        last = count_blocks(check_corpus, block, held_out)
        kept_back, checked = 0, min(HELD_OUT_BLOCKS, last)
    else:
        check_corpus, last = corpus, blocks
        kept_back = checked = min(HELD_OUT_BLOCKS, max(1, round(blocks * HELD_OUT_SHARE)))
    masking = options.masking
    seed = options.seed if masking.seed is None else masking.seed
    train = MaskedBlocks(corpus, tokenizer, masking, block, seed, range(blocks - kept_back))
    check = MaskedBlocks(check_corpus, tokenizer, masking, block, seed, range(last - checked, last))
    return TextData(train, check, corpus.tokens, corpus.documents)


def count_blocks(corpus: Corpus, block: int, sources: list[str], least: int = 1) -> int:
    """How many full blocks of ``block`` tokens a corpus fills.

    Raises:
        DataError: fewer than ``least``; the message names the sources.
    """
    blocks = corpus.blocks(block)
    if blocks < least:
        raise DataError(
            f"{', '.join(sources)}: {corpus.tokens:,} tokens fill {blocks} blocks of {block}; give more text, "
            f"at least {least} must be full"
        )
    return blocks


def open_corpus(
    sources: list[str],
    tokenizer: Any,
    corpora: Path,
    console: Console,
    text_column: str | None = None,
    split: str | None = None,
) -> Corpus:
    """The tokenised corpus of some sources, built when it is not there or not finished.

    Args:
        sources: the text.
        tokenizer: a fast one.
        corpora: folder of all corpora.
        console: for progress, and the text column where it is guessed.
        text_column: of tables; guessed when None.
        split: of hub data; train when None.
    """
    key = hash_text(fingerprint(sources), tokenizer.backend_tokenizer.to_str(), text_column or "", split or "")
    read = partial(read_texts, sources, text_column, split=split)
    with ranks.main_first():
        return _build_once(read, tokenizer, corpora / key[:16], key, console)


def _build_once(read: Callable[..., Iterator[str]], tokenizer: Any, folder: Path, key: str, console: Console) -> Corpus:
    index = read_index(folder)
    begun = index if index.get("key") == key else {}
    if begun.get("complete"):
        return Corpus(folder)
    # Reading is a hundred times faster than tokenising: a first pass tells how long the second will take.
    notes: list[str] = []
    total = sum(map(len, read(notes=notes)))
    for note in notes:
        console.print(note, highlight=False)
    with Meter("tokenising", console, total, begun.get("characters", 0), unit="characters").shown() as meter:
        corpus = build_corpus(read(), tokenizer, folder, key, meter.count)
    console.print(f"tokenised {corpus.documents:,} documents into {corpus.tokens:,} tokens", highlight=False)
    return corpus
