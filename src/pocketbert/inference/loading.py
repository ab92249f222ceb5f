"""From a model directory to a pipeline: which task, which file, how many threads."""

from pathlib import Path
from typing import Any, Literal, get_args

from pocketbert.engines.choice import EngineName, Opened, open_directory
from pocketbert.engines.description import Precision
from pocketbert.engines.exported import is_exported, model_folder, open_file
from pocketbert.errors import ModelError, PocketBertError
from pocketbert.inference.answers import AnswerPipeline
from pocketbert.inference.masks import MaskPipeline
from pocketbert.inference.pipeline import Pipeline
from pocketbert.inference.running import BATCH_TOKENS
from pocketbert.inference.texts import (
    ClassificationPipeline,
    EmbeddingPipeline,
    MultiLabelPipeline,
    RegressionPipeline,
)
from pocketbert.inference.tokens import TokenPipeline
from pocketbert.inference.zero_shot import ZeroShotPipeline
from pocketbert.machine import MOST_THREADS, granted_cores

PIPELINES: dict[str, type[Pipeline[Any, Any]]] = {
    kind.task: kind
    for kind in (
        ClassificationPipeline,
        MultiLabelPipeline,
        RegressionPipeline,
        TokenPipeline,
        AnswerPipeline,
        MaskPipeline,
        EmbeddingPipeline,
    )
}
"""By what a file says that it answers."""


def load(
    model: str | Path,
    task: Literal["zero_shot"] | None = None,
    *,
    engine: EngineName | Literal["auto"] = "auto",
    precision: Precision | None = None,
    threads: int | None = None,
    streams: int = 1,
    **options: Any,
) -> Pipeline[Any, Any]:
    """Make a pipeline of an exported model; needs neither torch nor transformers.

    Args:
        model: a directory that ``export`` made, or one of its files (``.onnx``, ``.xml``).
        task: ``zero_shot`` uses a model that tells entailment for labels of one's own; what the model says when absent.
        engine: that runs it; ``auto`` takes the fastest here of the files that answer right.
        precision: of the file; the fastest when absent.
        threads: of the engine; all cores that the process was granted when absent.
        streams: batches that run at once and share the threads. One is soonest with a single text; as many as there are
            threads get the most out of long lists.
        options: of every call, such as ``too_long="truncate"``; each call can change them.

    Returns:
        The pipeline of the task: call it with an input, or with a list of them.

    Raises:
        ModelError: it cannot be loaded, or none of its files answers right on this machine.
        PocketBertError: there is no such task or option.
    """
    count = granted_cores() if threads is None else threads
    if type(count) is not int or type(streams) is not int or not 1 <= streams <= count <= MOST_THREADS:
        raise PocketBertError(
            f"threads {count}, streams {streams}: from one stream to one for each thread, of {MOST_THREADS} at most"
        )
    if engine != "auto" and engine not in get_args(EngineName):
        raise PocketBertError(f"engine: {engine!r}: choose auto, {' or '.join(get_args(EngineName))}")
    folder, opened = _open(Path(model), engine, precision, count, streams)
    kind = _pipeline_of(opened.engine.description.task, task, folder)
    pipeline = kind(folder, opened.path, opened.engine, streams)
    pipeline.options = pipeline.options.changed(**options)
    return pipeline


def _open(
    model: Path, engine: EngineName | Literal["auto"], precision: Precision | None, threads: int, streams: int
) -> tuple[Path, Opened]:
    if is_exported(str(model)):
        folder = model_folder(model)
        if engine != "auto" or precision:
            raise PocketBertError(f"{model}: is one file; name its directory to choose an engine or a precision")
        return folder, Opened(str(model.absolute().relative_to(folder)), open_file(model, threads, streams))
    if not model.is_dir():
        raise ModelError(f"{model}: no such model directory; name one that pocketbert export made")
    wanted: EngineName | None = None if engine == "auto" else engine
    batch = BATCH_TOKENS if streams > 1 else None
    return model, open_directory(model, threads, streams, batch_tokens=batch, engine=wanted, precision=precision)


def _pipeline_of(said: str, wanted: str | None, folder: Path) -> type[Pipeline[Any, Any]]:
    if wanted is None or wanted == said:
        return PIPELINES[said]
    if wanted != ZeroShotPipeline.task:
        raise PocketBertError(f"task: {wanted!r}: {folder} answers {said}; leave it out, or ask for zero_shot")
    if said != ClassificationPipeline.task:
        raise PocketBertError(f"{folder}: answers {said}; zero_shot needs a classifier of pairs that tells entailment")
    return ZeroShotPipeline
