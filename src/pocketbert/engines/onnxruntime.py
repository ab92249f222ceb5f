"""ONNX Runtime: the engine that runs everywhere."""

from pathlib import Path

import onnxruntime

from pocketbert.engines.base import Inputs, Logits, arrange_outputs, lacks_memory
from pocketbert.engines.description import Description
from pocketbert.errors import ModelError
from pocketbert.machine import granted_cores, multiplies_int8

_LEFT_OUT = ["SkipLayerNormFusion"]
"""The library's kernel for an addition and the normalisation after it is slower than the two (docs/lab-notes.md)."""


_FOR_PRECISION = "Avx2WeightS8ToU8Transformer"
"""What x64quantprecision does to weights: each under a name of its own, but for products that share theirs."""
_CLASH = "Attempt to replace the existing tensor"
"""What the library then says. Such weights have seven bits (shrink/int8_onnx.py), which its usual kernel can add."""


class OnnxRuntimeEngine:
    """A session on the CPU; see :class:`~pocketbert.engines.base.Engine`.

    Args:
        path: the ONNX file.
        threads: of all calls together; all cores that the process was granted when absent.
        streams: calls that run at once and share the threads.

    Raises:
        ModelError: the file is damaged or does not say what it is.
    """

    name = "onnxruntime"

    def __init__(self, path: Path, threads: int | None = None, streams: int = 1) -> None:
        self._path = path
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = max(1, (threads or granted_cores()) // streams)
        options.log_severity_level = 3
        # Otherwise its threads turn for tens of milliseconds after each answer, in the way of whatever runs next.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        if not multiplies_int8():
            # Without instructions for int8 its usual kernel adds in 16 bits, which overflow; this one does not.
            options.add_session_config_entry("session.x64quantprecision", "1")
        try:
            self._session = _open(path, options)
        except Exception as error:  # the library's exceptions share no base but this
            raise ModelError(f"{path}: ONNX Runtime cannot load it: {_first_line(error)}; export it again") from None
        self.description = Description.from_metadata(self._session.get_modelmeta().custom_metadata_map, str(path))
        self.inputs = frozenset(each.name for each in self._session.get_inputs())
        self._outputs = [each.name for each in self._session.get_outputs()]

    def run(self, inputs: Inputs) -> Logits:
        """Logits of a padded batch; see :class:`~pocketbert.engines.base.Engine`."""
        feed = {name: array for name, array in inputs.items() if name in self.inputs}
        try:
            found = self._session.run(self._outputs, feed)
        except Exception as error:  # the library's exceptions share no base but this
            if lacks_memory(error):
                raise MemoryError(f"{self._path}: there is no memory left to run it") from None
            raise ModelError(
                f"{self._path}: ONNX Runtime cannot run it: {_first_line(error)}; export it again"
            ) from None
        return arrange_outputs(dict(zip(self._outputs, found, strict=True)))


def _open(path: Path, options: onnxruntime.SessionOptions) -> onnxruntime.InferenceSession:
    def attempt(left_out: list[str]) -> onnxruntime.InferenceSession:
        return onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"], disabled_optimizers=left_out
        )

    try:
        return attempt(_LEFT_OUT)
    except Exception as error:  # the library's exceptions share no base but this
        if _CLASH not in str(error):
            raise
        return attempt([*_LEFT_OUT, _FOR_PRECISION])


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
