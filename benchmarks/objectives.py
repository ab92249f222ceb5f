r"""Which losses teach a task best: the measurement behind the defaults of task distillation.

    python benchmarks/objectives.py --base runs/teacher/02-distill --out runs/results \
        --pair-base runs/pairs/01-finetune --pair-student runs/pairs/02-distill

Each objective teaches the same student, from the same start, for the same steps, by the teachers that
``benchmarks/results.py`` fine-tunes (they are shared, and made here when absent). Scores are those of the validation
rows, never of the test rows. It can be stopped and run again.
"""

import argparse
from pathlib import Path
from typing import Any

import results as tasks
from common import call, console, print_table, write_result
from pocketbert import pipeline
from pocketbert.errors import PocketBertError
from pocketbert.recipe import DistillStage, FinetuneStage, Losses, Recipe

OBJECTIVES: dict[str, tuple[Losses, float]] = {
    "labels alone": (Losses(labels=1.0), 1.0),
    "soft targets, T 1": (Losses(soft_targets=1.0), 1.0),
    "soft targets, T 2": (Losses(soft_targets=1.0), 2.0),
    "soft targets + 0.5 labels": (Losses(soft_targets=1.0, labels=0.5), 2.0),
    "soft targets + 0.5 labels + cosine": (Losses(soft_targets=1.0, labels=0.5, cosine=1.0), 2.0),
    "logit MSE": (Losses(logit_mse=1.0), 1.0),
}
SHORT = ["labels alone", "soft targets + 0.5 labels"]


def main() -> None:
    """Teach by each objective and print the validation scores."""
    flags = _flags()
    names = SHORT if flags.short else list(OBJECTIVES)
    settings = tasks.SHORT if flags.short else {name: tasks.SETTINGS[name] for name in flags.tasks}
    base = tasks.short_base(flags.out) if flags.short else flags.base
    if base is None:
        raise PocketBertError("--base is missing: a pretrained model directory; `pocketbert pretrain` makes one")
    rows: list[dict[str, Any]] = []
    for task, setting in settings.items():
        recipe = tasks.make_recipe(task, setting, flags.seed, base, flags)
        for name in names:
            console.rule(f"{task}: {name}", align="left")
            rows.append({"task": task, "objective": name, "score": _teach(recipe, name, flags)})
    header = ["objective", *settings, "mean"]
    print_table("validation scores", header, [_row(name, rows) for name in names])
    best = max((_mean(name, rows), name) for name in names)
    write_result(flags.json, "objectives", best[0], f"mean validation score of the best: {best[1]}", rows)


def _flags() -> argparse.Namespace:
    parser = tasks.make_task_parser(__doc__ or "", ["MRPC", "STS-B", "SNIPS-slots"])
    parser.add_argument("--epochs", type=float, default=3.0, help="of each student")
    parser.add_argument("--seed", type=int, default=0)
    flags = parser.parse_args()
    if flags.short:
        flags.out = flags.out / "short"
    return flags


def _teach(recipe: Recipe, name: str, flags: argparse.Namespace) -> float:
    folder = Path(recipe.output or "")
    finetuning = recipe.stages[0].options
    if not isinstance(finetuning, FinetuneStage) or recipe.teacher is None:
        raise PocketBertError("objectives: the first stage of a task's recipe fine-tunes its teacher")
    teacher = folder / "01-finetune"
    pipeline.finetune(finetuning, recipe.teacher.model, teacher, recipe.data, console=console, replace=True)
    losses, temperature = OBJECTIVES[name]
    options = DistillStage(
        losses=losses,
        temperature=temperature,
        epochs=flags.epochs,
        learning_rate=finetuning.learning_rate,
        batch_size=finetuning.batch_size,
        dropout=finetuning.dropout,
        seed=flags.seed,
    )
    # The cosine loss needs the teacher's width, which every student here has.
    output = folder / "objectives" / name.replace(" ", "-").replace(",", "")
    made = pipeline.distill(options, str(teacher), recipe.student, output, recipe.data, console=console, replace=True)
    return float(made.metrics["best_score"])


def _row(name: str, rows: list[dict[str, Any]]) -> list[str]:
    scores = [row["score"] for row in rows if row["objective"] == name]
    return [name, *(f"{score:.4f}" for score in scores), f"{_mean(name, rows):.4f}"]


def _mean(name: str, rows: list[dict[str, Any]]) -> float:
    scores = [row["score"] for row in rows if row["objective"] == name]
    return sum(scores) / len(scores)


if __name__ == "__main__":
    call(main)
