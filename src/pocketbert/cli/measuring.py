"""Verbs that measure and prove models, each a thin command."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from pocketbert.cli.app import app
from pocketbert.cli.making import UNREAD
from pocketbert.flags import Group, with_flags
from pocketbert.recipe import Data
from pocketbert.terminal import Html, Json, breach_written, console, out, say, write


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


@app.command()
@with_flags(Group(Data, "data", rename={"test": "data"}, without=UNREAD))
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
@with_flags(Group(Data, "data", rename={"test": "data"}, without=UNREAD))
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
@with_flags(Group(Data, "data", optional="task", rename={"test": "data"}, without=UNREAD))
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
