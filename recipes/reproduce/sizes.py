"""How large the teacher is, by the hardware: its shape, the text it reads, and the rates that go with them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

WIKIPEDIA = tuple(f"text/wikipedia_en_2015.{number:02d}.txt.zst" for number in range(8))
NEWS = "text/wikinews_en.00.txt.zst"
FILMS = "imdb/imdb.unsup.jsonl.zst"
NOVELS = "text/english_novels_100.txt.zst"


@dataclass(frozen=True)
class Size:
    """A teacher, and what is like it for all that is made from it.

    Attributes:
        hidden_size: width.
        heads: of attention.
        vocabulary: how the tokenizer comes about: fields of the stage ``pretrain``.
        corpus: text, by names inside the data folder.
        pairs: plain text that pairs are made of, by its name inside the data folder.
        start_layers: that learn first; copies of them are the teacher's.
        layers: of the teacher; a student has half of them.
        batch_size: blocks a step, of the few layers and of all.
        learning_rates: of the few layers and of all; general students learn at the latter.
        most_rate: highest learning rate on rows.
        dropout: on rows.
        block: tokens of a block of text.
        steps: length of every stage in the short form, instead of time.
        limit: rows of pairs; those of ``recipes/pairs.yaml`` when absent.
    """

    hidden_size: int
    heads: int
    vocabulary: Mapping[str, Any]
    corpus: tuple[str, ...]
    pairs: str = NEWS
    start_layers: int = 3
    layers: int = 12
    batch_size: tuple[int, int] = (128, 128)
    learning_rates: tuple[float, float] = (5e-4, 4e-4)
    most_rate: float = 1e-4
    dropout: float = 0.1
    block: int = 128
    steps: int | None = None
    limit: int | None = None

    @property
    def student_layers(self) -> int:
        """Half of the teacher's."""
        return self.layers // 2


_PUBLISHED_VOCABULARY = {"tokenizer": "vocab/bert-base-uncased-vocab.txt"}

SIZES = {
    # As recipes/teacher.yaml and benchmarks/results.py have it, where it was measured.
    "small": Size(
        hidden_size=128,
        heads=4,
        vocabulary={"vocabulary": 12000},
        corpus=(NEWS, FILMS, *WIKIPEDIA[:2]),
        batch_size=(16, 32),
        learning_rates=(1e-3, 5e-4),
        most_rate=1e-3,
        dropout=0.0,
    ),
    "medium": Size(512, 8, _PUBLISHED_VOCABULARY, (NEWS, FILMS, *WIKIPEDIA, NOVELS)),
    "base": Size(768, 12, _PUBLISHED_VOCABULARY, (NEWS, FILMS, *WIKIPEDIA, NOVELS), learning_rates=(4e-4, 3e-4)),
}

SHORT = Size(
    hidden_size=32,
    heads=2,
    vocabulary={"vocabulary": 2000},
    corpus=("embedded:text",),
    pairs="embedded:text",
    start_layers=1,
    layers=2,
    batch_size=(8, 8),
    most_rate=1e-3,
    block=32,
    steps=2,
    limit=200,
)
"""The short form: embedded data and a few steps, so that it needs neither file nor time."""


def default_size() -> str:
    """The size that this machine is for: narrow without a GPU, wider with one."""
    return "medium" if torch.cuda.is_available() else "small"
