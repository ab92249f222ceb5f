"""Verbs that make models: one thin command each. It parses, calls, prints; what it calls is in ``pipeline``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from pocketbert.cli.app import app
from pocketbert.errors import GateBreach, PocketBertError
from pocketbert.files import folder_to_make
from pocketbert.flags import Group, with_flags
from pocketbert.manifest import Manifest
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
from pocketbert.terminal import (
    Html,
    Json,
    Model,
    Output,
    breach_written,
    console,
    out,
    show_manifest,
    write,
)

UNREAD = ("unlabelled",)
"""Fields of the data section that no verb but `distill` reads."""
RecipeFile = Annotated[Path, typer.Argument(help="the recipe, a YAML file", metavar="RECIPE")]
Overrides = Annotated[
    list[str] | None, typer.Argument(help="values to change, as key.path=value", metavar="[KEY=VALUE]…")
]


@app.command()
def run(recipe: RecipeFile, overrides: Overrides = None, json: Json = None) -> None:
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
def tune(recipe: RecipeFile, overrides: Overrides = None, json: Json = None) -> None:
    """Search fields of a recipe for the best validation score; a search that was killed goes on.

    Example: pocketbert tune recipes/tune.yaml teacher.model=./my-bert data.train=train.csv tune.trials=40
    """
    from pocketbert import pipeline
    from pocketbert.pipeline.tuning_table import render_tuning

    loaded = load_recipe(recipe, overrides)
    folder_to_make(Path(loaded.output or f"runs/{loaded.name}"))
    found = pipeline.tune(loaded, console=console)
    render_tuning(found, out)
    write(json, found)


@app.command()
@with_flags(Group(PretrainStage, "options"))
def pretrain(output: Output, sections: dict[str, Any], json: Json = None) -> None:
    """Make a BERT from text alone, its tokenizer included.

    Example: pocketbert pretrain --corpus 'wiki/*.zst' --layers 4 --hidden-size 256 --heads 4 --budget 3h --output bert
    """
    from pocketbert import pipeline

    show_manifest(output, pipeline.pretrain(sections["options"], output, console=console), json)


@app.command()
@with_flags(Group(FinetuneStage, "options"), Group(Data, "data", without=UNREAD))
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
@with_flags(Group(PruneStage, "options"), Group(Data, "data", optional="task", without=UNREAD))
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
@with_flags(Group(TrimStage, "options"), Group(Data, "data", optional="task", without=UNREAD))
def trim(model: Model, output: Output, sections: dict[str, Any], json: Json = None) -> None:
    """Cut the vocabulary to the pieces that your text needs.

    Example: pocketbert trim pruned --task classification --train train.csv --output trimmed
    """
    from pocketbert import pipeline

    made = pipeline.trim(sections["options"], model, output, sections["data"], console=console)
    show_manifest(output, made, json)


@app.command()
@with_flags(Group(QuantizeStage, "options"), Group(Data, "data", optional="task", without=UNREAD))
def quantize(model: Model, output: Output, sections: dict[str, Any], json: Json = None) -> None:
    """Make int8 files of a model, calibrated on your texts, that keep its score.

    Example: pocketbert quantize trimmed --task classification --train train.csv --output small
    """
    from pocketbert import pipeline

    with breach_written(json):
        made = pipeline.quantize(sections["options"], model, output, sections["data"], console=console)
    show_manifest(output, made, json)


@app.command()
@with_flags(Group(ExportStage, "options"), Group(Data, "data", optional="task", without=("max_length", *UNREAD)))
def export(model: Model, output: Output, sections: dict[str, Any], json: Json = None) -> None:
    """Write the files that engines run, each held against the model it was made from.

    Example: pocketbert export small --formats openvino --precisions int8 --output pocket
    """
    from pocketbert import pipeline

    with breach_written(json):
        made = pipeline.export(sections["options"], model, output, sections["data"], console=console)
    show_manifest(output, made, json)
