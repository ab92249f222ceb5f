"""What is found out about the rows before a training begins."""

import io

import jobs
import pytest
from rich.console import Console

import tiny
from pocketbert.distill.learning import learn_rows
from pocketbert.distill.phases import Course
from pocketbert.distill.rows import read_rows
from pocketbert.distill.stage import StageFolder
from pocketbert.errors import DataError
from pocketbert.recipe import Data, Losses, Training

ROLES = ("train", "validation", "test")
TOKENIZER = tiny.make_tokenizer("bert")


def learn(tmp_path, long_role, too_long, console=jobs.QUIET):
    """A short training of which the rows of one role have one that is too long."""
    sources = {role: tiny.write_reviews(tmp_path / f"{role}.csv", 20, seed) for seed, role in enumerate(ROLES)}
    with sources[long_role].open("a", encoding="utf-8") as file:
        file.write("the cat " * 30 + ",good\n")
    rows = read_rows(Data(task="classification", max_length=44, too_long=too_long,
                          **{role: [str(path)] for role, path in sources.items()}))  # fmt: skip
    model = tiny.make_model("bert", "SequenceClassification", TOKENIZER)
    options = Training(steps=2, batch_size=4, precision="fp32")
    stage = StageFolder(tmp_path / "made", "key")
    return rows, learn_rows("finetune", model, TOKENIZER, rows, options, Course.of(Losses(labels=1)), stage, console)


@pytest.mark.parametrize("role", ROLES)
def test_a_row_of_no_use_is_refused_before_there_is_a_folder(tmp_path, role):
    with pytest.raises(DataError, match=rf"{role}\.csv row 21: the text is longer than max_length"):
        learn(tmp_path, role, "fail")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("role", ROLES)
def test_rows_left_out_are_shown_and_noted(tmp_path, role):
    console = Console(width=300, file=io.StringIO())
    rows, summary = learn(tmp_path, role, "skip", console)
    word = "training" if role == "train" else role
    note = f"skipped 1 of 21 {word} rows, too long for max_length 44, such as: {tmp_path / role}.csv row 21"
    assert note in rows.notes and note in console.file.getvalue()
    assert summary["steps"] == 2 and summary["truncated"] == 0
