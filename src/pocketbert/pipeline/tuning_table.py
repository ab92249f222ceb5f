"""The trials of a search as a table, the best first."""

from rich.console import Console
from rich.table import Table

from pocketbert.pipeline.trials import Trial, Tuning


def render_tuning(tuning: Tuning, console: Console) -> None:
    """Print every trial with its values, score and seconds, why some failed, and how to run the best.

    Args:
        tuning: what the search found.
        console: where to.
    """
    names = _column_names(list(tuning.trials[0].values))
    table = Table("trial", "score", "seconds", *names.values(), title=f"{tuning.name}: validation scores")
    for trial in sorted(tuning.trials, key=_rank):
        score = "failed" if trial.score is None else f"{trial.score:.4f}"
        values = [show_value(trial.values[path]) for path in names]
        table.add_row(str(trial.number), score, f"{trial.seconds:,.1f}", *values)
    console.print(table)
    for trial in tuning.trials:
        if trial.message:
            console.print(
                f"trial {trial.number} failed: {trial.message}", markup=False, highlight=False, soft_wrap=True
            )
    console.print(f"best: trial {tuning.best}; pocketbert run {tuning.recipe}", highlight=False, soft_wrap=True)


def show_value(value: object) -> str:
    """A value of a searched field, for people."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _rank(trial: Trial) -> tuple[float, int]:
    return (float("inf") if trial.score is None else -trial.score, trial.number)


def _column_names(paths: list[str]) -> dict[str, str]:
    """The last part of each path, or the whole where two end alike."""
    ends = [path.rpartition(".")[2] for path in paths]
    return {path: end if ends.count(end) == 1 else path for path, end in zip(paths, ends, strict=True)}
