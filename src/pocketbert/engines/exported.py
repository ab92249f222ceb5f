"""Which engine runs which file, and what belongs to a file."""

from importlib import import_module
from pathlib import Path
from typing import Any

from pocketbert.engines.base import Engine
from pocketbert.errors import ModelError, NotInstalled

_ENGINES = {
    ".onnx": ("engines.onnxruntime", "OnnxRuntimeEngine"),
    ".xml": ("engines.openvino", "OpenVinoEngine"),
    ".pte": ("models.executorch_engine", "ExecuTorchEngine"),
}
"""By the ending of the file: the module of its engine, imported when there is such a file, and the class.

That of ExecuTorch lies with what needs torch, for its library does."""

SUFFIXES = tuple(_ENGINES)
"""Of the files that engines run."""


def is_exported(reference: str) -> bool:
    """Whether a reference names an exported file; a model directory or hub name otherwise.

    Raises:
        ModelError: it is a file of another kind.
    """
    path = Path(reference)
    if path.suffix in SUFFIXES and not path.is_dir():
        return True
    if path.is_file():
        raise ModelError(
            f"{reference}: no model; name a model directory, or an exported file: .onnx, .pte, or the .xml of OpenVINO"
        )
    return False


def open_file(path: Path, threads: int | None = None, streams: int = 1) -> Engine:
    """Load a file into its engine.

    Args:
        path: ``.onnx`` for ONNX Runtime, ``.xml`` for OpenVINO, ``.pte`` for ExecuTorch.
        threads: of all calls together; all cores that the process was granted when absent.
        streams: calls that run at once, from as many threads of the caller, and share the threads.

    Raises:
        ModelError: there is no such file, it is damaged or does not say what it is.
        NotInstalled: the library of its engine is not there.
    """
    if path.suffix not in _ENGINES:
        raise ModelError(f"{path}: no engine runs such a file; those that do end in {', '.join(SUFFIXES)}")
    missing = [part for part in (path, *_companions(path)) if not part.is_file()]
    if missing:
        raise ModelError(f"{missing[0]}: no such file; `pocketbert export` makes it")
    name, kind = _ENGINES[path.suffix]
    try:
        module: Any = import_module(f"pocketbert.{name}")
    except ModuleNotFoundError as error:
        raise NotInstalled(f"{path}: needs {error.name}; pip install {error.name}") from None
    engine: Engine = getattr(module, kind)(path, threads, streams)
    return engine


def model_folder(path: Path) -> Path:
    """The model directory that a file lies in, one folder down: ``DIR/onnx/model.onnx`` belongs to ``DIR``.

    Raises:
        ModelError: there is none.
    """
    folder = path.absolute().parent.parent
    if not (folder / "config.json").is_file():
        raise ModelError(
            f"{path}: lies in no model directory ({folder} has no config.json); its tokenizer is looked for there"
        )
    return folder


def exported_files(folder: Path) -> list[str]:
    """References of the files of a model directory that are for a server: neither for a phone nor for a browser."""
    return [str(path) for name in ("onnx/*.onnx", "openvino/*.xml") for path in sorted(folder.glob(name))]


def files_of(path: Path) -> list[Path]:
    """All files that an engine reads for this one: weights may lie beside it."""
    beside = sorted(path.parent.glob(f"{path.name}?data*")) if path.suffix == ".onnx" else []
    return [path, *_companions(path), *beside]


def _companions(path: Path) -> list[Path]:
    """Files without which this one is nothing."""
    return [path.with_suffix(".bin")] if path.suffix == ".xml" else []
