"""Models on held-out rows: which rows count, in whose order of labels, and what is timed."""

import json
import shutil

import pytest
from rich.console import Console

import tiny
from pocketbert.engines.description import Description
from pocketbert.errors import DataError, ModelError, PocketBertError
from pocketbert.export.onnx import describe_onnx
from pocketbert.measure import evaluation
from pocketbert.measure.evaluation import compare, comparison_key, evaluate
from pocketbert.models.loading import load_model
from pocketbert.recipe import Data
from pocketbert.tasks.base import Example
from pocketbert.tasks.registry import make_task

QUIET = Console(quiet=True)
LONG = 4


@pytest.fixture(autouse=True)
def hurry(monkeypatch):
    """Time both models for a moment only."""
    monkeypatch.setattr(evaluation, "SPEED_SECONDS", 0.05)


@pytest.fixture
def reviews(tmp_path):
    """Forty rows, of which four are too long for 44 tokens."""
    path = tiny.write_reviews(tmp_path / "test.csv", 40)
    lines = path.read_text(encoding="utf-8").splitlines()
    for row in range(1, 1 + LONG):
        lines[row] = "the cat saw " * 15 + lines[row]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return [str(path)]


def make(tmp_path, name, family="bert", head="SequenceClassification", **fields):
    return str(tiny.make_checkpoint(tmp_path / name, family, head, **fields))


def numbered(count):
    names = [f"LABEL_{number}" for number in range(count)]
    return {"num_labels": count, "id2label": dict(enumerate(names)),
            "label2id": {name: number for number, name in enumerate(names)}}  # fmt: skip


def test_a_comparison_needs_a_teacher_and_a_student(reviews):
    data = Data(task="classification", test=reviews)
    for models, absent in (({"student": "x"}, "teacher"), ({"teacher": "x"}, "student")):
        with pytest.raises(PocketBertError, match=f"compare: name the model that is the {absent}"):
            compare(models, data)


def test_rows_that_are_left_out_are_neither_scored_nor_hidden(tmp_path, reviews):
    data = Data(task="classification", test=reviews, max_length=44, too_long="skip")
    model = make(tmp_path, "model")
    found = evaluate(model, data, console=QUIET, resamples=20)
    assert found.examples == 40 - LONG
    assert found.notes[-1].startswith(f"skipped {LONG} of 40 test rows, too long for max_length 44, such as: ")
    short = tmp_path / "short.csv"
    lines = (tmp_path / "test.csv").read_text(encoding="utf-8").splitlines()
    short.write_text("\n".join([lines[0], *lines[1 + LONG :]]) + "\n", encoding="utf-8")
    again = evaluate(model, data.model_copy(update={"test": [str(short)]}), console=QUIET, resamples=20)
    assert (again.metrics, again.majority) == (found.metrics, found.majority)


def test_rows_that_are_cut_are_noted(tmp_path, reviews):
    data = Data(task="classification", test=reviews, max_length=44)
    found = evaluate(make(tmp_path, "model"), data, console=QUIET, resamples=20)
    assert (found.examples, found.truncated) == (40, LONG)
    assert f"truncated {LONG} of 40 test rows to max_length 44" in found.notes


def test_a_comparison_leaves_the_same_rows_out_for_both(tmp_path, reviews):
    data = Data(task="classification", test=reviews, max_length=44, too_long="skip")
    # A DistilBERT takes no token types, which the tokenizer of its BERT teacher gives.
    student = make(tmp_path, "student", "distilbert")
    tiny.make_tokenizer("bert").save_pretrained(student)
    found = compare({"teacher": make(tmp_path, "teacher"), "student": student}, data)
    assert found.quality.examples == 40 - LONG
    assert sum(note.startswith("skipped") for note in found.notes) == 1
    assert set(found.speed.models) == {"teacher", "student"}


def test_tokenizers_that_leave_out_different_rows_are_refused(tmp_path, reviews):
    # "house" and "river" are one piece for a BERT of the tiny words, but several for a tokenizer of letters.
    data = Data(task="classification", test=reviews, max_length=16, too_long="skip")
    models = {"teacher": make(tmp_path, "teacher"), "student": make(tmp_path, "student", "roberta")}
    with pytest.raises(DataError, match=r"teacher and .*student have different tokenizers.*set too_long: truncate"):
        compare(models, data)


@pytest.mark.parametrize("order", [["0", "1"], ["1", "0"]])
def test_f1_is_of_the_layouts_second_label_whatever_the_models_order(tmp_path, order):
    path = tmp_path / "dev.tsv"
    rows = "".join(f"{number % 2}\t1\t2\tthe cat\ta dog\n" for number in range(6))
    path.write_text(f"Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n{rows}", encoding="utf-8")
    names = {"id2label": dict(enumerate(order)), "label2id": {name: number for number, name in enumerate(order)}}
    data = Data(task="classification", layout="mrpc", test=[str(path)], max_length=16)
    found = evaluate(make(tmp_path, "model", num_labels=2, **names), data, console=QUIET, resamples=20)
    # Every row has the same texts, so that the model answers one label throughout; only "1" has an F1 above 0.
    assert found.majority["f1"] in (0, pytest.approx(2 / 3))
    head = load_model(str(tmp_path / "model"), "SequenceClassification")
    answer = order[int(head.model(**head.tokenizer("the cat", "a dog", return_tensors="pt")).logits.argmax())]
    assert found.metrics["f1"] == pytest.approx(2 / 3 if answer == "1" else 0)


def test_labels_without_names_must_be_as_many_as_the_rows_have(tmp_path):
    path = tmp_path / "test.csv"
    path.write_text("text,label\n" + "the cat,1\na dog,3\n" * 4, encoding="utf-8")
    model = make(tmp_path, "model", **numbered(3))
    data = Data(task="classification", test=[str(path)], max_length=24)
    with pytest.raises(ModelError, match=r"has 3 labels without names, but the data has 2 \(1, 3\).*data\.labels"):
        evaluate(model, data, console=QUIET)
    named = data.model_copy(update={"labels": ["1", "2", "3"]})
    assert evaluate(model, named, console=QUIET, resamples=20).examples == 8


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ("regression", "has 2 outputs, but regression has one"),
        ("multi_label", r"was trained for classification .* but data\.task is multi_label"),
    ],
)
def test_a_model_of_another_task_is_refused(tmp_path, task, message):
    path = tmp_path / "test.csv"
    label = "1" if task == "regression" else "good"
    path.write_text("text,label\n" + f"the cat,{label}\n" * 4, encoding="utf-8")
    model = make(tmp_path, "model", problem_type="single_label_classification")
    data = Data(task=task, test=[str(path)], max_length=16)
    with pytest.raises(ModelError, match=message):
        evaluate(model, data, console=QUIET, resamples=20)
    with pytest.raises(ModelError, match=message):
        compare({"teacher": model, "student": model}, data)


def test_contexts_in_other_windows_are_timed_by_their_first(tmp_path):
    text = "the cat saw a grey house "  # "grey" is in letters for a BERT of the tiny words
    answers = {"text": ["cat"], "answer_start": [4]}
    rows = [{"question": "a cat", "context": text * (1 + row), "answers": answers} for row in range(6)]
    path = tmp_path / "test.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    data = Data(task="question_answering", test=[str(path)], max_length=24, stride=4)
    task, examples = make_task(data), [Example("a cat", row["context"], [], "") for row in rows]
    windows = {len(task.encode(examples, tiny.make_tokenizer(family))) for family in ("bert", "roberta")}
    assert len(windows) == 2
    models = {"teacher": make(tmp_path, "teacher", head="QuestionAnswering"),
              "student": make(tmp_path, "student", "roberta", "QuestionAnswering")}  # fmt: skip
    found = compare(models, data)
    assert found.quality.examples == 6 and found.speed.latency_rounds >= 3


FILES = ["onnx/model.onnx", "openvino/openvino_model.xml"]


@pytest.mark.parametrize("file", FILES)
def test_an_exported_file_is_scored_like_its_directory(exported, reviews, file):
    data = Data(task="classification", test=reviews, max_length=32)
    ours, theirs = (evaluate(str(model), data, console=QUIET, resamples=20) for model in (exported, exported / file))
    assert theirs.model.endswith(file)
    assert {**theirs.metrics, "loss": 0} == pytest.approx({**ours.metrics, "loss": 0}, abs=1e-4)
    assert (theirs.examples, theirs.truncated, theirs.majority) == (ours.examples, ours.truncated, ours.majority)


@pytest.mark.parametrize("file", FILES)
def test_an_exported_file_is_compared_with_its_directory(exported, reviews, file):
    data = Data(task="classification", test=reviews, max_length=32)
    found = compare({"teacher": str(exported), "student": str(exported / file)}, data)
    assert found.quality.agreement == 1.0
    assert found.sizes["student"].parameters == found.sizes["teacher"].parameters
    assert found.sizes["student"].bytes >= (exported / file).stat().st_size
    engines = [found.speed.models[role].engine for role in ("teacher", "student")]
    assert engines == ["torch", "onnxruntime" if "onnx/" in file else "openvino"]
    assert found.speed.device == "cpu"


def test_the_key_of_a_comparison_knows_the_files(exported, reviews, tmp_path):
    data = Data(task="classification", test=reviews)
    copy = shutil.copytree(exported, tmp_path / "student")
    models = {"teacher": str(exported), "student": str(copy / "onnx/model.onnx")}
    before = comparison_key(models, data)
    (copy / "onnx/model.onnx").write_bytes(b"changed")
    assert comparison_key(models, data) != before


def test_rows_longer_than_a_file_takes_are_refused(exported, reviews, tmp_path):
    file = shutil.copytree(exported, tmp_path / "student") / "onnx/model.onnx"
    describe_onnx(file, Description(task="classification", labels=tiny.LABELS, max_length=24))
    data = Data(task="classification", test=reviews, max_length=32)
    with pytest.raises(ModelError, match=r"model\.onnx: takes at most 24 tokens, but a row has 32; lower max_length"):
        evaluate(str(file), data, console=QUIET)
    short = data.model_copy(update={"max_length": 24})
    assert evaluate(str(file), short, console=QUIET, resamples=20).examples == 40


def test_hidden_tokens_are_not_asked_of_a_file(exported, tmp_path):
    text = tiny.write_text(tmp_path / "text.txt", 4)
    data = Data(task="masked_lm", test=[str(text)])
    with pytest.raises(ModelError, match=r"model\.onnx: hidden tokens are looked for by torch alone"):
        evaluate(str(exported / "onnx/model.onnx"), data, console=QUIET)
