"""From texts to windows: what a model is given, and where it came from."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tokenizers import Encoding, Regex, Tokenizer
from tokenizers.pre_tokenizers import PreTokenizer, Split

from pocketbert.engines.description import Description
from pocketbert.engines.encoding import load_tokenizer
from pocketbert.errors import DataError, ModelError

TooLong = Literal["windows", "truncate"]
"""What becomes of a text that is longer than the model takes: it is read in windows, or cut."""

Kind = Literal["text", "words", "context"]
"""A text or a pair of them; the words of one; a question and the context that it is read with in windows."""

_OVERLAP = 4
"""Windows in which places are looked for share a quarter, so that what one cuts in two the next holds whole."""

_LONG = 4
"""Characters for each token that the model takes, from which on a text of a pair is shortened first."""

_WORD = Regex(r"[^\s\p{P}]+(?:\p{P}+[^\s\p{P}]+)*|\p{P}")
"""A word as people write it: punctuation around a word is a word of its own, within one it is not. As on the page."""


@dataclass(frozen=True, slots=True)
class Window:
    """What a model is given at once.

    Attributes:
        ids: of its tokens, special tokens included.
        types: of its tokens; None where all are 0.
        wanted: places of the tokens whose logits are kept; all when None. Those of a masked language model are as wide
            as its vocabulary, and only its gaps are asked for.
    """

    ids: list[int]
    types: list[int] | None = None
    wanted: list[int] | None = None


@dataclass(frozen=True, slots=True)
class Read:
    """A text as windows.

    Attributes:
        windows: one at least.
        truncated: whether a part of the text is in none of them.
        encodings: of the tokenizer, a window each; empty where nobody asks for places.
    """

    windows: list[Window]
    truncated: bool
    encodings: list[Encoding]

    @property
    def tokens(self) -> int:
        """Of all windows."""
        return sum(len(window.ids) for window in self.windows)


class Reader:
    """The tokenizer of a model directory, for one kind of input. Safe to use from several threads.

    Args:
        folder: holds ``tokenizer.json``.
        description: of the model.
        kind: of input.

    Raises:
        ModelError: the file is missing or damaged.
    """

    def __init__(self, folder: Path, description: Description, kind: Kind) -> None:
        self.kind, self.max_length = kind, description.max_length
        self.tokenizer: Tokenizer = load_tokenizer(folder)
        overlap = 0 if kind == "text" else description.max_length // _OVERLAP
        strategy = "only_second" if kind == "context" else "longest_first"
        self._room = description.max_length - self.tokenizer.num_special_tokens_to_add(kind != "words")
        if self._room <= overlap:
            raise ModelError(f"{folder}: texts of {description.max_length} tokens leave no room for words")
        self._overlap = overlap
        # Questions are counted by a tokenizer that does not cut: one that cuts contexts refuses a question alone.
        self._questions: Tokenizer | None = load_tokenizer(folder) if kind == "context" else None
        self.tokenizer.enable_truncation(description.max_length, stride=overlap, strategy=strategy)

    def read(self, inputs: Sequence[Any], too_long: TooLong) -> list[Read]:
        """Read inputs.

        Args:
            inputs: strings, pairs of strings, or lists of words, by the kind.
            too_long: whether a text that is too long is cut or comes in several windows; pairs are always cut.

        Raises:
            DataError: a question leaves no room for its context.
        """
        if self._questions:
            self._check_room(self._questions, [question for question, _ in inputs])
        if self.kind == "text":
            inputs = [self._shorten(each) if isinstance(each, tuple) else each for each in inputs]
        encode = self.tokenizer.encode_batch_fast if self.kind == "text" else self.tokenizer.encode_batch
        found = encode(list(inputs), is_pretokenized=self.kind == "words")
        return [self._windows(encoding, each, too_long) for encoding, each in zip(found, inputs, strict=True)]

    def _shorten(self, pair: tuple[str, str]) -> tuple[str, ...]:
        """A pair without what is cut in any case.

        The tokenizer would make each combination of a window's worth of one text with one of the other, as many as the
        square of their lengths. A few are left of each: the words around the cut stay whole, and the longer text the
        longer one, for it gets the odd token.
        """
        if max(map(len, pair)) <= _LONG * self.max_length:
            return pair
        found = [self.tokenizer.encode(text, add_special_tokens=False) for text in pair]
        windows = [[each, *each.overflowing] for each in found]
        first, second = (sum(len(window.ids) for window in each) for each in windows)
        kept = (2, 4) if first <= second else (4, 2)
        return tuple(
            text[: each[count - 1].offsets[-1][1]] if len(each) > count else text
            for text, each, count in zip(pair, windows, kept, strict=True)
        )

    def _windows(self, encoding: Encoding, given: Any, too_long: TooLong) -> Read:
        pair, more = isinstance(given, tuple), encoding.overflowing
        cut = too_long == "truncate" or (pair and self.kind == "text")
        parts = [encoding] if cut else [encoding, *more]
        windows = [Window(part.ids, part.type_ids if pair else None) for part in parts]
        return Read(windows, bool(more) and cut, [] if self.kind == "text" else parts)

    def _check_room(self, tokenizer: Tokenizer, questions: list[str]) -> None:
        lengths = [len(each.ids) for each in tokenizer.encode_batch_fast(questions, add_special_tokens=False)]
        for question, length in zip(questions, lengths, strict=True):
            left = max(self._room - length, 0)
            if left <= self._overlap:
                raise DataError(
                    f"the question {question[:60]!r} leaves {left} of {self.max_length} tokens to the context; it must "
                    f"leave more than {self._overlap}: shorten it"
                )


class WordSplitter:
    """Words of a running text, and where they stand."""

    def __init__(self) -> None:
        self._split: PreTokenizer = Split(_WORD, "removed", invert=True)

    def __call__(self, text: str) -> list[tuple[str, tuple[int, int]]]:
        """Each word with its first character and one past its last."""
        found: list[tuple[str, tuple[int, int]]] = self._split.pre_tokenize_str(text)
        return found


def special_token(folder: Path, name: str) -> str:
    """A special token of a model directory, such as its ``mask_token``.

    Raises:
        ModelError: the directory does not name it.
    """
    path = folder / "tokenizer_config.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))[name]
        return str(found["content"] if isinstance(found, dict) else found)
    except (OSError, ValueError, KeyError, TypeError):
        raise ModelError(f"{path}: does not name the {name}; save the tokenizer again") from None
