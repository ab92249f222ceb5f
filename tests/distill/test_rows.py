"""Which rows are learnt from, selected on and reported."""

import numpy as np
import pytest

import tiny
from pocketbert.distill.rows import (
    check_purpose,
    encode_role,
    fingerprints,
    label_order,
    read_rows,
    read_test_rows,
    training_inputs,
    with_unlabelled,
)
from pocketbert.errors import DataError, ModelError
from pocketbert.models.loading import LoadedModel
from pocketbert.recipe import Data
from pocketbert.tasks.registry import make_task


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


def test_rows_behind_the_limit_are_not_even_read(tmp_path, files):
    path = tmp_path / "train.csv"
    path.write_text(path.read_text(encoding="utf-8") + "ragged,row,of,fields\n", encoding="utf-8")
    assert len(read(files, "train", "validation", "test", limit=50).train) == 50
    with pytest.raises(DataError, match="row 51"):
        read(files, "train", "validation", "test", limit=51)


def test_too_few_rows_to_hold_some_out(tmp_path):
    few = [str(tiny.write_reviews(tmp_path / "few.csv", 4))]
    with pytest.raises(DataError, match=r"4 training rows are too few to hold some out; name data\.test"):
        read({"train": few}, "train")


def test_named_test_rows_do_not_count_for_what_is_learnt(files):
    def inputs(*roles, **fields):
        data = Data(task="classification", **{role: files[role] for role in roles}, **fields)
        return training_inputs(data, fingerprints(data))

    whole = inputs("train", "validation", "test")
    assert inputs("train", "validation", test=files["train"]) == whole
    # Without them the validation rows are reported, and others held out.
    assert len({whole, inputs("train", "validation"), inputs("train", "test"), inputs("train")}) == 4
    assert inputs("train", "test", validation=files["train"]) != whole


def unlabelled(files, *sources, task="classification", **fields):
    rows = read_rows(Data(task=task, unlabelled=list(map(str, sources)), **files, **fields))
    return with_unlabelled(rows)


def test_rows_without_a_label_come_beside_the_others(files, tmp_path):
    (tmp_path / "more.txt").write_text("the cat was fine\n\na dull dog\n")
    (tmp_path / "more.csv").write_text("label,text\nnobody knows,the owl\n")
    rows = unlabelled(files, tmp_path / "more.txt", tmp_path / "more.csv")
    assert [example.text for example in rows.unlabelled] == ["the cat was fine", "a dull dog", "the owl"]
    assert len(rows.train) == 50 and rows.notes[-1] == "rows: 3 without a label"
    assert read_rows(rows.task.data).unlabelled == []


def test_plain_text_has_no_layout_and_pairs_have(tmp_path):
    (tmp_path / "train.tsv").write_text("sentence\tlabel\n" + "the cat\t1\na dog\t0\n" * 20)
    (tmp_path / "more.tsv").write_text("index\tsentence\n0\tthe owl\n")
    (tmp_path / "more.txt").write_text("the horse\n")
    files = {"train": [str(tmp_path / "train.tsv")]}
    rows = unlabelled(files, tmp_path / "more.tsv", tmp_path / "more.txt", layout="sst2")
    assert [example.text for example in rows.unlabelled] == ["the owl", "the horse"]
    pairs = "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n" + "1\t1\t2\ta cat\tthe cat\n0\t1\t2\ta dog\tan owl\n" * 20
    (tmp_path / "pairs.txt").write_text(pairs)
    rows = unlabelled({"train": [str(tmp_path / "pairs.txt")]}, tmp_path / "pairs.txt", layout="mrpc")
    assert len(rows.unlabelled) == 40 and rows.unlabelled[1].pair == "an owl"


def test_bad_rows_without_a_label_are_noted(files, tmp_path):
    (tmp_path / "more.csv").write_text("text,id\nthe cat,1\n,2\n")
    with pytest.raises(DataError, match=r"more\.csv row 2: column 'text' is empty"):
        unlabelled(files, tmp_path / "more.csv")
    notes = unlabelled(files, tmp_path / "more.csv", on_error="skip").notes
    assert any(note.startswith("skipped 1 bad rows without a label, such as: ") for note in notes)


def test_rows_without_a_label_count_for_the_stage_that_reads_them(files):
    data = Data(task="classification", **files)
    more = data.model_copy(update={"unlabelled": files["train"]})
    assert training_inputs(more, fingerprints(more)) == training_inputs(data, fingerprints(data))
    read = [training_inputs(each, fingerprints(each, unlabelled=True)) for each in (data, more)]
    assert read[0] == training_inputs(data, fingerprints(data)) != read[1]


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


# The order of labels


def make_teacher(labels, problem_type=None):
    tokenizer = tiny.make_tokenizer("bert")
    fields = {"num_labels": len(labels), "id2label": dict(enumerate(labels)),
              "label2id": {name: number for number, name in enumerate(labels)}}  # fmt: skip
    model = tiny.make_model("bert", "SequenceClassification", tokenizer, **fields)
    model.config.problem_type = problem_type  # some releases of transformers make no configuration with another word
    return LoadedModel(model, tokenizer, "teacher", ())


@pytest.mark.parametrize("order", [["bad", "good"], ["good", "bad"], ["LABEL_0", "LABEL_1"]])
def test_targets_are_places_in_the_teachers_order(files, order):
    data = Data(task="classification", max_length=32, **files)
    named = order if "bad" in order else ["bad", "good"]
    rows = read_rows(data, make_teacher(order))
    assert rows.task.labels == named
    for examples in (rows.train, rows.validation, rows.test):
        # Rows are bad and good in turn: tiny.write_reviews.
        assert [named[example.target] for example in examples] == ["bad", "good"] * 25


@pytest.mark.parametrize("order", [["bad", "good"], ["good", "bad"]])
def test_f1_is_of_the_label_that_is_second_in_the_data(files, order):
    task = read_rows(Data(task="classification", max_length=32, metric=["f1"], **files), make_teacher(order)).task
    good, bad = order.index("good"), order.index("bad")
    predictions, targets = [good, good, bad, bad, bad], [good, bad, good, good, good]
    assert task.score(predictions, targets)["f1"] == pytest.approx(1 / 3)
    assert task.scorer(predictions, targets)(np.arange(5)) == pytest.approx(1 / 3)


def test_sets_of_labels_are_in_the_teachers_order(tmp_path):
    rows = ["text,label"] + ["the cat,a", "a dog,b", '"the dog was near","a,c"'] * 10
    path = tmp_path / "train.csv"
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    data = Data(task="multi_label", train=[str(path)], validation=[str(path)], test=[str(path)])
    found = read_rows(data, make_teacher(["c", "b", "a"]))
    assert [example.target.tolist() for example in found.train[:3]] == [[0, 0, 1], [0, 1, 0], [1, 0, 1]]


def test_labels_without_names_must_be_as_many_as_the_datas():
    task = make_task(Data(task="classification", labels=["1", "3"]))
    with pytest.raises(
        ModelError, match=r"teacher: has 3 labels without names, but the data has 2 \(1, 3\).*data\.labels"
    ):
        label_order(task, make_teacher(["LABEL_0", "LABEL_1", "LABEL_2"]))


def test_labels_that_are_called_by_numbers_are_found_by_name():
    names = [f"LABEL_{number}" for number in range(11)]
    task = make_task(Data(task="classification", labels=sorted(names)))
    assert label_order(task, make_teacher(names)) == names


# What a model was trained for

SINGLE, MULTI = "single_label_classification", "multi_label_classification"


@pytest.mark.parametrize("problem_type", [None, SINGLE])
def test_a_classifier_is_no_model_of_regression(problem_type):
    message = "teacher: has 2 outputs, but regression has one; finetune it on this data first"
    with pytest.raises(ModelError, match=message):
        check_purpose(make_task(Data(task="regression")), make_teacher(tiny.LABELS, problem_type))


@pytest.mark.parametrize(
    ("task", "problem_type", "trained"),
    [
        ("classification", MULTI, "multi_label"),
        ("multi_label", SINGLE, "classification"),
        ("classification", "regression", "regression"),
        ("multi_label", "regression", "regression"),
    ],
)
def test_a_model_of_another_task_is_refused(task, problem_type, trained):
    message = (
        rf"teacher: was trained for {trained} \(problem_type {problem_type} in config\.json\), but data\.task is "
        rf"{task}; set data\.task: {trained}, or finetune it on this data first"
    )
    with pytest.raises(ModelError, match=message):
        check_purpose(make_task(Data(task=task)), make_teacher(tiny.LABELS, problem_type))


@pytest.mark.parametrize(
    ("task", "labels", "problem_type"),
    [
        ("classification", tiny.LABELS, None),
        ("classification", tiny.LABELS, SINGLE),
        ("classification", tiny.LABELS, "a word of their own"),
        ("multi_label", tiny.LABELS, None),
        ("multi_label", tiny.LABELS, MULTI),
        ("regression", ["LABEL_0"], None),
        ("regression", ["value"], "regression"),
        ("token_classification", tiny.TAGS, SINGLE),
    ],
)
def test_a_model_that_does_not_say_or_says_the_same_is_taken(task, labels, problem_type):
    check_purpose(make_task(Data(task=task)), make_teacher(labels, problem_type))


# Rows that are too long


def write_long(path, long_rows, rows=20):
    lines = [f"{'the cat ' * (30 if row in long_rows else 1)},{tiny.LABELS[row % 2]}" for row in range(rows)]
    path.write_text("\n".join(["text,label", *lines]) + "\n", encoding="utf-8")
    return [str(path)]


ROLES = {"train": "training", "validation": "validation", "test": "test"}


@pytest.mark.parametrize("role", ROLES)
def test_rows_that_are_cut_or_left_out_are_noted_for_every_role(tmp_path, role):
    sources = {name: write_long(tmp_path / f"{name}.csv", {3, 8}) for name in ROLES}
    for policy in ("truncate", "skip"):
        rows = read_rows(Data(task="classification", max_length=16, too_long=policy, **sources))
        encode_role(rows, role, tiny.make_tokenizer("bert"))
        encoded = encode_role(rows, role, tiny.make_tokenizer("bert"))
        if policy == "truncate":
            assert len(encoded.examples) == 20
            assert rows.notes[-1] == f"truncated 2 of 20 {ROLES[role]} rows to max_length 16"
        else:
            assert len(encoded.examples) == 18
            note = f"skipped 2 of 20 {ROLES[role]} rows, too long for max_length 16, such as: "
            assert rows.notes[-1].startswith(note) and f"{role}.csv row 4; " in rows.notes[-1]
        assert sum("max_length" in note for note in rows.notes) == 1  # said once, though encoded twice


def test_rows_that_are_all_too_long_are_refused(tmp_path):
    sources = write_long(tmp_path / "test.csv", set(range(20)))
    rows = read_test_rows(Data(task="classification", max_length=16, too_long="skip", test=sources), None)
    with pytest.raises(
        DataError, match=r"test\.csv row 1: too long for max_length 16, like every other of 20 test rows"
    ):
        encode_role(rows, "test", tiny.make_tokenizer("bert"))


def test_bad_rows_are_noted_where_a_model_is_evaluated(tmp_path):
    path = tmp_path / "test.csv"
    path.write_text("text,label\n" + "the cat,bad\na dog,good\n" * 5 + ",good\n", encoding="utf-8")
    rows = read_test_rows(Data(task="classification", on_error="skip", test=[str(path)]), tiny.LABELS)
    assert len(rows.test) == 10
    assert any(note.startswith("skipped 1 bad rows") and "test.csv row 11" in note for note in rows.notes)
