"""ExecuTorch, which runs ``.pte`` files on phones; here by its Python runtime, which itself needs torch."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pocketbert.engines.base import Inputs, Logits, arrange_outputs
from pocketbert.engines.description import PREFIX, Description
from pocketbert.errors import DataError, ModelError
from pocketbert.machine import granted_cores

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import executorch.kernels.quantized  # noqa: F401 - brings the operators of int8 embeddings
    from executorch.extension.pybindings.portable_lib import _unsafe_reset_threadpool
    from executorch.runtime import Runtime

METHOD = "tokens_"
"""Of the name of a method; the number of tokens that it takes follows."""

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
"""In the order in which a method takes them; the last of them only where the model does."""


class ExecuTorchEngine:
    """A program with a method for each of its fixed lengths; see :class:`~pocketbert.engines.base.Engine`.

    A text is padded to the shortest length that holds it and runs alone: a program takes one at a time.

    Args:
        path: the ``.pte`` file.
        threads: of one call; all cores that the process was granted when absent. All programs of a process share
            them, so the last engine that was opened decides.
        streams: calls that run at once: one, for a program has one state.

    Attributes:
        lengths: tokens that the methods take, the shortest first.

    Raises:
        ModelError: the file is damaged or does not say what it is, or several streams are wanted.
    """

    name = "executorch"

    def __init__(self, path: Path, threads: int | None = None, streams: int = 1) -> None:
        if streams != 1:
            raise ModelError(f"{path}: ExecuTorch runs one call at a time; open it with one stream")
        self._path = path
        with _reported(path):
            _unsafe_reset_threadpool(threads or granted_cores())
            self._program = Runtime.get().load_program(path)
            names = self._program.method_names
            facts = [name for name in names if name.startswith(PREFIX)]
            said = {name: self._program.load_method(name).execute([])[0] for name in facts}
        self.description = Description.from_metadata(said, str(path))
        self.lengths = sorted(int(name.removeprefix(METHOD)) for name in names if name.startswith(METHOD))
        taken = self._program.metadata(f"{METHOD}{self.lengths[0]}").num_inputs()
        self.inputs = frozenset(INPUTS[:taken])

    def run(self, inputs: Inputs) -> Logits:
        """Logits of a padded batch, zero where a token is padding; see :class:`~pocketbert.engines.base.Engine`.

        Raises:
            DataError: a text is longer than the longest method takes.
            ModelError: the file is damaged where its head does not show it.
        """
        rows = range(len(inputs["input_ids"]))
        return np.stack([self._run_row({name: array[row] for name, array in inputs.items()}) for row in rows])

    def _run_row(self, row: dict[str, NDArray[np.int64]]) -> Logits:
        """The logits of one text: (tokens,) arrays → (labels,), (tokens, labels) or (tokens, 2)."""
        tokens = int(np.flatnonzero(row["attention_mask"])[-1]) + 1  # without the padding of its batch
        length = self._length_for(tokens)
        feed = [self._fit(row[name][:tokens], length, name) for name in INPUTS if name in self.inputs]
        with _reported(self._path):
            # Loaded when it is first wanted, and kept: each has a copy of the weights, arranged for its kernels.
            outputs = self._program.load_method(f"{METHOD}{length}").execute(feed)
        names = ["start_logits", "end_logits"] if len(outputs) > 1 else ["logits"]
        logits: Logits = arrange_outputs(dict(zip(names, outputs, strict=True)))[0]
        if logits.ndim == 1:
            return logits
        return np.pad(logits[:tokens], ((0, len(row["input_ids"]) - tokens), (0, 0)))

    def _fit(self, values: NDArray[np.int64], length: int, name: str) -> torch.Tensor:
        """(tokens,) → (1, length), with padding at the end."""
        fill = self.description.pad_token_id if name == "input_ids" else 0
        return torch.from_numpy(np.pad(values, (0, length - len(values)), constant_values=fill)[None])

    def _length_for(self, tokens: int) -> int:
        for length in self.lengths:
            if length >= tokens:
                return length
        raise DataError(f"{self._path}: takes at most {self.lengths[-1]} tokens, a text has {tokens}; cut it")


@contextmanager
def _reported(path: Path) -> Iterator[None]:
    """The library's complaints as errors of ours; what it writes to standard error beside them goes nowhere.

    Raises:
        ModelError: the file is damaged.
    """
    try:
        with redirect_stderr(io.StringIO()):
            yield
    except RuntimeError as error:
        raise ModelError(f"{path}: ExecuTorch cannot run it: {error}; export it again") from None
