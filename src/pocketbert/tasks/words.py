"""From words to tokens and back."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import pre_tokenizers, processors


def first_tokens(word_ids: Sequence[int | None], words: int) -> NDArray[np.int32]:
    """Where each word starts.

    Args:
        word_ids: for each token the number of its word; None for special tokens.
        words: how many words the row has.

    Returns:
        (words,) position of the word's first token; -1 where it was cut off or nothing of it is left.
    """
    numbers, first = np.unique([-1 if word is None else word for word in word_ids], return_index=True)
    places = np.full(words, -1, dtype=np.int32)
    places[numbers[numbers >= 0]] = first[numbers >= 0]
    return places


def mark_word_starts(tokenizer: Any) -> None:
    """Let a byte-level tokenizer put a space before every word; others need nothing.

    Without the space, a word of a list is read as the middle of another word, which no model has learnt.
    """
    for part in _parts(tokenizer.backend_tokenizer.pre_tokenizer):
        if isinstance(part, pre_tokenizers.ByteLevel) and not part.add_prefix_space:
            part.add_prefix_space = True
            tokenizer.add_prefix_space = True  # what transformers saves and restores
            post_processor = tokenizer.backend_tokenizer.post_processor
            if isinstance(post_processor, processors.RobertaProcessing):
                post_processor.add_prefix_space = True  # or the first word would lose its first character


def _parts(pre_tokenizer: Any) -> Iterator[Any]:
    is_sequence = isinstance(pre_tokenizer, pre_tokenizers.Sequence)
    yield from pre_tokenizer if is_sequence else [pre_tokenizer]
