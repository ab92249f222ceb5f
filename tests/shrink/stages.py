"""What the tests of whole stages start from: tiny data and tiny models."""

from pathlib import Path

import tiny
from pocketbert.recipe import Data, Training

SHORT = Training(steps=4, batch_size=8, precision="fp32", evaluate_every=2, learning_rate=1e-3)
TASKS = {
    "classification": (tiny.write_reviews, "csv", "SequenceClassification"),
    "token_classification": (tiny.write_tags, "jsonl", "TokenClassification"),
}
"""How rows of a task are written, and the head that answers them."""
ROWS = {"train": 60, "validation": 30, "test": 30}


class Killed(BaseException):
    """Stands for SIGKILL."""


def make_data(folder: Path, task: str = "classification", **rows: int) -> Data:
    """Rows of every role; so many of some as are named."""
    write, ending, _ = TASKS[task]
    counts = ROWS | rows
    paths = {role: write(folder / f"{role}.{ending}", counts[role], seed) for seed, role in enumerate(counts)}
    return Data(task=task, max_length=40, **{role: [str(path)] for role, path in paths.items()})


def make_model(folder: Path, family: str = "bert", head: str = "SequenceClassification", **fields: object) -> str:
    """A random model of four layers."""
    return str(tiny.make_checkpoint(folder / "model", family, head, **{"layers": 4} | fields))
