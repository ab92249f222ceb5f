"""From text to token ids with ``tokenizer.json`` alone: what a file is given wherever it runs."""

from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from pocketbert.errors import DataError, ModelError
from pocketbert.tasks.base import Feature

Text = str | list[str]
"""A text, or the words of one."""


def load_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer of a model directory, without padding.

    Raises:
        ModelError: ``tokenizer.json`` is missing or damaged.
    """
    path = folder / "tokenizer.json"
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing more specific
        raise ModelError(f"{path}: cannot be read as a tokenizer ({error}); export the model again") from None
    tokenizer.no_padding()
    return tokenizer


class TextEncoder:
    """The tokenizer of a model directory.

    Args:
        folder: holds ``tokenizer.json``.
        max_length: tokens that a text is cut to, special tokens included.
        spans: whether texts are questions and their pairs contexts, of which only the context is cut.

    Raises:
        ModelError: the file is missing or damaged.
    """

    def __init__(self, folder: Path, max_length: int, spans: bool = False) -> None:
        self._tokenizer = load_tokenizer(folder)
        self._tokenizer.enable_truncation(max_length, strategy="only_second" if spans else "longest_first")

    def __call__(self, text: Text, pair: str | None = None) -> Feature:
        """Model inputs of one text: ``input_ids``, ``attention_mask`` and ``token_type_ids``, a value per token.

        Raises:
            DataError: a question alone is longer than a file takes.
        """
        try:
            found: Any = self._tokenizer.encode(text, pair, is_pretokenized=isinstance(text, list))
        except Exception as error:  # the library raises nothing more specific
            raise DataError(f"{str(text)[:60]!r}: cannot be encoded ({error}); shorten it") from None
        return {"input_ids": found.ids, "attention_mask": found.attention_mask, "token_type_ids": found.type_ids}
