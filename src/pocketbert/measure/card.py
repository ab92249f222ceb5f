"""The card: what a run proved, at the end of it, in the terminal."""

from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from pocketbert.measure.comparison import NEXT_STEP, Report
from pocketbert.measure.results import ROLE_NAMES, TaskComparison
from pocketbert.measure.wording import (
    describe_agreement,
    describe_examples,
    describe_gain,
    describe_gate,
    describe_mcnemar,
    describe_ratio,
    describe_training,
    percent_range,
    promises,
    score,
)

WIDTH = 100


def render_card(report: Report, console: Console, folder: Path | None = None) -> None:
    """Print the card of a run.

    Args:
        report: what was measured; what is absent from it is not printed.
        console: where to; colour is decoration, the words alone say everything.
        folder: where ``report.json`` and ``report.html`` lie.
    """
    parts: list[RenderableType] = [_promises(report) if report.tasks else _made(report)]
    several = len(report.tasks) > 1
    parts += [_task(task, several) for task in report.tasks]
    if report.gates:
        parts.append(_gates(report))
    if report.demonstration:
        parts.append(_demonstration(report.demonstration))
    if folder is not None:
        # A path is left on one line, so that it can be selected, and opened from terminals that do so.
        lines = Text(f"report   {folder / 'report.html'}\n         {folder / 'report.json'}", no_wrap=True)
        parts.append(Padding(lines, (1, 0, 0, 0)))
    title = Text(report.name, style="bold")
    width = min(WIDTH, console.width)
    console.print(Panel(Group(*parts), title=title, title_align="left", padding=(1, 2), width=width))


def _promises(report: Report) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold")
    grid.add_column(justify="right", style="bold green", no_wrap=True)
    grid.add_column()
    for promise in promises(report):
        first, *others = promise.details
        lines = [f"{promise.meaning}, {first}", *others]
        grid.add_row(promise.name, Text(promise.value), Text("\n".join(lines)))
    return grid


def _made(report: Report) -> Table:
    """What each stage made, where there is no student to compare."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold")
    for name, manifest in report.provenance.manifests.items():
        grid.add_row(Text(name), Text(describe_training(manifest["metrics"])))
    return grid


def _task(task: TaskComparison, several: bool) -> Padding:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, title=_title(task), title_justify="left", title_style="")
    table.add_column("metric")
    for role in task.models:
        table.add_column(ROLE_NAMES[role], justify="right")
    for name in next(iter(task.models.values())).metrics:
        mark = " *" if name in task.deciding else ""
        row = [score(scores.metrics[name]) if name in scores.metrics else "" for scores in task.models.values()]
        table.add_row(Text(name + mark), *row, style="bold" if mark else "")
    intervals = [percent_range(scores.interval) for scores in task.models.values()]
    table.add_row("95 % interval, in %", *intervals, style="dim")
    return Padding(Group(table, *_notes(task, several)), (1, 0, 0, 0))


def _title(task: TaskComparison) -> Text:
    return Text.assemble((task.name, "bold"), f"  {task.task}, {describe_examples(task)}; * decides")


def _notes(task: TaskComparison, several: bool) -> list[Text]:
    """What the table does not say; the promises have said what was kept of a single task."""
    lines = []
    if several:
        above = describe_ratio(task.kept_above_majority)
        lines += [
            f"kept {describe_ratio(task.kept)}; above the majority class {above}",
            describe_agreement(task),
        ]
    if task.gain is not None:
        lines.append(describe_gain(task.gain))
    if task.mcnemar is not None:
        lines.append(describe_mcnemar(task.mcnemar, task.task))
    return [Text(line) for line in lines]


def _gates(report: Report) -> Padding:
    grid = Table.grid(padding=(0, 2))
    for gate in report.gates:
        mark = Text("PASS", style="bold green") if gate.passed else Text("FAIL", style="bold red")
        grid.add_row(mark, Text(describe_gate(gate)))
    return Padding(grid, (1, 0, 0, 0))


def _demonstration(sentence: str) -> Padding:
    lines = [
        Text(sentence),
        Text("With a real teacher and your own data:"),
        Text(f"  {NEXT_STEP}", style="bold"),
    ]
    return Padding(Group(*lines), (1, 0, 0, 0))
