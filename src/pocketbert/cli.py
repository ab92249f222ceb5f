"""The command line: one thin command per verb. It parses, calls, prints; what it calls is in ``pipeline``."""

import errno
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from pydantic import BaseModel
from rich.console import Console
from rich.table import Table

from pocketbert import quiet
from pocketbert.distill import ranks
from pocketbert.errors import GateBreach, PocketBertError
from pocketbert.files import write_atomically
from pocketbert.flags import Group, with_flags
from pocketbert.recipe import (
    Data,
    DistillStage,
    ExportStage,
    FinetuneStage,
    PretrainStage,
    PruneStage,
    QuantizeStage,
    Student,
    TrimStage,
    load_recipe,
)

WIDTH = 100
"""Columns where no terminal says how many there are."""
TRAIN = ("accelerate", "huggingface_hub", "safetensors", "torch", "transformers")
"""What the extra `train` brings and every verb needs."""

NO_PLACE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT)
"""Errors of the system that are about the place a person named, or its size."""

app = typer.Typer(
    help="Turn a BERT-family teacher into a small fast student, and measure what it kept.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
console = Console(stderr=True, quiet=not ranks.is_main())
out = Console(quiet=not ranks.is_main(), width=None if sys.stdout.isatty() else WIDTH)


def _file_to_write(path: Path | None) -> Path | None:
    """Refuse what no result can be written to, before there is one."""
    if path is not None:
        if path.is_dir():
            raise PocketBertError(f"{path}: a folder; name a file for the result")
        _folder_to_make(path.parent)
    return path


def _folder_to_make(path: Path) -> Path:
    """Refuse what cannot become a folder, before anything is put into it."""
    there = next(place for place in (path, *path.absolute().parents) if place.exists())
    if not there.is_dir():
        raise PocketBertError(f"{there}: a file, where a folder is needed; name another place")
    return path


Json = Annotated[
    Path | None,
    typer.Option("--json", help="also write the result to this file", metavar="FILE", callback=_file_to_write),
]
Model = Annotated[str, typer.Argument(help="a model directory", metavar="MODEL")]
Output = Annotated[
    Path, typer.Option("--output", help="the model directory to make", metavar="DIR", callback=_folder_to_make)
]


@app.command()
def run(
    recipe: Annotated[Path, typer.Argument(help="the recipe, a YAML file", metavar="RECIPE")],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="values to change, as key.path=value", metavar="[KEY=VALUE]…")
    ] = None,
    json: Json = None,
) -> None:
    """Walk a recipe from teacher to proven student.

    Example: pocketbert run recipes/task.yaml teacher.model=./my-bert data.train=train.csv
    """
    from pocketbert import pipeline
    from pocketbert.measure.card import render_card

    loaded = load_recipe(recipe, overrides)
    folder = _folder_to_make(Path(loaded.output or f"runs/{loaded.name}"))
    try:
        report = pipeline.run(loaded, console=console)
    except GateBreach as breach:
        render_card(breach.report, out, folder)
        _write(json, breach.report)
        raise
    render_card(report, out, folder)
    _write(json, report)


@app.command()
@with_flags(Group(PretrainStage, "options"))
def pretrain(output: Output, sections: dict[str, Any], json: Json = None) -> None:
    """Make a BERT from text alone, its tokenizer included.

    Example: pocketbert pretrain --corpus 'wiki/*.zst' --layers 4 --hidden-size 256 --heads 4 --budget 3h --output bert
    """
    from pocketbert import pipeline

    _show_manifest(output, pipeline.pretrain(sections["options"], output, console=console), json)


@app.command()
@with_flags(Group(FinetuneStage, "options"), Group(Data, "data"))
def finetune(
    model: Annotated[str, typer.Argument(help="a model directory or hub name", metavar="MODEL")],
    output: Output,
    sections: dict[str, Any],
    json: Json = None,
) -> None:
    """Train a model on the labels of a task: how a teacher comes to its head.

    Example: pocketbert finetune teacher --task classification --train train.csv --epochs 3 --output teacher-reviews
    """
    from pocketbert import pipeline

    made = pipeline.finetune(sections["options"], model, output, sections["data"], console=console)
    _show_manifest(output, made, json)


@app.command()
@with_flags(
    Group(DistillStage, "options", without=("without_teacher",)),
    Group(Student, "student"),
    Group(Data, "data", optional="task"),
)
def distill(
    teacher: Annotated[str, typer.Argument(help="a model directory or hub name", metavar="TEACHER")],
    output: Output,
    sections: dict[str, Any],
    json: Json = None,
) -> None:
    """Teach a student, on the rows of a task or (with --corpus) through the masked language model.

    Example: pocketbert distill teacher-reviews --layers 6 --task classification --train train.csv --output student
    """
    from pocketbert import pipeline

    if sections["options"].corpus and sections["data"]:
        raise PocketBertError(
            f"--corpus and --task {sections['data'].task}: a student learns from text or from the rows of a task; "
            "leave one of them out"
        )
    made = pipeline.distill(
        sections["options"], teacher, sections["student"], output, sections["data"], console=console
    )
    _show_manifest(output, made, json)


@app.command()
@with_flags(Group(PruneStage, "options"), Group(Data, "data", optional="task"))
def prune(model: Model, output: Output, sections: dict[str, Any], json: Json = None) -> None:
    """Take out the layers, heads, neurons or width that matter least, and let the model teach what is left.

    Example: pocketbert prune student --target-bytes 10MB --task classification --train train.csv --output pruned
    """
    from pocketbert import pipeline

    made = pipeline.prune(sections["options"], model, output, sections["data"], console=console)
    _show_manifest(output, made, json)


@app.command()
@with_flags(Group(TrimStage, "options"), Group(Data, "data", optional="task"))
def trim(model: Model, output: Output, sections: dict[str, Any], json: Json = None) -> None:
    """Cut the vocabulary to the pieces that your text needs.

    Example: pocketbert trim pruned --task classification --train train.csv --output trimmed
    """
    from pocketbert import pipeline

    made = pipeline.trim(sections["options"], model, output, sections["data"], console=console)
    _show_manifest(output, made, json)


@app.command()
@with_flags(Group(QuantizeStage, "options"), Group(Data, "data", optional="task"))
def quantize(model: Model, output: Output, sections: dict[str, Any], json: Json = None) -> None:
    """Make int8 files of a model, calibrated on your texts, that keep its score.

    Example: pocketbert quantize trimmed --task classification --train train.csv --output small
    """
    from pocketbert import pipeline

    made = pipeline.quantize(sections["options"], model, output, sections["data"], console=console)
    _show_manifest(output, made, json)


@app.command()
@with_flags(Group(ExportStage, "options"), Group(Data, "data", optional="task", without=("max_length",)))
def export(model: Model, output: Output, sections: dict[str, Any], json: Json = None) -> None:
    """Write the files that engines run, each held against the model it was made from.

    Example: pocketbert export small --formats openvino --precisions int8 --output pocket
    """
    from pocketbert import pipeline

    made = pipeline.export(sections["options"], model, output, sections["data"], console=console)
    _show_manifest(output, made, json)


@app.command()
def verify(
    model: Annotated[Path, typer.Argument(help="a directory that export made", metavar="DIR")], json: Json = None
) -> None:
    """Repeat the gate of export: hashes, what the files say of themselves, and their answers to the golden texts.

    Needs neither torch nor the data; exits with 1 where something is wrong.

    Example: pocketbert verify pocket
    """
    from pocketbert.export import verification

    try:
        found = verification.verify(model, console=out)
    except GateBreach as breach:
        _write(json, breach.report)
        raise
    out.print(f"{model}: {len(found.files)} file(s) answer as they did when they were exported", highlight=False)
    _write(json, found)


@app.command()
@with_flags(Group(Data, "data", rename={"test": "data"}))
def evaluate(
    model: Annotated[str, typer.Argument(help="a model directory or hub name", metavar="MODEL")],
    sections: dict[str, Any],
    json: Json = None,
) -> None:
    """Score a model on held-out rows, beside the majority class.

    Example: pocketbert evaluate student --task classification --data test.csv
    """
    from pocketbert import pipeline

    result = pipeline.evaluate(model, sections["data"], console=console)
    table = Table(
        "metric", "model", "majority class", title=f"{model} · {result.examples:,} rows", title_justify="left"
    )
    for name, value in result.metrics.items():
        mark = " *" if name in result.deciding else ""
        constant = f"{result.majority[name]:.4f}" if name in result.majority else ""
        table.add_row(name + mark, f"{value:.4f}", constant)
    out.print(table)
    out.print(
        f"score (mean of *) {result.score:.4f}, 95 % interval {result.interval.low:.4f} to {result.interval.high:.4f}"
    )
    _say(result.notes)
    _write(json, result)


@app.command()
@with_flags(Group(Data, "data", rename={"test": "data"}))
def compare(
    teacher: Annotated[str, typer.Argument(help="its model directory", metavar="TEACHER")],
    student: Annotated[str, typer.Argument(help="its model directory", metavar="STUDENT")],
    sections: dict[str, Any],
    without_teacher: Annotated[
        str | None, typer.Option(help="the same student trained on the labels alone", metavar="DIR")
    ] = None,
    json: Json = None,
) -> None:
    """Compare a student with its teacher: quality kept, size, speed, all measured now.

    Example: pocketbert compare teacher-reviews student --task classification --data test.csv
    """
    from pocketbert import pipeline
    from pocketbert.measure.card import render_card
    from pocketbert.measure.comparison import Report

    models: dict[Any, str] = {"teacher": teacher, "student": student}
    if without_teacher:
        models["without_teacher"] = without_teacher
    result = pipeline.compare(models, sections["data"], name=Path(student).name)
    render_card(Report(name=Path(student).name, tasks=[result.quality], sizes=result.sizes, speed=result.speed), out)
    _say(result.notes)
    _write(json, result)


def main() -> None:
    """Run the command line; mistakes end with one message and their exit code, without a traceback."""
    quiet.quieten()
    try:
        app(standalone_mode=True)
    except PocketBertError as error:
        _end(error)
    except OSError as error:
        if error.errno not in NO_PLACE:
            raise
        _end(
            PocketBertError(
                f"{error.filename or 'a file'}: {error.strerror}; what was finished is kept. Make room "
                "or name another place, and run the same command again"
            )
        )
    except ModuleNotFoundError as error:
        if error.name not in TRAIN:
            raise
        _end(PocketBertError(f"{error.name} is not installed; pip install 'pocketbert[train]'"))


def _end(error: PocketBertError) -> NoReturn:
    console.print(
        f"error: {error}", style="red" if console.is_terminal else "", markup=False, highlight=False, soft_wrap=True
    )
    sys.exit(error.exit_code)


def _show_manifest(output: Path, manifest: Any, json: Path | None) -> None:
    measured = {name: value for name, value in manifest.metrics.items() if value is not None}
    width = max(map(len, measured), default=0)
    out.print(f"{output}: made by {manifest.stage}", highlight=False)
    for name, value in measured.items():
        shown = f"{value:,.4f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else value
        out.print(f"  {name.replace('_', ' '):<{width}}  {shown}", highlight=False)
    _write(json, manifest)


def _say(notes: list[str]) -> None:
    for note in notes:
        console.print(note, highlight=False)


def _write(path: Path | None, result: BaseModel) -> None:
    if path is not None:
        write_atomically(path, result.model_dump_json(indent=2) + "\n")


if __name__ == "__main__":
    main()
