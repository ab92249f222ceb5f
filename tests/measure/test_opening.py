"""References: model directories and exported files, opened to the same answers."""

import json
import shutil

import numpy as np
import pytest

import tiny
from pocketbert.distill.prediction import run_engine
from pocketbert.errors import ModelError
from pocketbert.export.onnx import describe_onnx
from pocketbert.measure.opening import hash_reference, open_model

FILES = ["onnx/model.onnx", "openvino/openvino_model.xml"]


@pytest.mark.parametrize("file", FILES)
def test_an_exported_file_answers_what_its_directory_does(exported, file):
    ours, file = open_model(str(exported)), open_model(str(exported / file), threads=1)
    features = [dict(ours.tokenizer(text)) for text in ("the cat", "a dog saw it", "lovely")]
    answers = [np.stack(run_engine(each.engine, features, each.tokenizer.pad_token_id)) for each in (ours, file)]
    assert np.allclose(*answers, atol=1e-4) and np.ptp(answers[0]) > 0.01
    assert (ours.engine.name, ours.engine.description.task) == ("torch", "classification")
    assert file.engine.description.labels == ours.engine.description.labels == tiny.LABELS
    assert file.config.id2label == ours.config.id2label
    assert file.tokenizer("the cat")["input_ids"] == ours.tokenizer("the cat")["input_ids"]


def test_the_order_of_the_labels_is_the_files(exported, tmp_path):
    folder = shutil.copytree(exported, tmp_path / "student")
    told = open_model(str(folder / "onnx/model.onnx")).engine.description
    describe_onnx(folder / "onnx/model.onnx", told.model_copy(update={"labels": ["good", "bad"]}))
    opened = open_model(str(folder / "onnx/model.onnx"))
    assert opened.config.id2label == {0: "good", 1: "bad"} and opened.config.label2id == {"good": 0, "bad": 1}


def test_a_file_of_another_task_is_refused(exported):
    with pytest.raises(ModelError, match=r"model\.onnx: answers classification, but regression is asked"):
        open_model(str(exported / "onnx/model.onnx"), "regression")


def test_a_file_that_does_not_say_what_it_is_is_refused(exported, tmp_path):
    import onnx

    folder = shutil.copytree(exported, tmp_path / "student")
    model = onnx.load(folder / "onnx/model.onnx")
    del model.metadata_props[:]
    onnx.save(model, folder / "onnx/model.onnx")
    with pytest.raises(ModelError, match=r"model\.onnx: does not say what it is"):
        open_model(str(folder / "onnx/model.onnx"))


def test_a_directory_without_a_head_embeds(tmp_path):
    folder = tiny.make_checkpoint(tmp_path / "model", "bert", "MaskedLM")
    config = json.loads((folder / "config.json").read_text())
    assert open_model(str(folder)).engine.description.task == "masked_lm"
    (folder / "config.json").write_text(json.dumps({**config, "architectures": ["BertModel"]}))
    opened = open_model(str(folder))
    features = [dict(opened.tokenizer("the cat"))]
    assert run_engine(opened.engine, features, 0)[0].shape == (32,)


@pytest.mark.parametrize("reference", ["nowhere/onnx/model.onnx", "./nowhere"])
def test_what_is_not_there_is_named(reference):
    with pytest.raises(ModelError, match=r"nowhere.*: no such"):
        open_model(reference)


def test_the_hash_is_of_all_that_is_loaded(exported, tmp_path):
    folder = shutil.copytree(exported, tmp_path / "student")
    files = [str(folder), *(str(folder / file) for file in FILES)]
    before = [hash_reference(file) for file in files]
    assert before == [hash_reference(str(exported)), *(hash_reference(str(exported / file)) for file in FILES)]
    with (folder / "openvino/openvino_model.bin").open("ab") as file:
        file.write(b"x")
    changed = [old != hash_reference(file) for old, file in zip(before, files, strict=True)]
    assert changed == [False, False, True]
    (folder / "tokenizer.json").write_text("{}")
    assert all(old != hash_reference(file) for old, file in zip(before, files, strict=True))
