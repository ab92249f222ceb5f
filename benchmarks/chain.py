r"""The whole chain on real tasks: teacher, distilled, pruned, trimmed, int8, measured side by side in one run.

    python benchmarks/chain.py --base runs/teacher/02-distill --out runs/results

Goes on where ``benchmarks/results.py`` ended, in the same folders: teacher and student are taken from there when they
are the same, else made. Like every run it can be stopped at any moment and run again.

The headline is the least of three shares over all tasks, each of its goal: kept / 97 %, bytes saved / 90 %, and the
throughput as a multiple of the teacher's / 10, the median of paired rounds. It is that of the last step's faster file.
"""

import argparse

from common import call, console, markdown_table, print_table, write_result
from pocketbert import pipeline
from pocketbert.errors import PocketBertError
from pocketbert.files import write_atomically
from pocketbert.measure.bench_results import Bench, BenchedModel
from pocketbert.measure.wording import count, file_size, percent, percent_range, times
from pocketbert.recipe import PruneStage, QuantizeStage, Recipe, Stage, Training, TrimStage
from results import DROPOUT, SETTINGS, SHORT, Setting, make_recipe, make_task_parser, short_base

TASKS = ("SST-2", "AG-News", "SNIPS-slots")
KEPT, SMALLER, FASTER = 0.97, 0.90, 10.0
"""The goals of the last row."""

STAYS = {"layers": 0.5, "hidden": 0.75, "feed_forward": 0.5}
"""What pruning leaves of a student that is half of its teacher already."""

STEPS = {"finetune": "teacher", "distill": "distilled", "prune": "pruned", "trim": "trimmed", "quantize": "int8"}
"""What a row of the table is called, by the stage that made the model."""

RECOVERY = 2
"""Passes of the recovery for each one of the student's distillation: a quarter of the layers' weights are left."""


def main() -> None:
    """Run the chains and write ``chain.md`` and ``chain.json`` into the output folder."""
    flags = _flags()
    settings = SHORT if flags.short else {name: SETTINGS[name] for name in flags.tasks}
    base = short_base(flags.out) if flags.short else flags.base
    if base is None:
        raise PocketBertError("--base is missing: a pretrained model directory; `pocketbert pretrain` makes one")
    benches: dict[str, Bench] = {}
    for name, setting in settings.items():
        console.rule(name, align="left")
        report = pipeline.run(_lengthen(make_recipe(name, setting, 0, base, flags), setting), console=console)
        if report.bench is None:
            raise PocketBertError(f"{name}: the run measured no chain")
        benches[name] = report.bench
        _write(benches, flags)
    for name, bench in benches.items():
        print_table(name, *_table(bench))


def _flags() -> argparse.Namespace:
    flags = make_task_parser(__doc__ or "", list(TASKS)).parse_args()
    if flags.short:
        flags.out = flags.out / "short"
    return flags


def _lengthen(recipe: Recipe, setting: Setting) -> Recipe:
    """The recipe of the results, and what makes its student smaller."""
    recover = Training(
        epochs=RECOVERY * setting.student_epochs,
        learning_rate=setting.learning_rate,
        batch_size=setting.batch_size,
        dropout=DROPOUT,
    )
    smaller = [
        Stage(prune=PruneStage(**STAYS, recover=recover)),
        Stage(trim=TrimStage(least=1)),
        Stage(quantize=QuantizeStage()),
    ]
    return recipe.model_copy(update={"stages": [*recipe.stages, *smaller]})


def _write(benches: dict[str, Bench], flags: argparse.Namespace) -> None:
    parts = [f"### {name}\n\n{markdown_table(*_table(bench))}" for name, bench in benches.items()]
    write_atomically(flags.out / "chain.md", "\n\n".join(parts) + "\n")
    rows = [{"task": name, **bench.model_dump(mode="json")} for name, bench in benches.items()]
    headline = min(_share_of_goals(bench) for bench in benches.values())
    for path in {flags.out / "chain.json", flags.json} - {None}:
        write_result(path, "chain", headline, "least share of a goal reached (kept, smaller, faster)", rows)


def _share_of_goals(bench: Bench) -> float:
    teacher, last = bench.models[0], max(bench.models[-len(QuantizeStage().engines) :], key=_faster)
    kept = last.kept.value if last.kept and last.kept.value is not None else 0.0
    saved = 1 - last.size.bytes / teacher.size.bytes
    return min(kept / KEPT, saved / SMALLER, _faster(last) / FASTER)


def _faster(model: BenchedModel) -> float:
    ratio = model.throughput[-1].ratio
    return ratio.median if ratio else 1.0


def _table(bench: Bench) -> tuple[list[str], list[list[str]]]:
    titles = ["step", "score", "kept", "bytes", "parameters", "latency", "texts/s", "smaller", "faster"]
    return titles, [_row(model, bench) for model in bench.models]


def _row(model: BenchedModel, bench: Bench) -> list[str]:
    teacher = bench.models[0]
    kept, throughput = model.kept, model.throughput[-1]
    ratio = throughput.ratio
    step = STEPS[model.name.split()[0].partition("-")[2]]  # of a name such as "03-prune torch fp32"
    return [
        f"{step}, {model.engine} {model.precision}",
        f"{model.quality.score:.3f}" if model.quality else "–",
        f"{percent(kept.value)} {percent_range(kept.interval)}" if kept and kept.value and kept.interval else "–",
        file_size(model.size.bytes),
        count(model.size.parameters),
        f"{model.latency[0].p50:.2f} ms",
        f"{throughput.texts_per_second:,.0f}",
        percent(1 - model.size.bytes / teacher.size.bytes) if model is not teacher else "–",
        f"{times(ratio.median)} ({ratio.low:.1f}–{ratio.high:.1f})" if ratio else "–",
    ]


if __name__ == "__main__":
    call(main)
