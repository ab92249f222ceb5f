"""What an exported file says about itself: written into its metadata, read back by whoever runs it."""

import json
from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pocketbert.errors import ModelError

PREFIX = "pocketbert."
"""Of our keys among the metadata of a file."""

Precision = Literal["fp32", "fp16", "bf16", "int8"]


class Description(BaseModel):
    """What a file is.

    Attributes:
        task: what it answers, by its name in a recipe.
        labels: in the order of the logits; None where there are none.
        max_length: tokens of the longest text it is to be given, special tokens included.
        pad_token_id: what fills the short rows of a batch.
        precision: of its weights and arithmetic.
        pooling: how an embedding is made of the tokens, inside the file; None for other tasks.
        weights: hash of the weights it was made from.
    """

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    task: str
    labels: list[str] | None = None
    max_length: int = Field(gt=0)
    pad_token_id: int = Field(0, ge=0)
    precision: Precision = "fp32"
    pooling: Literal["mean", "cls"] | None = None
    weights: str = ""

    def to_metadata(self) -> dict[str, str]:
        """Keys and values for a file's metadata, each value readable by itself."""
        return {
            PREFIX + name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            for name, value in self.model_dump(exclude_none=True).items()
        }

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str], where: str) -> "Description":
        """Read what :meth:`to_metadata` wrote.

        Raises:
            ModelError: the file does not say what it is.
        """
        own = {key.removeprefix(PREFIX): value for key, value in metadata.items() if key.startswith(PREFIX)}
        texts = {"task", "precision", "pooling", "weights"}
        try:
            values = {name: value if name in texts else json.loads(value) for name, value in own.items()}
            return cls.model_validate(values)
        except (ValidationError, ValueError):
            raise ModelError(
                f"{where}: does not say what it is (task, labels, max_length); export it with PocketBERT"
            ) from None
