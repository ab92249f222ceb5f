"""Fill-mask: what may stand in the gaps of a text, by a masked language model."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pocketbert.engines.base import Engine, Logits
from pocketbert.errors import DataError, ModelError
from pocketbert.inference.pipeline import Options, Pipeline
from pocketbert.inference.reading import Read, Window, special_token
from pocketbert.inference.results import Filled, Guess
from pocketbert.inference.texts import check_count, check_text, softmax


@dataclass(frozen=True, slots=True)
class MaskOptions(Options):
    """Of fill-mask.

    Attributes:
        top_k: how many guesses to give for each gap.
    """

    top_k: int = 5

    def __post_init__(self) -> None:
        """Refuse what is no option; see :class:`~pocketbert.inference.pipeline.Options`."""
        Options.__post_init__(self)
        check_count("top_k", self.top_k)


class MaskPipeline(Pipeline[str, Filled]):
    """Guesses for each gap, written as the model's own mask token.

    Attributes:
        mask_token: that marks a gap.
    """

    task = "masked_lm"
    options = MaskOptions()

    def __init__(self, folder: Path, path: str, engine: Engine, streams: int = 1) -> None:
        super().__init__(folder, path, engine, streams)
        self.mask_token = special_token(folder, "mask_token")
        mask = self.reader.tokenizer.token_to_id(self.mask_token)
        if mask is None:
            raise ModelError(f"{folder}: the tokenizer does not know its mask token {self.mask_token!r}")
        self._mask: int = mask

    def check(self, given: str) -> Hashable:
        """A string with a gap at least; see :meth:`~pocketbert.inference.pipeline.Pipeline.check`."""
        check_text(given, pairs=False)
        if self.mask_token not in given:
            raise DataError(f"{given[:60]!r} has no gap: write {self.mask_token} where a word is to be guessed")
        return given

    def read(self, inputs: Sequence[str], options: Options) -> list[Read]:
        """Texts as windows that want their gaps alone; see :class:`~pocketbert.inference.reading.Reader`."""
        return [
            replace(read, windows=[self._gaps(window) for window in read.windows])
            for read in super().read(inputs, options)
        ]

    def _gaps(self, window: Window) -> Window:
        return replace(window, wanted=[place for place, number in enumerate(window.ids) if number == self._mask])

    def answer(
        self, inputs: Sequence[str], reads: Sequence[Read], logits: Sequence[Logits], options: MaskOptions
    ) -> list[Filled]:
        """See :meth:`~pocketbert.inference.pipeline.Pipeline.answer`."""
        remaining = iter(logits)
        return [
            self._filled(text, read, [next(remaining) for _ in read.windows], options)
            for text, read in zip(inputs, reads, strict=True)
        ]

    def _filled(self, text: str, read: Read, logits: Sequence[Any], options: MaskOptions) -> Filled:
        rows = [row for values in logits for row in values]
        parts = text.split(self.mask_token)
        gaps = []
        for gap, row in enumerate(rows, start=1):
            sides = self.mask_token.join(parts[:gap]), self.mask_token.join(parts[gap:])
            gaps.append(self._guesses(sides, softmax(row), options.top_k))
        return Filled(read.truncated, read.tokens, gaps)

    def _guesses(self, sides: tuple[str, str], shares: Any, count: int) -> list[Guess]:
        best = np.argpartition(-shares, min(count, len(shares)) - 1)[:count]
        order = best[np.argsort(-shares[best], kind="stable")]
        tokens = [
            self.reader.tokenizer.decode([number], skip_special_tokens=False).strip() for number in order.tolist()
        ]
        return [
            Guess(number, token, float(shares[number]), _fill(sides, token))
            for token, number in zip(tokens, order.tolist(), strict=True)
        ]


def _fill(sides: tuple[str, str], token: str) -> str:
    """A text with a piece in one of its gaps; a piece that goes on a word does so."""
    before, after = sides
    piece = token.removeprefix("##")
    return (before.rstrip() if piece != token else before) + piece + after
