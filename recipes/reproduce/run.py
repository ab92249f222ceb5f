r"""The mission's table, from text to what was kept: a teacher, general students, tasks.

    python recipes/reproduce/run.py teacher --budget 1h
    python recipes/reproduce/run.py general --budget 40m
    python recipes/reproduce/run.py tasks --budget 2h
    python recipes/reproduce/run.py table

Each step can be stopped at any moment (Ctrl-C, SIGTERM, ``timeout 9m``) and run again, with the same flags. The README
beside this file says what each makes and how a budget is shared out.
"""

import argparse
import os
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))

from bases import make_students, make_teacher
from common import PUBLIC_DATA, call, console, make_parser
from lessons import learn_tasks
from plan import STUDENTS, Plan
from pocketbert.errors import PocketBertError
from pocketbert.files import write_atomically
from pocketbert.locks import FolderLock
from pocketbert.recipe.sections import parse_duration
from results import SHORT as SHORT_TASKS
from results import Setting
from rows import MAKERS
from settings import TASKS
from sizes import SHORT, SIZES, Size, default_size
from tables import write_tables

STEPS: dict[str, Callable[[Plan], None]] = {
    "teacher": make_teacher,
    "general": make_students,
    "tasks": learn_tasks,
    "table": write_tables,
}
SIZE = "size"
"""File in the folder of a run that remembers its size: settings of the tasks go by it."""
BUDGETS = {"teacher": 54 * 60.0, "general": 45 * 60.0}
"""Seconds of the steps that are told no other; ``tasks`` then learns everything."""


def main() -> None:
    """Walk the steps that are named, in the order in which they build on one another."""
    flags = _flags()
    out = flags.out / "short" if flags.short else flags.out
    learns = flags.steps != ["table"]
    refusal = f"{out}: another process is working there; let it end, or name another --out"
    # Tables can be looked at while others learn.
    with FolderLock(out).held(refusal) if learns else nullcontext():
        name = settle_size(out, flags.size)
        if learns:
            write_atomically(out / SIZE, name)
        for step, take in STEPS.items():
            if step in flags.steps:
                console.rule(step, characters="═", align="left")
                take(_plan(flags, step, out, SHORT if flags.short else SIZES[name]))


def settle_size(out: Path, named: str | None) -> str:
    """Which size a run has: that which its folder was begun with, else the one named, else by the hardware.

    Args:
        out: folder of the run.
        named: by ``--size``.

    Raises:
        PocketBertError: the run was begun with another one.
    """
    path = out / SIZE
    begun = path.read_text(encoding="utf-8").strip() if path.is_file() else None
    if named and begun and named != begun:
        raise PocketBertError(f"{out}: was begun with --size {begun}; leave --size out, or name another --out")
    return begun or named or default_size()


def _flags() -> argparse.Namespace:
    parser = make_parser(__doc__ or "")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("steps", nargs="+", choices=list(STEPS), help="what to do")
    parser.add_argument("--budget", type=duration, metavar="TIME", help="of each step named: 90s, 20m, 1.5h")
    parser.add_argument("--size", choices=list(SIZES), help="of a new run's teacher; by the hardware when absent")
    # Relative: what was learnt is known by the path of its data too, and the run may move to another machine.
    data = Path(os.path.relpath(PUBLIC_DATA))
    parser.add_argument("--data", type=Path, default=data, metavar="DIR", help="folder of the public data")
    parser.add_argument("--out", type=Path, default=Path("runs/reproduce"), metavar="DIR", help="where all goes")
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), help="which; all whose data is there when absent")
    parser.add_argument("--students", nargs="+", choices=STUDENTS, default=STUDENTS, help="which general students")
    parser.add_argument(
        "--seeds", type=int, default=1, metavar="N", help="of tasks that are not small; those have five"
    )
    return parser.parse_args()


def duration(text: str) -> float:
    """Seconds of ``90s``, ``20m``, ``1.5h``."""
    seconds = float(parse_duration(text))
    if seconds <= 0:
        raise ValueError
    return seconds


def _plan(flags: argparse.Namespace, step: str, out: Path, size: Size) -> Plan:
    return Plan(
        out=out,
        data=flags.data,
        size=size,
        tasks=SHORT_TASKS if flags.short else _tasks(flags),
        students=tuple(name for name in STUDENTS if name in flags.students),
        seeds=flags.seeds,
        budget=flags.budget or BUDGETS.get(step),
        json=flags.json,
    )


def _tasks(flags: argparse.Namespace) -> dict[str, Setting]:
    """The tasks that are named, or all whose files are there or that were learnt where they are."""
    if flags.tasks:
        return {name: setting for name, setting in TASKS.items() if name in flags.tasks}
    there = {
        name: setting
        for name, setting in TASKS.items()
        if (flags.out / "tasks" / name).is_dir() or has_data(flags.data, name)
    }
    for name in TASKS.keys() - there.keys():
        console.print(f"{name} is left out: its files are not all in {flags.data}", highlight=False)
    return there


def has_data(folder: Path, task: str) -> bool:
    """Whether all files of a task are in the folder of the public data."""
    data = TASKS[task].data
    files = [MAKERS[task][0]] if task in MAKERS else [*(data.train or []), *(data.validation or []), *(data.test or [])]
    return all((folder / file).is_file() for file in files)


if __name__ == "__main__":
    call(main)
