"""A model that is loaded once for all runs that do not ask about loading."""

from pathlib import Path
from typing import Any

import pytest

from exported import exported
from pocketbert.inference import load
from pocketbert.inference.pipeline import Pipeline
from pocketbert.predict import predicting


@pytest.fixture(scope="session")
def loaded() -> dict[str, Pipeline[Any, Any]]:
    """Pipelines by task, opened when they are asked for."""
    return {}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, loaded: dict[str, Pipeline[Any, Any]]) -> None:
    """Runs share a loaded model; all else is as it is."""

    def load_once(model: Path, *_: Any) -> Pipeline[Any, Any]:
        task = next(task for task in ("classification", "question_answering") if model == exported(task))
        if task not in loaded:
            loaded[task] = load(model, engine="onnxruntime", precision="fp32", threads=2, streams=2)
            loaded[task].close = lambda: None
        return loaded[task]

    load_once(exported("classification"))  # now, not while a test counts what is done to the disk
    monkeypatch.setattr(predicting, "load_model", load_once)
