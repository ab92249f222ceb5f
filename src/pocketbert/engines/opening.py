"""Opening an exported file with the engine that it is for."""

from importlib import import_module
from pathlib import Path
from typing import Any

from pocketbert.engines.base import Engine
from pocketbert.errors import ModelError, PocketBertError

_ENGINES = {
    ".onnx": ("onnxruntime", "OnnxRuntimeEngine"),
    ".xml": ("openvino", "OpenVinoEngine"),
}
"""By ending: the module and its class."""


def open_file(path: Path, threads: int | None = None) -> Engine:
    """Open a file.

    Args:
        path: an ``.onnx`` file, or the ``.xml`` of an OpenVINO IR.
        threads: of one call; all cores that the process was granted when absent.

    Raises:
        ModelError: there is no such file, it is damaged, or it does not say what it is.
        PocketBertError: the library that runs it is not installed.
    """
    if path.suffix not in _ENGINES:
        raise ModelError(f"{path}: not a file that an engine runs; those end in {', '.join(_ENGINES)}")
    if not path.is_file():
        raise ModelError(f"{path}: no such file")
    name, kind = _ENGINES[path.suffix]
    try:
        module: Any = import_module(f"pocketbert.engines.{name}")
    except ModuleNotFoundError as error:
        raise PocketBertError(f"{path}: {error.name} is not installed; pip install 'pocketbert[{name}]'") from None
    engine: Engine = getattr(module, kind)(path, threads)
    return engine
