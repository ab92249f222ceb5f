"""The command line: one thin command per verb. It parses, calls, prints; what it calls is in ``pipeline``."""

import errno
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from pocketbert import quiet
from pocketbert.errors import GateBreach, PocketBertError
from pocketbert.flags import Group, with_flags
from pocketbert.manifest import Manifest
from pocketbert.predict.options import PredictOptions
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
from pocketbert.serve.settings import Settings
from pocketbert.terminal import (
    Html,
    Json,
    Model,
    Output,
    breach_written,
    console,
    end,
    folder_to_make,
    out,
    say,
    show_manifest,
    write,
)

WITHOUT_TRAINING = ("predict", "serve")
"""Verbs that need nothing of the extra `train`, and import nothing of it where it is installed."""

SERVE = ("fastapi", "orjson", "prometheus_client", "uvicorn")
"""What the extra `serve` brings."""

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
    from pocketbert.measure.comparison import Report

    loaded = load_recipe(recipe, overrides)
    folder = folder_to_make(Path(loaded.output or f"runs/{loaded.name}"))
    with breach_written(json):
        try:
            report = pipeline.run(loaded, console=console)
        except GateBreach as breach:
            if isinstance(breach.report, Report):  # a stage's own gate ends the run before there is one
                render_card(breach.report, out, folder)
            raise
    render_card(report, out, folder)
    write(json, report)


@app.command()
@with_flags(Group(PretrainStage, "options"))
def pretrain(output: Output, sections: dict[str, Any], json: Json = None) -> None:
    """Make a BERT from text alone, its tokenizer included.

    Example: pocketbert pretrain --corpus 'wiki/*.zst' --layers 4 --hidden-size 256 --heads 4 --budget 3h --output bert
    """
    from pocketbert import pipeline

    show_manifest(output, pipeline.pretrain(sections["options"], output, console=console), json)


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
    show_manifest(output, made, json)


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
    show_manifest(output, made, json)


@app.command()
@with_flags(Group(PruneStage, "options"), Group(Data, "data", optional="task"))
def prune(model: Model, output: Output, sections: dict[str, Any], json: Json = None, html: Html = None) -> None:
    """Take out the layers, heads, neurons or width that matter least, and let the model teach what is left.

    Example: pocketbert prune student --target-bytes 10MB --task classification --train train.csv --output pruned
    """
    from pocketbert import pipeline
    from pocketbert.measure.comparison import report_stage
    from pocketbert.measure.report import write_html

    def show(made: Manifest) -> None:
        show_manifest(output, made, json)
        if html:
            write_html(report_stage(output, made), html)

    try:
        show(pipeline.prune(sections["options"], model, output, sections["data"], console=console))
    except GateBreach as breach:
        show(breach.report)
        raise


@app.command()
@with_flags(Group(TrimStage, "options"), Group(Data, "data", optional="task"))
def trim(model: Model, output: Output, sections: dict[str, Any], json: Json = None) -> None:
    """Cut the vocabulary to the pieces that your text needs.

    Example: pocketbert trim pruned --task classification --train train.csv --output trimmed
    """
    from pocketbert import pipeline

    made = pipeline.trim(sections["options"], model, output, sections["data"], console=console)
    show_manifest(output, made, json)


@app.command()
@with_flags(Group(QuantizeStage, "options"), Group(Data, "data", optional="task"))
def quantize(model: Model, output: Output, sections: dict[str, Any], json: Json = None) -> None:
    """Make int8 files of a model, calibrated on your texts, that keep its score.

    Example: pocketbert quantize trimmed --task classification --train train.csv --output small
    """
    from pocketbert import pipeline

    with breach_written(json):
        made = pipeline.quantize(sections["options"], model, output, sections["data"], console=console)
    show_manifest(output, made, json)


@app.command()
@with_flags(Group(ExportStage, "options"), Group(Data, "data", optional="task", without=("max_length",)))
def export(model: Model, output: Output, sections: dict[str, Any], json: Json = None) -> None:
    """Write the files that engines run, each held against the model it was made from.

    Example: pocketbert export small --formats openvino --precisions int8 --output pocket
    """
    from pocketbert import pipeline

    with breach_written(json):
        made = pipeline.export(sections["options"], model, output, sections["data"], console=console)
    show_manifest(output, made, json)


@app.command()
def verify(
    model: Annotated[Path, typer.Argument(help="a directory that export made", metavar="DIR")], json: Json = None
) -> None:
    """Repeat the gate of export: hashes, what the files say of themselves, and their answers to the golden texts.

    Needs neither torch nor the data; exits with 1 where something is wrong.

    Example: pocketbert verify pocket
    """
    from pocketbert.export import verification
    from pocketbert.measure.wording import counted

    with breach_written(json):
        found = verification.verify(model, console=out)
    right = [file.path for file in found.files if file.passed]
    answers = f"{model}: {counted(len(right), 'file')} answer as they did when they were exported"
    out.print(answers, highlight=False, soft_wrap=True)
    for file in found.files:
        if file.skipped:
            out.print(f"not run: {file.skipped}", highlight=False, soft_wrap=True)
    if found.preferred:
        out.print(f"to be loaded on this processor: {found.preferred}", highlight=False)
    write(json, found)


@app.command("predict")
@with_flags(Group(PredictOptions, "prediction"))
def predict_rows(
    model: Annotated[str, typer.Argument(help="a directory that export made, or one of its files", metavar="MODEL")],
    inputs: Annotated[list[str], typer.Argument(help="files, globs, URLs, or - for standard input", metavar="INPUT…")],
    output: Annotated[str, typer.Option("--output", help="file, folder of parts or URL to make", metavar="OUT")],
    sections: dict[str, Any],
    json: Json = None,
) -> None:
    """Score the rows of files: columns are kept, predictions added; a run that was killed goes on.

    Needs neither torch nor transformers.

    Example: pocketbert predict pocket reviews.parquet --output scored.parquet
    """
    from pocketbert import predict

    made = predict.predict(model, inputs, output, console=console, **sections["prediction"].model_dump())
    out.print(f"{made.output}: {made.rows:,} rows", highlight=False, soft_wrap=True)
    if made.computed:
        pace = f"{made.computed:,} rows computed in {made.seconds:,.1f} s, {made.rows_per_second:,.0f} rows/s"
        out.print(pace, highlight=False)
    if made.failed:
        failed = f"{made.failed_file}: {made.failed:,} rows without prediction, and why"
        out.print(failed, highlight=False, soft_wrap=True)
    write(json, made)


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
    out.print(f"{model} · {result.examples:,} rows", highlight=False, soft_wrap=True)
    table = Table("metric", "model", "majority class")
    for name, value in result.metrics.items():
        mark = " *" if name in result.deciding else ""
        constant = f"{result.majority[name]:.4f}" if name in result.majority else ""
        table.add_row(name + mark, f"{value:.4f}", constant)
    out.print(table)
    out.print(
        f"score (mean of *) {result.score:.4f}, 95 % interval {result.interval.low:.4f} to {result.interval.high:.4f}"
    )
    say(result.notes)
    write(json, result)


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
    say(result.notes)
    write(json, result)


@app.command()
@with_flags(Group(Data, "data", optional="task", rename={"test": "data"}))
def bench(
    models: Annotated[list[str], typer.Argument(help="model directories or exported files", metavar="MODEL…")],
    sections: dict[str, Any],
    against: Annotated[str | None, typer.Option(help="what all are compared with", metavar="TEACHER")] = None,
    lengths: Annotated[list[int] | None, typer.Option(help="tokens of a text; repeat the flag", metavar="N")] = None,
    batch_sizes: Annotated[
        list[int] | None, typer.Option(help="texts of a call; 1, 8 and 32 when absent", metavar="N")
    ] = None,
    threads: Annotated[
        list[int] | None, typer.Option(help="of the engines; one, and all, when absent", metavar="N")
    ] = None,
    seconds: Annotated[float, typer.Option(help="about how long to time")] = 120.0,
    json: Json = None,
    html: Html = None,
) -> None:
    """Measure models side by side: latency, throughput, start, memory, bytes and, with data, quality.

    Example: pocketbert bench pocket pocket/openvino/openvino_model_int8.xml --against teacher-reviews
    """
    from pocketbert import pipeline
    from pocketbert.measure.bench_table import render_bench
    from pocketbert.measure.comparison import report_bench
    from pocketbert.measure.report import write_html

    result = pipeline.bench(
        models,
        against,
        sections["data"],
        lengths=lengths,
        batch_sizes=batch_sizes or (1, 8, 32),
        threads=threads,
        seconds=seconds,
        console=console,
    )
    render_bench(result, out)
    say(result.notes)
    write(json, result)
    if html:
        write_html(report_bench(result), html)


@app.command()
@with_flags(Group(Settings, "server"))
def serve(
    models: Annotated[
        list[str], typer.Argument(help="model directories that export made, each as DIR or NAME=DIR", metavar="MODEL…")
    ],
    sections: dict[str, Any],
) -> None:
    """Answer over HTTP, for every task, with a page to try it; see docs/serve.md.

    Example: pocketbert serve runs/pocket/05-export --port 8080
    """
    from pocketbert.serve import server

    def announce(url: str, registry: Any) -> None:
        for model in registry.models:
            out.print(
                f"{model.name}  {model.description.task}, {model.said.path} by {model.said.engine}", highlight=False
            )
        out.print(f"listening on {url}", highlight=False)

    server.serve(models, sections["server"], announce)


def main() -> None:
    """Run the command line; mistakes end with one message and their exit code, without a traceback."""
    if not set(sys.argv[1:2]) & set(WITHOUT_TRAINING):
        quiet.quieten()
    try:
        app(standalone_mode=True)
    except PocketBertError as error:
        end(error)
    except OSError as error:
        if error.errno not in NO_PLACE:
            raise
        end(
            PocketBertError(
                f"{error.filename or 'a file'}: {error.strerror}; what was finished is kept. Make room "
                "or name another place, and run the same command again"
            )
        )
    except ModuleNotFoundError as error:
        extra = "train" if error.name in TRAIN else "serve" if error.name in SERVE else None
        if extra is None:
            raise
        end(PocketBertError(f"{error.name} is not installed; pip install 'pocketbert[{extra}]'"))


if __name__ == "__main__":
    main()
