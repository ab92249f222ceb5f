"""Small searches: a recipe of two stages, and fields of it to vary."""

from pathlib import Path
from typing import Any

from rich.console import Console

import tiny
from pocketbert import pipeline
from pocketbert.pipeline.trials import Tuning
from pocketbert.recipe import Recipe

QUIET = Console(quiet=True)
RATE, LAYERS, HEADS = "stages.1.distill.learning_rate", "student.layers", "student.heads"
SPACE = {RATE: {"low": 1e-4, "high": 1e-2, "log": True}, LAYERS: {"low": 1, "high": 2}}


def make_tree(tmp_path: Path) -> dict[str, Any]:
    """A teacher that is finetuned, and a student whose shape and rate are searched."""
    rows = {role: str(tiny.write_reviews(tmp_path / f"{role}.csv", 60, seed))
            for seed, role in enumerate(("train", "validation", "test"))}  # fmt: skip
    short = {"batch_size": 8, "precision": "fp32", "dropout": 0.0}
    return {
        "name": "tiny",
        "output": str(tmp_path / "run"),
        "teacher": {"model": str(tiny.make_checkpoint(tmp_path / "teacher"))},
        "student": {"layers": 1},
        "data": {"task": "classification", **rows, "max_length": 32},
        "stages": [{"finetune": {"steps": 3, **short}}, {"distill": {"steps": 8, **short}}],
        "tune": {"trials": 3, "space": SPACE},
    }


def search(tree: dict[str, Any]) -> Tuning:
    """Search, saying nothing."""
    return pipeline.tune(Recipe.model_validate(tree), console=QUIET)
