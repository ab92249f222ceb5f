"""Golden answers: texts, and what the model answered to them before it was exported.

They lie in the model directory, so that any machine can find out whether it computes the same.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, TypeAdapter
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from pocketbert.engines.base import Logits
from pocketbert.engines.encoding import Text
from pocketbert.errors import ModelError

FOLDER = "golden"
TEXTS = "texts.json"
ANSWERS = "answers.safetensors"

_PIECES = 256
"""Of a masked language model's vocabulary: the logits of all pieces would be larger than the model."""


class GoldenText(BaseModel):
    """A text that a file is tried on.

    Attributes:
        text: a text, a question, or words.
        pair: the second text, or the context.
        what: why it is there, such as ``emoji`` or ``row 17``.
    """

    text: Text
    pair: str | None = None
    what: str


_TEXTS = TypeAdapter(Annotated[list[GoldenText], Field(min_length=1)])


class Golden:
    """Texts and their answers.

    Attributes:
        texts: in order.
        ids: (2, tokens) of each: token ids and token types, as its tokenizer gave them.
        logits: of each alone, as :func:`condense` leaves them.
    """

    def __init__(self, texts: Sequence[GoldenText], ids: Sequence[NDArray[np.int64]], logits: Sequence[Logits]) -> None:
        self.texts, self.ids, self.logits = list(texts), list(ids), list(logits)

    def write(self, folder: Path) -> None:
        """Write ``texts.json`` and ``answers.safetensors`` into a new folder."""
        folder.mkdir(parents=True)
        texts = [text.model_dump(exclude_none=True) for text in self.texts]
        (folder / TEXTS).write_text(json.dumps(texts, ensure_ascii=False, indent=1), encoding="utf-8")
        arrays = {f"ids.{number}": values for number, values in enumerate(self.ids)}
        arrays |= {f"logits.{number}": np.ascontiguousarray(values) for number, values in enumerate(self.logits)}
        save_file(arrays, folder / ANSWERS)

    @classmethod
    def read(cls, folder: Path) -> "Golden":
        """Read what :meth:`write` wrote.

        Raises:
            ModelError: it is missing or damaged.
        """
        try:
            texts = _TEXTS.validate_json((folder / TEXTS).read_bytes())
            arrays = load_file(folder / ANSWERS)
            numbers = range(len(texts))
            ids, logits = ([arrays[f"{name}.{n}"] for n in numbers] for name in ("ids", "logits"))
            _check_shapes(ids, logits)
            return cls(texts, ids, logits)
        except (OSError, ValueError, SafetensorError, KeyError) as error:
            reason = str(error).splitlines()[0]
            raise ModelError(f"{folder}: the golden answers cannot be read ({reason}); export again") from None


def _check_shapes(ids: Sequence[NDArray[np.int64]], logits: Sequence[Logits]) -> None:
    """Refuse arrays that no export writes.

    Raises:
        ValueError: which they are.
    """
    for number, (read, answered) in enumerate(zip(ids, logits, strict=True)):
        if read.ndim != 2 or len(read) != 2 or not read.size or read.dtype != np.int64 or read.min() < 0:
            raise ValueError(f"ids.{number} are no token ids and types of a text")
        if not answered.ndim or not answered.size:
            raise ValueError(f"logits.{number} are empty")


def condense(logits: Logits, task: str) -> Logits:
    """Of the logits of one text those that are kept: all, but for the masked language model.

    Args:
        logits: (labels,), (tokens, labels), (tokens, 2), (width,) or (tokens, vocabulary).
        task: what is answered; ``masked_lm`` keeps up to 256 pieces, evenly spread, of every eighth token.
    """
    if task != "masked_lm":
        return logits
    step = max(1, logits.shape[-1] // _PIECES)
    return logits[::8, ::step][:, :_PIECES]
