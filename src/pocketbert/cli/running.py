"""Verbs that run exported models, each a thin command. They need nothing of the extra `train`."""

from typing import Annotated, Any

import typer

from pocketbert.cli.app import app
from pocketbert.flags import Group, with_flags
from pocketbert.predict.interruption import stoppable
from pocketbert.predict.options import PredictOptions
from pocketbert.serve.settings import Settings
from pocketbert.terminal import Json, console, out, write


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

    with stoppable(output):  # from here on, for what is imported now takes a while
        made = predict.predict(model, inputs, output, console=console, **sections["prediction"].model_dump())
    out.print(f"{made.output}: {made.rows:,} rows", highlight=False, soft_wrap=True)
    if made.computed:
        pace = f"{made.computed:,} rows computed in {made.seconds:,.1f} s, {made.rows_per_second:,.0f} rows/s"
        out.print(pace, highlight=False)
    if made.failed:
        share = f"{made.failed:,} of {made.rows + made.failed:,} rows"
        out.print(f"{made.failed_file}: {share} without prediction, and why", highlight=False, soft_wrap=True)
    write(json, made)


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
