"""Tiny tokenizers, made on the spot, and rows."""

from collections.abc import Callable
from typing import Any

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import BertTokenizerFast, PreTrainedTokenizerFast, RobertaTokenizerFast

from pocketbert.data.records import Record
from pocketbert.recipe import Data
from pocketbert.tasks.base import Task
from pocketbert.tasks.registry import make_task

TEXTS = [
    "the cat sat on the mat .",
    "a dog ran away from the park in paris !",
    "who ran away ? the dog named rex ran away from berlin in 1999 , not john smith .",
]


@pytest.fixture(scope="session")
def wordpiece() -> BertTokenizerFast:
    """Lower-casing WordPiece of whole words, letters and digits, ``[CLS]`` first."""
    words = sorted({word for text in TEXTS for word in text.split()})
    letters = list("abcdefghijklmnopqrstuvwxyz0123456789")
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters), *words]
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    return BertTokenizerFast(vocab=vocabulary, do_lower_case=True)


def byte_level(sequence: bool = False) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    split = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(), split]) if sequence else split
    trainer = trainers.BpeTrainer(
        vocab_size=330,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    return tokenizer


@pytest.fixture
def roberta() -> RobertaTokenizerFast:
    """Byte-level BPE without token types; made anew, since token classification changes its setting."""
    return RobertaTokenizerFast(tokenizer_object=byte_level())


@pytest.fixture
def byte_sequence() -> PreTrainedTokenizerFast:
    """Byte-level BPE behind another pre-tokenizer."""
    return PreTrainedTokenizerFast(
        tokenizer_object=byte_level(sequence=True), cls_token="<s>", sep_token="</s>", pad_token="<pad>"
    )


@pytest.fixture(scope="session")
def classifier_last() -> PreTrainedTokenizerFast:
    """Whole words, with the classifier token at the end."""
    words = sorted({word for text in TEXTS for word in text.split()})
    vocabulary = {word: number for number, word in enumerate(["<pad>", "<unk>", "<sep>", "<cls>", *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A <sep> <cls>", pair="$A <sep> $B <sep> <cls>", special_tokens=[("<sep>", 2), ("<cls>", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        cls_token="<cls>",
        sep_token="<sep>",
        pad_token="<pad>",
        unk_token="<unk>",
        padding_side="left",
    )


@pytest.fixture(scope="session")
def rows() -> Callable[..., list[Record]]:
    """Rows of a file from their values."""

    def make(*values: dict[str, Any], file: str = "train.csv") -> list[Record]:
        return [Record(value, f"{file} row {number}") for number, value in enumerate(values, start=1)]

    return make


@pytest.fixture(scope="session")
def make() -> Callable[..., Task]:
    """A task from the fields of a data section."""
    return lambda task, **fields: make_task(Data(task=task, **fields))
