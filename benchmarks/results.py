r"""Results on real tasks: fine-tune a pretrained base, distil it, compare; the tables of docs/results.md.

    python benchmarks/results.py --base runs/teacher/02-distill --out runs/results \
        --pair-base runs/pairs/01-finetune --pair-student runs/pairs/02-distill

Teachers and students of tasks of pairs start from models of their own, where they are named (recipes/pairs.yaml makes
them). One task after the other, each in a folder of its own under ``--out``. It can be stopped at any moment and run
again: finished stages are not repeated. The tables are written anew after each run.

What is reported is never selected on: where a task has no validation rows of its own (SST-2, MRPC, AG News), the
checkpoint is chosen on rows held out of the training rows, and the published dev or test rows are only reported.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import PUBLIC_DATA, call, console, make_parser, markdown_table, print_table, write_result
from pocketbert import pipeline
from pocketbert.errors import PocketBertError
from pocketbert.files import write_atomically
from pocketbert.machine import Machine, describe_machine
from pocketbert.measure.comparison import average
from pocketbert.recipe import Data, DistillStage, FinetuneStage, PretrainStage, Recipe, Stage, Student, Teacher
from result_tables import Result, Rows, cost_table, kept, quality_table


@dataclass(frozen=True)
class Setting:
    """A task and how long it is learnt.

    Attributes:
        data: its rows, with paths inside the data folder.
        teacher_epochs: of fine-tuning the base.
        student_epochs: of distillation, and of the student without a teacher.
        learning_rate: of both.
        batch_size: of both.
        pairs: whether it starts from the models for pairs.
    """

    data: Data
    teacher_epochs: float
    student_epochs: float
    learning_rate: float = 5e-4
    batch_size: int = 32
    pairs: bool = False


DROPOUT = 0.0
"""Models this deep and narrow learnt too slowly with the usual 0.1: docs/lab-notes.md."""

SETTINGS = {
    "SST-2": Setting(
        Data(
            task="classification",
            layout="sst2",
            train=["glue/SST-2/train.tsv"],
            test=["glue/SST-2/dev.tsv"],
            max_length=64,
            limit=20_000,
        ),
        teacher_epochs=2,
        student_epochs=2,
        batch_size=64,
    ),
    "MRPC": Setting(
        Data(
            task="classification",
            layout="mrpc",
            train=["glue/MRPC/train.tsv"],
            test=["glue/MRPC/dev.tsv"],
        ),
        teacher_epochs=2,
        student_epochs=2,
        learning_rate=1e-4,
        pairs=True,
    ),
    "STS-B": Setting(
        Data(
            task="regression",
            layout="stsb",
            train=["glue/STS-B/sts-train.tsv"],
            validation=["glue/STS-B/sts-dev.tsv"],
            test=["glue/STS-B/sts-test.tsv"],
        ),
        teacher_epochs=4,
        student_epochs=5,
        learning_rate=3e-4,
        pairs=True,
    ),
    "AG-News": Setting(
        Data(
            task="classification",
            text="text",
            label="label",
            train=["ag_news/train.jsonl"],
            test=["ag_news/test.jsonl"],
            limit=10_000,
        ),
        teacher_epochs=2,
        student_epochs=2,
    ),
    "SNIPS-slots": Setting(
        Data(
            task="token_classification",
            tokens="tokens",
            tags="tags",
            train=["ner/snips/train.jsonl"],
            validation=["ner/snips/valid.jsonl"],
            test=["ner/snips/test.jsonl"],
            max_length=64,
        ),
        teacher_epochs=10,
        student_epochs=5,
        learning_rate=1e-3,
        batch_size=64,
    ),
}

SHORT = {
    "areas": Setting(
        Data(
            task="classification",
            text="text",
            label="label",
            train=["embedded:areas"],
            validation=["embedded:areas"],
            test=["embedded:areas"],
            max_length=32,
            limit=400,
        ),
        teacher_epochs=1,
        student_epochs=1,
    )
}
"""The short form: the embedded task, so that it needs no file."""

SHORT_BASE = PretrainStage(
    corpus=["embedded:text"], vocabulary=2000, layers=2, hidden_size=32, heads=2, positions=64, block=32, steps=20
)


def main() -> None:
    """Run the tasks and write ``results.md`` and ``results.json`` into the output folder."""
    flags = _flags()
    settings = SHORT if flags.short else {name: SETTINGS[name] for name in flags.tasks}
    base = short_base(flags.out) if flags.short else flags.base
    if base is None:
        raise PocketBertError("--base is missing: a pretrained model directory; `pocketbert pretrain` makes one")
    results: list[Result] = []
    for seed in flags.seeds:
        for name, setting in settings.items():
            console.rule(f"{name}, seed {seed}", align="left")
            report = pipeline.run(make_recipe(name, setting, seed, base, flags), console=console)
            results.append(Result(name, seed, report))
            _write(results, settings, base, flags)
    print_table(f"{len(settings)} task(s), {len(flags.seeds)} seed(s)", *quality_table(results))
    print_table("", *cost_table(results))


def make_task_parser(
    description: str, default: Sequence[str], known: Mapping[str, Setting] = SETTINGS
) -> argparse.ArgumentParser:
    """A parser with the flags of every benchmark on tasks, those of this file unless others are known."""
    parser = make_parser(description)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--base", metavar="DIR", help="a pretrained model directory with a masked-LM head")
    parser.add_argument("--pair-base", metavar="DIR", help="one for tasks of pairs; --base when absent")
    parser.add_argument(
        "--pair-student", metavar="DIR", help="what their students start from; their teachers' layers when absent"
    )
    parser.add_argument("--data", type=Path, default=PUBLIC_DATA, metavar="DIR", help="folder of the tasks' data")
    parser.add_argument("--out", type=Path, default=Path("runs/results"), metavar="DIR", help="where the runs go")
    parser.add_argument("--tasks", nargs="+", choices=list(known), default=list(default), help="which tasks")
    return parser


def _flags() -> argparse.Namespace:
    parser = make_task_parser(__doc__ or "", list(SETTINGS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], metavar="N", help="one run of each task a seed")
    flags = parser.parse_args()
    if flags.short:
        flags.out = flags.out / "short"
    return flags


def short_base(out: Path) -> str:
    """A tiny base from the embedded text, for the short forms."""
    folder = out / "base"
    pipeline.pretrain(SHORT_BASE, folder, console=console, replace=True)
    return str(folder)


def make_recipe(name: str, setting: Setting, seed: int, base: str, flags: argparse.Namespace) -> Recipe:
    """The recipe of a task: fine-tune the base, distil it, train the same student without a teacher."""
    shared = {
        "batch_size": setting.batch_size,
        "learning_rate": setting.learning_rate,
        "dropout": DROPOUT,
        "seed": seed,
    }
    return Recipe(
        name=name,
        output=str(flags.out / name / f"seed-{seed}"),
        teacher=Teacher(model=(setting.pairs and flags.pair_base) or base),
        student=Student(start=flags.pair_student if setting.pairs else None),
        data=rooted(setting.data, flags.data),
        stages=[
            Stage(finetune=FinetuneStage(epochs=setting.teacher_epochs, **shared)),
            Stage(distill=DistillStage(epochs=setting.student_epochs, **shared)),
        ],
    )


def rooted(data: Data, folder: Path) -> Data:
    """The same data with its paths inside a folder."""

    def root(sources: list[str] | None) -> list[str] | None:
        return sources and [name if name.startswith("embedded:") else str(folder / name) for name in sources]

    return data.model_copy(update={role: root(getattr(data, role)) for role in ("train", "validation", "test")})


def _write(results: list[Result], settings: dict[str, Setting], base: str, flags: argparse.Namespace) -> None:
    flags.out.mkdir(parents=True, exist_ok=True)
    write_atomically(flags.out / "results.md", _markdown(results, settings, base, flags))
    mean = average([result.quality for result in results], kept).value
    for path in {flags.out / "results.json", flags.json} - {None}:
        write_result(path, "results", mean, "share of the teacher's score kept", [_row(result) for result in results])


def _row(result: Result) -> dict[str, Any]:
    report = result.report
    return {
        "task": result.name,
        "seed": result.seed,
        "training_seconds": result.seconds,
        "quality": result.quality.model_dump(exclude={"confusion", "labels"}),
        "sizes": {role: size.model_dump() for role, size in report.sizes.items()},
        "speed": report.speed.model_dump() if report.speed else None,
    }


def _markdown(results: list[Result], settings: dict[str, Setting], base: str, flags: argparse.Namespace) -> str:
    names = list(dict.fromkeys(result.name for result in results))
    parts = [
        f"Command: `python benchmarks/results.py {_arguments(names, base, flags)}`",
        f"Machine: {describe(describe_machine())}",
        markdown_table(*quality_table(results)),
        markdown_table(*cost_table(results)),
        markdown_table(*_setting_table(names, settings)),
    ]
    return "\n\n".join(parts) + "\n"


def _arguments(names: Sequence[str], base: str, flags: argparse.Namespace) -> str:
    """What a reader types to get the same; a base below the working folder is named from there."""

    def shown(model: str) -> Path:
        full = Path(model).absolute()
        return full.relative_to(Path.cwd()) if full.is_relative_to(Path.cwd()) else Path(model)

    models = {"--base": base, "--pair-base": flags.pair_base, "--pair-student": flags.pair_student}
    named = " ".join(f"{flag} {shown(model)}" for flag, model in models.items() if model)
    which = "--short" if flags.short else f"{named} --tasks {' '.join(names)}"
    return f"{which} --seeds {' '.join(map(str, flags.seeds))}"


def describe(machine: Machine) -> str:
    """A machine and its libraries in one line."""
    versions = ", ".join(f"{name} {number}" for name, number in machine.versions.items())
    parts = [machine.cpu, f"{machine.cores:g} cores", machine.gpu or "no GPU", f"Python {machine.python}", versions]
    return "; ".join(parts)


def _setting_table(names: Sequence[str], settings: dict[str, Setting]) -> Rows:
    header = ["task", "teacher epochs", "student epochs", "batch size", "learning rate", "max_length", "training rows"]
    return header, [[name, *_setting_cells(setting)] for name, setting in settings.items() if name in names]


def _setting_cells(setting: Setting) -> list[str]:
    data = setting.data
    return [
        f"{setting.teacher_epochs:g}",
        f"{setting.student_epochs:g}",
        f"{setting.batch_size}",
        f"{setting.learning_rate:g}",
        f"{data.max_length}",
        f"the first {data.limit:,}" if data.limit else "all",
    ]


if __name__ == "__main__":
    call(main)
