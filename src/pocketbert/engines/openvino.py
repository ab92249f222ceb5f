"""OpenVINO: the fastest engine on most x86 processors."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray

from pocketbert.engines.base import Inputs, Logits, arrange_outputs, lacks_memory
from pocketbert.engines.batching import bucket
from pocketbert.engines.description import PREFIX, Description, Precision
from pocketbert.errors import ModelError
from pocketbert.machine import granted_cores, multiplies_bf16

CORE = openvino.Core()
"""The one instance of the library in a process.

Its thread pool gives signals a stack of their own and, when it ends, puts back what was there before. Two instances
that end in the order they began leave a stack that is gone, and the next signal ends the process.
"""


class OpenVinoEngine:
    """A compiled model on the CPU; see :class:`~pocketbert.engines.base.Engine`.

    Args:
        path: the ``.xml`` of an IR; its ``.bin`` lies beside it.
        threads: of all calls together; all cores that the process was granted when absent.
        streams: calls that run at once and share the threads.

    Raises:
        ModelError: the file is damaged or does not say what it is.
    """

    name = "openvino"

    def __init__(self, path: Path, threads: int | None = None, streams: int = 1) -> None:
        self._path, core = path, CORE
        with self._explained("load"):
            model = core.read_model(path)
        self.description = Description.from_metadata(_metadata(model), str(path))
        options = {"INFERENCE_NUM_THREADS": threads or granted_cores(), "NUM_STREAMS": streams}
        self._requests: SimpleQueue[openvino.InferRequest] = SimpleQueue()
        with self._explained("load"):
            compiled = _compile(core, model, options, _arithmetic(self.description.precision))
            for _ in range(streams):
                self._requests.put(compiled.create_infer_request())
        self.inputs = frozenset(port.get_any_name() for port in model.inputs)
        self._outputs = [port.get_any_name() for port in model.outputs]

    def run(self, inputs: Inputs) -> Logits:
        """Logits of a padded batch; see :class:`~pocketbert.engines.base.Engine`.

        The library compiles anew for each length, which costs many calls: lengths are rounded up to buckets.
        """
        tokens = inputs["input_ids"].shape[1]
        feed = {name: self._lengthen(name, array) for name, array in inputs.items() if name in self.inputs}
        request = self._requests.get()
        try:
            with self._explained("run"):
                found = request.infer(feed, share_inputs=True)
        finally:
            self._requests.put(request)
        logits = arrange_outputs({name: found[name] for name in self._outputs})
        return logits[:, :tokens] if logits.ndim > 2 else logits

    @contextmanager
    def _explained(self, verb: str) -> Iterator[None]:
        """The library's errors, in words for the person who has the file."""
        try:
            yield
        except RuntimeError as error:
            if lacks_memory(error):
                raise MemoryError(f"{self._path}: there is no memory left to {verb} it") from None
            raise ModelError(f"{self._path}: OpenVINO cannot {verb} it: {_last_line(error)}; export it again") from None

    def _lengthen(self, name: str, array: NDArray[np.int64]) -> NDArray[np.int64]:
        """Padding up to the next length that is run: (batch, tokens) → (batch, bucket)."""
        tokens = array.shape[1]
        more = bucket(tokens, self.description.max_length) - tokens
        fill = self.description.pad_token_id if name == "input_ids" else 0
        return np.pad(array, ((0, 0), (0, more)), constant_values=fill) if more else array


def _compile(core: openvino.Core, model: openvino.Model, options: dict[str, int], arithmetic: str) -> Any:
    """Compile for the processor; in fp32 where the library was told to leave its instructions for bf16 alone.

    Raises:
        RuntimeError: it cannot be compiled at all.
    """
    try:
        return core.compile_model(model, "CPU", options | {"INFERENCE_PRECISION_HINT": arithmetic})
    except RuntimeError:
        if arithmetic == "f32":
            raise
        return core.compile_model(model, "CPU", options | {"INFERENCE_PRECISION_HINT": "f32"})


def _arithmetic(precision: Precision) -> str:
    """In what a file computes; of an int8 file, what is not a product of int8, such as attention.

    It is said, for the library's own choice differs between processors. bf16 is for those that multiply it: others
    imitate it, at a thirtieth of the pace of fp32 (docs/lab-notes.md).
    """
    return "bf16" if precision in ("bf16", "int8") and multiplies_bf16() else "f32"


def _metadata(model: openvino.Model) -> dict[str, str]:
    own = PREFIX.rstrip(".")
    if not model.has_rt_info([own]):
        return {}
    return {PREFIX + name: str(value) for name, value in model.get_rt_info([own]).value.items()}


def _last_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1].strip()
