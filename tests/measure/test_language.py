"""Masked language models on held-out text."""

import pytest
from rich.console import Console

import tiny
from pocketbert.errors import DataError
from pocketbert.measure.language import evaluate_masked_lm
from pocketbert.recipe import Data

QUIET = Console(quiet=True)


def evaluate(tmp_path, documents):
    model = tiny.make_checkpoint(tmp_path / "model")
    text = tiny.write_text(tmp_path / "text.txt", documents)
    data = Data(task="masked_lm", test=[str(text)], max_length=40)
    return evaluate_masked_lm(str(model), data, QUIET, resamples=20)


def test_text_shorter_than_a_block_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"text\.txt: \d+ tokens fill 0 blocks of 40; give more text"):
        evaluate(tmp_path, 1)


def test_each_block_is_an_example(tmp_path):
    found = evaluate(tmp_path, 40)
    assert found.examples > 1 and f"in {found.examples} blocks of 40" in found.notes[0]
    assert found.interval.low <= found.score <= found.interval.high
