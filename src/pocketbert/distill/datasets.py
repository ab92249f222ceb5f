"""What the trainer draws from: masked blocks of a corpus, or the encoded rows of a task, by position."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from pocketbert.data.corpus import Corpus
from pocketbert.data.masking import MaskingTables, mask_block
from pocketbert.data.order import Position
from pocketbert.recipe import Masking
from pocketbert.tasks.base import Encoded, collate

Batch = dict[str, Tensor]
ROWS = "rows"
"""Key of a batch's sample numbers, for error messages."""


class MaskedBlocks(Dataset[dict[str, Any]]):
    """Full blocks of a corpus, masked anew each epoch.

    Args:
        corpus: the token stream.
        tokenizer: the one that made it.
        masking: rate, shares, options.
        block: tokens a block.
        seed: of the masks.
        samples: which blocks of the corpus; all when absent.
    """

    def __init__(
        self,
        corpus: Corpus,
        tokenizer: Any,
        masking: Masking,
        block: int,
        seed: int,
        samples: range | None = None,
    ) -> None:
        self.corpus = corpus
        self.block = block
        self.masking = masking
        self.seed = seed
        self.samples = samples if samples is not None else range(corpus.blocks(block))
        self.tables = MaskingTables.of(tokenizer, masking, corpus.counts)
        self._first, self._last = tokenizer.cls_token_id, tokenizer.sep_token_id

    lengths: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, position: Position) -> dict[str, Any]:
        sample = self.samples[position.sample]
        ids = self.corpus.block(sample, self.block, self._first, self._last)
        inputs, labels = mask_block(ids, self.masking, self.tables, self.seed, position.epoch, sample)
        return {"input_ids": inputs, "labels": labels, ROWS: sample}

    def collate(self, samples: Sequence[dict[str, Any]]) -> Batch:
        """Stack blocks, all of one length, so no attention mask is needed."""
        return {key: torch.from_numpy(np.stack([sample[key] for sample in samples])) for key in samples[0]}

    def describe(self, rows: Sequence[int]) -> str:
        """Rows by number, for error messages."""
        return f"blocks {', '.join(map(str, rows))} of {self.corpus.folder}"


class EncodedRows(Dataset[dict[str, Any]]):
    """The encoded rows of a task.

    Args:
        encoded: features and examples.
        pad_token_id: what fills short rows.
    """

    def __init__(self, encoded: Encoded, pad_token_id: int) -> None:
        self.encoded = encoded
        self.pad_token_id = pad_token_id
        self.lengths: NDArray[np.int64] | None = encoded.lengths

    def __len__(self) -> int:
        return len(self.encoded)

    def __getitem__(self, position: Position) -> dict[str, Any]:
        return {**self.encoded.features[position.sample], ROWS: position.sample}

    def labelled(self) -> "EncodedRows":
        """Those rows of which somebody says what is right."""
        encoded = self.encoded
        known = [row for row, example in enumerate(encoded.example_of) if encoded.examples[example].target is not None]
        if len(known) == len(self):
            return self
        return EncodedRows(
            replace(
                encoded,
                features=[encoded.features[row] for row in known],
                example_of=[encoded.example_of[row] for row in known],
                places=[encoded.places[row] for row in known if encoded.places],
            ),
            self.pad_token_id,
        )

    def collate(self, samples: Sequence[dict[str, Any]]) -> Batch:
        """Pad to the longest row, and no further: rounding up cost SST-2 a fifth of its tokens.

        Rows of one length come without an attention mask, as blocks do: models would wait for a GPU to say so.
        """
        arrays = collate(samples, self.pad_token_id)
        if "attention_mask" in arrays and arrays["attention_mask"].all():
            del arrays["attention_mask"]
        return {key: torch.from_numpy(value) for key, value in arrays.items()}

    def describe(self, rows: Sequence[int]) -> str:
        """Where the rows stand in their files, for error messages."""
        return "; ".join(self.encoded.examples[self.encoded.example_of[row]].where for row in rows)
