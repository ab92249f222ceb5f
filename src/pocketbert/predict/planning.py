"""From a call to its plan: the model is loaded, inputs are looked over, and what does not fit together is refused."""

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pocketbert.data.lines import COMPRESSED
from pocketbert.engines.exported import files_of, is_exported, model_folder
from pocketbert.errors import DataError, ModelError, PocketBertError
from pocketbert.files import hash_file
from pocketbert.inference.loading import load
from pocketbert.inference.pipeline import Pipeline
from pocketbert.machine import granted_cores
from pocketbert.predict.columns import choose_columns, order_columns
from pocketbert.predict.computing import asked_of, format_of_plan
from pocketbert.predict.formats import check_text_columns
from pocketbert.predict.options import PredictOptions
from pocketbert.predict.plan import Chosen, Fingerprint, Plan, Target, dump_schema
from pocketbert.predict.predictions import prediction_columns
from pocketbert.predict.scanning import Scan, infer_schema, names_of
from pocketbert.predict.sources import FORMATS, Source, take_print

_OF_MODEL = ("manifest.json", "tokenizer.json", "tokenizer_config.json")
"""Files of a model directory that predictions depend on, beside the one that runs."""


def load_model(model: Path, options: PredictOptions, chosen: Chosen | None) -> Pipeline[Any, Any]:
    """The pipeline for bulk: a stream for each thread, so that the threads there are change no digit.

    Args:
        model: a model directory, or one of its files.
        options: of the run.
        chosen: the file that began it; the fastest of those asked for when None.

    Raises:
        ModelError: it cannot be loaded, or the file that began is not to be had here.
    """
    threads = options.threads or granted_cores()
    asked: dict[str, Any] = {"engine": options.runtime, "precision": options.precision}
    if chosen and not is_exported(str(model)):
        asked = {"engine": chosen.engine, "precision": chosen.precision}
    pipeline = load(model, options.task, threads=threads, streams=threads, **asked)
    if chosen and pipeline.path != chosen.path:
        pipeline.close()
        raise ModelError(f"{model}: this run began with {chosen.path}, which does not answer right here; begin anew")
    return pipeline


def chosen_of(pipeline: Pipeline[Any, Any]) -> Chosen:
    """The file that a pipeline runs."""
    engine = pipeline.engine
    return Chosen(path=pipeline.path, engine=engine.name, precision=engine.description.precision)


def fingerprint(model: Path, path: str, options: PredictOptions, sources: Sequence[Source]) -> Fingerprint:
    """All that the output depends on, as it is now.

    Args:
        model: a model directory, or one of its files.
        path: of the file that runs, from the directory.
        options: of the run.
        sources: the inputs.

    Raises:
        DataError: an input cannot be read.
    """
    folder = model_folder(model) if is_exported(str(model)) else model
    files = [*(folder / name for name in _OF_MODEL), *files_of(folder / path)]
    return Fingerprint(
        version=version("pocketbert"),
        model={
            str(file.relative_to(folder.absolute() if file.is_absolute() else folder)): _hash(file) for file in files
        },
        options=options.shaping(),
        inputs=[take_print(source) for source in sources],
    )


def _hash(path: Path) -> str:
    return hash_file(path) if path.is_file() else "missing"


def target_of(output: str, sources: Sequence[Source]) -> Target:
    """What an output is by its name: a file, or where it has no ending that is known, a folder of parts.

    Raises:
        PocketBertError: Parquet cannot have such a name.
    """
    path = Path(output)
    compression: Any = path.suffix.lower() if path.suffix.lower() in COMPRESSED else ""
    kind = FORMATS.get((path.with_suffix("") if compression else path).suffix.lower())
    if kind == "parquet" and compression:
        raise PocketBertError(f"{output}: Parquet is compressed within; name it .parquet")
    if kind is None and path.suffix:
        raise PocketBertError(
            f"{output}: unknown ending {path.suffix!r}; known are {', '.join(FORMATS)} (.gz or .zst behind text); "
            "a name without ending is a folder of parts"
        )
    return Target(format=kind or sources[0].format, compression=compression, folder=kind is None)


def make_plan(
    model: Path, pipeline: Pipeline[Any, Any], options: PredictOptions, sources: Sequence[Source], target: Target
) -> tuple[Plan, str]:
    """The plan of a run.

    Returns:
        The plan, and what was guessed, in a sentence.

    Raises:
        DataError: an input cannot be read, or which column holds what cannot be told.
        PocketBertError: options or formats do not go together.
    """
    asked_of(pipeline, options)
    chosen = chosen_of(pipeline)
    print_ = fingerprint(model, chosen.path, options, sources)
    header = not any((getattr(options, role) or "").isdecimal() for role in ("text", "pair", "question", "context"))
    scan = Scan(sources, options.part_rows, header)
    sample = scan.sample()
    names = scan.heads[0].names or names_of(sample)
    if not names:
        raise DataError(f"{sources[0].name}: no line holds columns; write one JSON object a line. {scan.first_fault()}")
    guess = choose_columns(sources[0].name, pipeline.task, options, names, sample)
    width = len(pipeline("text").vector) if pipeline.task == "embedding" else 0
    _check_names(sources[0].name, names, pipeline.task, options)
    plan = Plan(
        fingerprint=print_,
        model=str(model.absolute()),
        chosen=chosen,
        sources=list(sources),
        heads=scan.heads,
        names=[] if target.format == sources[0].format == "jsonl" else names,
        table=_table(scan, target, names, sample),
        width=width,
        columns=order_columns(guess.columns),
        target=target,
        parts=scan.parts,
    )
    format_of_plan(plan, pipeline.task)
    return plan, guess.note


def _check_names(where: str, names: Sequence[str], task: str, options: PredictOptions) -> None:
    columns = [column.name for column in prediction_columns(task, options, 1)]
    if clash := [name for name in columns if name in names]:
        raise PocketBertError(
            f"{where}: has a column {clash[0]!r} already, which the predictions would get: choose a --prefix for "
            "their names, such as predicted_"
        )


def _table(scan: Scan, target: Target, names: Sequence[str], sample: Sequence[Any]) -> str:
    """Types of the input's columns, where the output asks for them."""
    if target.format != "parquet":
        if scan.schema is not None:
            check_text_columns(scan.schema, f".{target.format}")
        return ""
    if scan.schema is not None:
        return dump_schema(scan.schema)
    source = scan.sources[0]
    if source.format == "jsonl":
        return dump_schema(infer_schema(source.name, names, sample))
    import pyarrow as pa

    return dump_schema(pa.schema([(name, pa.string()) for name in names]))
