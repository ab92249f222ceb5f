"""Tiny models as ExecuTorch programs, made once for all tests that only read them."""

from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import pytest

from exported import make_model
from pocketbert.engines.description import Precision
from pocketbert.export.mobile import write_mobile_program
from pocketbert.export.subject import Subject, read_subject
from pocketbert.recipe import ExportStage


@cache
def subject(task: str, family: str = "bert") -> Subject:
    """A tiny model on its way into files."""
    folder = make_model(Path(mkdtemp(prefix=f"mobile-{task}-{family}-")), task, family)
    return read_subject(ExportStage(pooling="mean" if task == "embedding" else None), str(folder), None)


def program(task: str, family: str = "bert", precision: Precision = "fp32") -> Path:
    """Its program, with a method for 48 tokens, and for 16 where it answers tokens. Not to be changed."""
    pytest.importorskip("executorch", reason="the extra `mobile` is not installed")
    return _made(task, family, precision)


@cache
def _made(task: str, family: str, precision: Precision) -> Path:
    made = subject(task, family)
    path = Path(mkdtemp(prefix=f"program-{task}-{family}-")) / "model.pte"
    description = made.description.model_copy(update={"precision": precision})
    # A method takes seconds to make.
    write_mobile_program(made.module, description, [16] if task == "token_classification" else [], path)
    return path
