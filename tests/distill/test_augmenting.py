"""Altered copies of training rows: of every task, kept over kills, and learnt from."""

import io
import json
import re

import jobs
import numpy as np
import pytest
from rich.console import Console

import tiny
from pocketbert.distill import augmenting
from pocketbert.distill.augmenting import NAME, augment_rows
from pocketbert.distill.distillation import distill
from pocketbert.distill.rows import encode_role, read_rows
from pocketbert.errors import ModelError, PocketBertError
from pocketbert.recipe import Augment, Data, DistillStage, Losses, Student, Training

TOKENIZER = tiny.make_tokenizer("bert")


def read(tmp_path, **fields):
    path = tiny.write_reviews(tmp_path / "train.csv", 40, pairs=fields.pop("pairs", False))
    return read_rows(Data(**{"task": "classification", "train": [str(path)], "max_length": 32} | fields))


def augment(rows, folder, **options):
    folder.mkdir(exist_ok=True)
    return augment_rows(rows, Augment(**options), Training(precision="fp32", seed=1), folder, jobs.QUIET)


def test_copies_follow_their_rows_and_say_so(tmp_path):
    rows = read(tmp_path)
    made = augment(rows, tmp_path / "work", copies=3)
    assert len(made.augmented) == 3 * len(rows.train) == 96
    for number, example in enumerate(made.augmented):
        row = rows.train[number // 3]
        assert example.where == f"{row.where}, copy {number % 3 + 1}" and example.target is None
        assert len(example.text.split()) == len(row.text.split()) - 1
    assert rows.notes[-1] == "augmented: 96 altered copies of 32 training rows"
    assert made.train == rows.train and len(encode_role(made, "augmented", TOKENIZER)) == 96


def test_pairs_words_and_questions(tmp_path):
    pairs = read(tmp_path, pairs=True)
    made = augment(pairs, tmp_path / "pairs", copies=2)
    originals = [pairs.train[number // 2] for number in range(len(made.augmented))]
    assert any(copy.text != row.text for copy, row in zip(made.augmented, originals, strict=True))
    assert any(copy.pair != row.pair for copy, row in zip(made.augmented, originals, strict=True))

    tagged = tiny.write_tags(tmp_path / "tags.jsonl", 40)
    words = read(tmp_path, task="token_classification", train=[str(tagged)])
    made = augment(words, tmp_path / "words", copies=1)
    assert all(isinstance(copy.text, list) for copy in made.augmented)
    encode_role(made, "augmented", TOKENIZER)

    questions = tmp_path / "questions.jsonl"
    row = {"question": "who saw the cat near it ?", "context": "the dog saw the cat", "answers": "the dog"}
    questions.write_text("\n".join([json.dumps(row)] * 40))
    asked = read(tmp_path, task="question_answering", train=[str(questions)], stride=2)
    made = augment(asked, tmp_path / "questions", copies=1)
    assert {copy.pair for copy in made.augmented} == {row["context"]}
    assert all(len(copy.text.split()) == 6 for copy in made.augmented)
    encode_role(made, "augmented", TOKENIZER)


def test_a_killed_run_goes_on_to_the_same_bytes(tmp_path, monkeypatch):
    model = str(tiny.make_checkpoint(tmp_path / "general"))
    options = {"copies": 5, "mix": 0.3, "model": model}
    rows = read(tmp_path)
    monkeypatch.setattr(augmenting, "CHUNK", 16)
    augment(rows, tmp_path / "whole", **options)
    whole = (tmp_path / "whole" / NAME).read_bytes()
    lines = whole.splitlines(keepends=True)
    assert len(lines) == 160
    # Killed inside a line, between two chunks, at the end of a chunk, and before the first one.
    for left in (b"".join(lines[:40]) + lines[40][:9], b"".join(lines[:32]), b"".join(lines[:16]) + b"{", b"", whole):
        folder = tmp_path / "killed"
        folder.mkdir(exist_ok=True)
        (folder / NAME).unlink(missing_ok=True)
        (folder / f"{NAME}.part").write_bytes(left)
        augment(rows, folder, **options)
        assert (folder / NAME).read_bytes() == whole and not (folder / f"{NAME}.part").exists()


def test_what_is_made_is_not_made_again(tmp_path, monkeypatch):
    rows = read(tmp_path)
    made = augment(rows, tmp_path / "work", copies=2).augmented
    monkeypatch.delattr(augmenting, "alter")
    assert augment(rows, tmp_path / "work", copies=2).augmented == made


def test_a_copy_that_is_too_long_is_left_out(tmp_path):
    rows = read(tmp_path, too_long="fail")
    made = augment(rows, tmp_path / "work", copies=1)
    made.augmented[0] = type(made.augmented[0])("the cat " * 20, None, None, "a copy")
    encoded = encode_role(made, "augmented", TOKENIZER)
    assert len(encoded) == len(made.augmented) - 1 and "of 32 augmented rows" in rows.notes[-1]


def teach(tmp_path, name, console=jobs.QUIET, **fields):
    path = tiny.write_reviews(tmp_path / "train.csv", 40)
    data = Data(task="classification", train=[str(path)], max_length=32)
    teacher = tiny.make_checkpoint(tmp_path / "teacher", head="SequenceClassification")
    options = DistillStage(**{"epochs": 1, "batch_size": 8, "precision": "fp32"} | fields)
    return distill(options, str(teacher), Student(layers=1), tmp_path / name, data, console=console)


def test_a_student_learns_from_copies_too(tmp_path):
    model = str(tiny.make_checkpoint(tmp_path / "general"))
    console = Console(width=300, file=io.StringIO())
    plain = teach(tmp_path, "plain")
    made = teach(tmp_path, "student", console, augment=Augment(copies=2, model=model))
    # 32 rows, and two copies of each.
    assert (plain.metrics["steps"], made.metrics["steps"]) == (4, 12)
    note = "augmented: 64 altered copies of 32 training rows"
    assert note in made.notes and note in console.file.getvalue()
    # The texts themselves are shown, and do not travel with the model.
    (shown,) = re.findall("^a copy: (.+)$", console.file.getvalue(), re.MULTILINE)
    assert shown and shown not in made.model_dump_json()
    assert [(parent.role, parent.source) for parent in made.parents][1:] == [("augment", model)]
    assert made.options["augment"]["model"] == model
    assert not (tmp_path / "student" / "work").exists()


def test_the_model_that_replaces_words_counts_by_its_weights(tmp_path):
    for name, seed in (("one", 0), ("same", 0), ("other", 1)):
        tiny.make_checkpoint(tmp_path / name, seed=seed)
    made = [
        teach(tmp_path, f"student-{name}", steps=1, epochs=None, augment=Augment(copies=1, model=str(tmp_path / name)))
        for name in ("one", "same", "other")
    ]
    assert made[0].key == made[1].key != made[2].key


def test_copies_without_a_word_from_the_teacher_are_refused(tmp_path):
    with pytest.raises(PocketBertError, match=r"labels alone learns nothing .* leave out data\.unlabelled and augment"):
        teach(tmp_path, "student", losses=Losses(labels=1.0), augment=Augment())
    with pytest.raises(ModelError, match="nowhere: no such model directory"):
        teach(tmp_path, "student", augment=Augment(model="./nowhere"))
    assert not (tmp_path / "student").exists()


def write_rows(path, task):
    """Rows of a task, and the head and the fields that a model of it has."""
    texts = [row.split(",") for row in tiny.write_reviews(path, 30).read_text(encoding="utf-8").splitlines()[1:]]
    if task == "token_classification":
        return tiny.write_tags(path, 30), "TokenClassification", {}
    made = {
        "multi_label": lambda text, label: {"text": text, "label": ["some", label]},
        "regression": lambda text, label: {"text": text, "label": len(label) - 3.5},
        "question_answering": lambda text, label: {"question": "the cat near", "context": text, "answers": text[:3]},
    }[task]
    path.write_text("\n".join(json.dumps(made(*row)) for row in texts))
    if task == "question_answering":
        return path, "QuestionAnswering", {}
    kind = {"problem_type": "regression", "num_labels": 1}
    if task == "multi_label":
        names = dict(enumerate(["bad", "good", "some"]))
        kind = {"problem_type": "multi_label_classification", "num_labels": 3, "id2label": names}
    return path, "SequenceClassification", kind


@pytest.mark.parametrize("task", ["multi_label", "regression", "token_classification", "question_answering"])
def test_every_task_learns_from_text_without_labels(tmp_path, task):
    path, head, fields = write_rows(tmp_path / "rows.jsonl", task)
    teacher = tiny.make_checkpoint(tmp_path / "teacher", head=head, **fields)
    data = Data(task=task, train=[str(path)], unlabelled=[str(path)], max_length=32, stride=4)
    # Of one row a step, most steps have no label at all.
    options = DistillStage(steps=8, batch_size=1, precision="fp32", augment=Augment(copies=1))
    student = Student(layers=1, architecture="bert")
    manifest = distill(options, str(teacher), student, tmp_path / "student", data, console=jobs.QUIET)
    entries = [json.loads(line) for line in (tmp_path / "student" / "log.jsonl").read_text().splitlines()]
    losses = [entry for entry in entries if "loss" in entry]
    assert all(np.isfinite(value) for entry in losses for name, value in entry.items() if name.startswith("loss"))
    assert losses
    assert {"rows: 30 without a label"} < set(manifest.notes) and set(manifest.data) == {"train", "unlabelled"}
