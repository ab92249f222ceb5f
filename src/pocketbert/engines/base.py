"""What every engine is: a loaded file that turns token ids into logits."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pocketbert.engines.description import Description

Inputs = Mapping[str, NDArray[np.int64]]
"""``input_ids``, ``attention_mask`` and, for some families, ``token_type_ids``: each (batch, tokens)."""

Logits = NDArray[np.float32]
"""(batch, labels) for whole texts, (batch, tokens, labels) for tokens, (batch, tokens, 2) start and end for spans,
(batch, width) for embeddings."""

_NO_MEMORY = ("Failed to allocate", "bad_alloc", "bad allocation")
"""How libraries say that there is no memory left, where they do not raise a MemoryError."""


class Engine(Protocol):
    """A model that is ready to run.

    Attributes:
        name: of the library that runs it: ``onnxruntime``, ``openvino``, ``torch``.
        inputs: names of the arrays that it takes; others are left out.
        description: what the file says about itself.
    """

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def inputs(self) -> frozenset[str]: ...  # noqa: D102

    @property
    def description(self) -> Description: ...  # noqa: D102

    def run(self, inputs: Inputs) -> Logits:
        """Logits of a padded batch, in fp32.

        Raises:
            ModelError: the library fails.
            MemoryError: there is no memory left, which is no fault of the file or the texts.
        """
        ...


def lacks_memory(error: Exception) -> bool:
    """Whether an error of a library says that there is no memory left."""
    return isinstance(error, MemoryError) or any(words in str(error) for words in _NO_MEMORY)


def arrange_outputs(outputs: Mapping[str, Any]) -> Logits:
    """The one array of an answer: start and end of spans are stacked, every other model has a single output."""
    if "start_logits" in outputs:
        spans = [np.asarray(outputs[name], dtype=np.float32) for name in ("start_logits", "end_logits")]
        return np.stack(spans, axis=-1)  # (batch, tokens, 2)
    (only,) = outputs.values()
    logits: Logits = np.asarray(only, dtype=np.float32)
    return logits
