"""Which rows are learnt from, selected on and reported."""

import pytest

import tiny
from pocketbert.distill.rows import read_rows, read_test_rows
from pocketbert.errors import DataError
from pocketbert.recipe import Data


@pytest.fixture
def files(tmp_path):
    return {role: [str(tiny.write_reviews(tmp_path / f"{role}.csv", 50, seed))]
            for seed, role in enumerate(("train", "validation", "test"))}  # fmt: skip


def read(files, *roles, **fields):
    return read_rows(Data(task="classification", max_length=32, **{role: files[role] for role in roles}, **fields))


def origin(examples):
    """The files that examples come from."""
    return {example.where.split("/")[-1].split(".")[0] for example in examples}


def test_named_roles_are_taken_as_they_are(files):
    rows = read(files, "train", "validation", "test")
    assert [origin(part) for part in (rows.train, rows.validation, rows.test)] == [{"train"}, {"validation"}, {"test"}]
    assert set(rows.fingerprints) == {"train", "validation", "test"}


def test_without_test_rows_the_validation_rows_are_reported_and_others_selected_on(files):
    rows = read(files, "train", "validation")
    assert origin(rows.test) == {"validation"} and origin(rows.validation) == {"train"}
    assert len(rows.train) == 45 and len(rows.validation) == 5
    assert any("held out 5 of the training rows for validation" in note for note in rows.notes)


def test_without_validation_a_tenth_is_held_out(files):
    rows = read(files, "train", "test")
    assert origin(rows.test) == {"test"} and len(rows.validation) == 5 and len(rows.train) == 45


def test_held_out_rows_are_no_others(files):
    rows = read(files, "train")
    places = [{example.where for example in part} for part in (rows.train, rows.validation, rows.test)]
    assert [len(part) for part in places] == [41, 4, 5]
    assert not (places[0] & places[1] or places[0] & places[2] or places[1] & places[2])
    again = read(files, "train")
    assert [example.where for example in again.validation] == [example.where for example in rows.validation]


def test_a_limit_is_on_training_rows(files):
    rows = read(files, "train", "validation", "test", limit=20)
    assert (len(rows.train), len(rows.validation), len(rows.test)) == (20, 50, 50)


def test_too_few_rows_to_hold_some_out(tmp_path):
    few = [str(tiny.write_reviews(tmp_path / "few.csv", 4))]
    with pytest.raises(DataError, match=r"4 training rows are too few to hold some out; name data\.test"):
        read({"train": few}, "train")


def test_training_rows_must_be_named(files):
    with pytest.raises(DataError, match=r"data\.train: name the training rows"):
        read(files, "test")


def test_rows_to_evaluate_on_must_be_named(files):
    with pytest.raises(DataError, match="name the rows to evaluate on"):
        read_test_rows(Data(task="classification", train=files["train"]), None)


def test_a_models_labels_rule_where_it_is_evaluated(files):
    data = Data(task="classification", test=files["test"], max_length=32)
    assert read_test_rows(data, ["good", "bad"]).task.labels == ["good", "bad"]
    with pytest.raises(DataError, match="none of the task's 2 labels"):
        read_test_rows(data, ["good", "awful"])
