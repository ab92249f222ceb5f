"""What every benchmark shares: its flags, the JSON it writes, and timing in turn."""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from pocketbert import quiet
from pocketbert.errors import PocketBertError
from pocketbert.files import write_atomically
from pocketbert.machine import describe_machine

ROOT = Path(__file__).resolve().parents[1]
PUBLIC_DATA = ROOT.parent / "shared" / "data"
"""Public data beside the project; what needs it takes another folder by a flag."""

console = Console(width=150)


def make_parser(description: str) -> argparse.ArgumentParser:
    """A parser with the flags of every benchmark: ``--json`` and ``--short``."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the result to this file")
    parser.add_argument("--short", action="store_true", help="a small form that shows that it runs")
    return parser


def call(main: Callable[[], None]) -> None:
    """Run a benchmark; mistakes end with one message and their exit code, without a traceback."""
    quiet.quieten()
    try:
        main()
    except PocketBertError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)


def write_result(path: Path | None, name: str, headline: float | None, unit: str, rows: Sequence[Any]) -> None:
    """Write the JSON that every benchmark writes; nothing where no file was asked for.

    Args:
        path: the file, or None.
        name: of the benchmark.
        headline: its one number; None where this run could not measure it.
        unit: of the headline.
        rows: everything it measured, a mapping each.
    """
    if path is None:
        return
    result = {
        "name": name,
        "headline": headline,
        "unit": unit,
        "machine": describe_machine().model_dump(),
        "rows": list(rows),
    }
    write_atomically(path, json.dumps(result, indent=2) + "\n")


def measure_in_turn(measures: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, list[Any]]:
    """Call each measure once a round; who is first changes each round, so that a drift of the machine meets all.

    Returns:
        By name, what it returned in each round.
    """
    names = list(measures)
    results: dict[str, list[Any]] = {name: [] for name in names}
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            results[name].append(measures[name]())
    return results


def compare_rounds(values: Sequence[float], reference: Sequence[float]) -> float:
    """Median of the ratios taken round by round."""
    return median(value / other for value, other in zip(values, reference, strict=True))


def print_table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; the first column is text, the others are numbers."""
    table = Table(title=title, title_justify="left")
    for number, name in enumerate(header):
        table.add_column(name, justify="right" if number else "left")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The same as Markdown."""
    ruler = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (header, ruler, *rows))
