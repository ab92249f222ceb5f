"""What all commands share: where they print, what they refuse before they begin, how they end."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from pydantic import BaseModel
from rich.console import Console

from pocketbert.distill import ranks
from pocketbert.errors import GateBreach, PocketBertError
from pocketbert.files import folder_to_make, write_atomically

WIDTH = 100
"""Columns where no terminal says how many there are."""
console = Console(stderr=True, quiet=not ranks.is_main())
out = Console(quiet=not ranks.is_main(), width=None if sys.stdout.isatty() else WIDTH)


def _file_to_write(path: Path | None) -> Path | None:
    """Refuse what no result can be written to, before there is one."""
    if path is not None:
        if path.is_dir():
            raise PocketBertError(f"{path}: a folder; name a file for the result")
        folder_to_make(path.parent)
    return path


Json = Annotated[
    Path | None,
    typer.Option("--json", help="also write the result to this file", metavar="FILE", callback=_file_to_write),
]
Html = Annotated[
    Path | None,
    typer.Option("--html", help="also draw the result on a page", metavar="FILE", callback=_file_to_write),
]
Model = Annotated[str, typer.Argument(help="a model directory", metavar="MODEL")]
Output = Annotated[
    Path, typer.Option("--output", help="the model directory to make", metavar="DIR", callback=folder_to_make)
]


def end(error: PocketBertError) -> NoReturn:
    """Say what was wrong and leave with its exit code."""
    console.print(
        f"error: {error}", style="red" if console.is_terminal else "", markup=False, highlight=False, soft_wrap=True
    )
    sys.exit(error.exit_code)


def show_manifest(output: Path, manifest: Any, json: Path | None) -> None:
    """What a stage made, and the figures it measured; what is a table has been printed as one by the stage."""
    figures = {_title(name): shown for name, value in manifest.metrics.items() if (shown := _figure(value))}
    width = max(map(len, figures), default=0)
    out.print(f"{output}: made by {manifest.stage}", highlight=False)
    for title, shown in figures.items():
        out.print(f"  {title:<{width}}  {shown}", highlight=False)
    write(json, manifest)


def _title(name: str) -> str:
    """A field's name in words; the path of a file stays as it is."""
    return name if "/" in name else name.replace("_", " ")


def _figure(value: Any) -> str:
    """A number, or a pair of before and after; empty for anything else."""
    if isinstance(value, dict) and value.keys() == {"before", "after"}:
        return f"{_figure(value['before'])} → {_figure(value['after'])}"
    if isinstance(value, float):
        return f"{value:,.4f}"
    return f"{value:,}" if isinstance(value, int) else value if isinstance(value, str) else ""


def say(notes: list[str]) -> None:
    """What a person should know beside the result."""
    for note in notes:
        console.print(note, highlight=False)


@contextmanager
def breach_written(path: Path | None) -> Iterator[None]:
    """What was measured goes into the file also where a gate does not hold."""
    try:
        yield
    except GateBreach as breach:
        write(path, breach.report)
        raise


def write(path: Path | None, result: BaseModel) -> None:
    """The result as a file, where one was asked for."""
    if path is not None:
        write_atomically(path, result.model_dump_json(indent=2) + "\n")
