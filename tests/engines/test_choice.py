import json
import shutil
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from exported import exported
from pocketbert.engines import choice
from pocketbert.engines.batching import bucket
from pocketbert.engines.calibration import recall, remember
from pocketbert.engines.choice import by_precision, open_directory
from pocketbert.engines.exported import open_file
from pocketbert.errors import ModelError
from pocketbert.export.formats import ONNX, OPENVINO
from pocketbert.manifest import read_manifest


@pytest.fixture
def folder(tmp_path):
    ignored = shutil.ignore_patterns("calibration.json")  # a choice that another test left there
    return shutil.copytree(exported("classification"), tmp_path / "copy", ignore=ignored)


def edit(folder, change):
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    for each in manifest["exports"]:
        change(each)
    path.write_text(json.dumps(manifest), encoding="utf-8")


def precision_of(each):
    return each["description"]["precision"]


@pytest.fixture
def slow(monkeypatch):
    """Name an engine that takes longer than it needs."""
    names = set()

    def open_slowly(path, *how):
        engine = open_file(path, *how)
        run = engine.run

        def run_slowly(inputs):
            time.sleep(0.02 * (engine.name in names))
            return run(inputs)

        engine.run = run_slowly
        return engine

    monkeypatch.setattr(choice, "open_file", open_slowly)
    return names


@pytest.mark.parametrize(("slower", "chosen"), [("openvino", "onnxruntime"), ("onnxruntime", "openvino")])
def test_of_one_precision_the_engine_that_is_faster_here_is_taken(folder, slow, slower, chosen, monkeypatch):
    monkeypatch.setattr(choice, "multiplies_bf16", lambda: False)
    slow.add(slower)
    opened = open_directory(folder, threads=1).engine
    assert (opened.name, opened.description.precision) == (chosen, "fp32")


@pytest.mark.parametrize(
    ("bf16", "expected"), [(True, ["int8", "bf16", "fp32"]), (False, ["int8", "fp32", "bf16"])], ids=["AMX", "others"]
)
def test_a_precision_comes_where_the_processor_gains_by_it(folder, monkeypatch, bf16, expected):
    monkeypatch.setattr(choice, "multiplies_bf16", lambda: bf16)
    edit(folder, lambda each: each["description"].update(precision="int8") if precision_of(each) == "fp16" else None)
    groups = list(by_precision(folder, read_manifest(folder).exports))
    assert [{precision_of(each.model_dump()) for each in group} for group in groups] == [{each} for each in expected]
    assert {each.path for each in groups[0]} == {ONNX["fp16"], OPENVINO["fp16"]}


def test_a_phones_file_is_of_no_server(folder):
    edit(folder, lambda each: each.update(engine="executorch") if each["path"] == ONNX["fp32"] else None)
    groups = by_precision(folder, read_manifest(folder).exports)
    assert ONNX["fp32"] not in [each.path for group in groups for each in group]


def test_a_file_that_answers_wrong_here_is_passed_over(folder, slow, monkeypatch):
    monkeypatch.setattr(choice, "multiplies_bf16", lambda: False)
    slow.add("onnxruntime")
    path = folder / OPENVINO["fp32"]
    other = exported("classification", "electra")
    shutil.copyfile(other / OPENVINO["fp32"].replace(".xml", ".bin"), path.with_suffix(".bin"))
    shutil.copyfile(other / OPENVINO["fp32"], path)
    assert open_directory(folder, threads=1).engine.name == "onnxruntime"


def test_a_file_that_is_gone_is_passed_over(folder, slow, monkeypatch):
    monkeypatch.setattr(choice, "multiplies_bf16", lambda: False)
    slow.add("onnxruntime")
    (folder / OPENVINO["fp32"]).unlink()
    assert open_directory(folder, threads=1).engine.name == "onnxruntime"


def test_where_no_file_answers_right_each_is_told(folder):
    edit(folder, lambda each: each["limits"].update(fp32=1e-12, half=1e-12))
    with pytest.raises(ModelError, match="no file answers right on this machine") as refused:
        open_directory(folder, threads=1)
    assert str(refused.value).count("a logit is off by") == 5


def test_a_directory_without_exports_is_refused(tmp_path):
    with pytest.raises(ModelError, match="holds no exported files"):
        open_directory(tmp_path)


def test_a_choice_is_made_once_and_remembered_beside_the_model(folder, slow, monkeypatch):
    monkeypatch.setattr(choice, "multiplies_bf16", lambda: False)
    slow.add("onnxruntime")
    first = open_directory(folder, threads=1)
    monkeypatch.setattr(choice, "choose", lambda *_: pytest.fail("timed once more"))
    assert open_directory(folder, threads=1).path == first.path == OPENVINO["fp32"]


def test_a_choice_for_other_threads_or_another_manifest_is_made_anew(folder, slow, monkeypatch):
    monkeypatch.setattr(choice, "multiplies_bf16", lambda: False)
    slow.add("onnxruntime")
    open_directory(folder, threads=1)
    slow.clear()
    slow.add("openvino")
    assert open_directory(folder, threads=2).path == ONNX["fp32"]
    assert open_directory(folder, threads=1).path == OPENVINO["fp32"]  # each use keeps its own
    manifest = folder / "manifest.json"
    manifest.write_text(manifest.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    assert open_directory(folder, threads=1).path == ONNX["fp32"]


def test_a_memory_does_not_grow_for_ever(tmp_path):
    for number in range(100):
        remember(tmp_path, f"key {number}", f"file {number}")
    known = [number for number in range(100) if recall(tmp_path, f"key {number}") == f"file {number}"]
    assert known == list(range(68, 100))
    remember(tmp_path, "key 68", "another file")
    remember(tmp_path, "key 100", "file 100")
    assert (recall(tmp_path, "key 68"), recall(tmp_path, "key 69")) == ("another file", None)


def test_a_remembered_file_that_answers_wrong_now_is_passed_over(folder, slow, monkeypatch):
    monkeypatch.setattr(choice, "multiplies_bf16", lambda: False)
    slow.add("onnxruntime")
    assert open_directory(folder, threads=1).path == OPENVINO["fp32"]
    other = exported("classification", "electra")
    for name in (OPENVINO["fp32"], OPENVINO["fp32"].replace(".xml", ".bin")):
        shutil.copyfile(other / name, folder / name)
    assert open_directory(folder, threads=1).path == ONNX["fp32"]


@pytest.mark.parametrize("content", ["{", '{"key": "0", "path": "onnx/model.onnx"}', '{"choices": {"0": 1}}'])
def test_a_damaged_memory_is_none(folder, content):
    memory = folder / "calibration.json"
    memory.write_text(content, encoding="utf-8")
    path = open_directory(folder, threads=1).path
    assert list(json.loads(memory.read_text(encoding="utf-8"))["choices"].values()) == [path]


@pytest.mark.parametrize(("engine", "precision"), [("openvino", "fp16"), ("onnxruntime", None), (None, "fp32")])
def test_engine_and_precision_can_be_named(folder, engine, precision):
    opened = open_directory(folder, threads=1, engine=engine, precision=precision)
    assert opened.engine.name == (engine or opened.engine.name)
    assert opened.engine.description.precision == (precision or opened.engine.description.precision)


def test_a_precision_that_is_not_there_is_told(folder):
    with pytest.raises(ModelError, match="has no file of int8 for openvino"):
        open_directory(folder, engine="openvino", precision="int8")


@pytest.mark.parametrize("path", [ONNX["fp32"], OPENVINO["fp32"]])
def test_streams_run_at_once_and_answer_the_same(folder, path):
    ids = np.random.default_rng(0).integers(5, 20, (8, 4, 11))
    batches = [{"input_ids": each, "attention_mask": np.ones_like(each)} for each in ids]
    batches = [each | {"token_type_ids": np.zeros_like(each["input_ids"])} for each in batches]
    alone = [open_file(folder / path, 1).run(each) for each in batches]
    several = open_file(folder / path, 2, 2)
    with ThreadPoolExecutor(4) as threads:
        at_once = list(threads.map(several.run, batches))
    np.testing.assert_allclose(at_once, alone, atol=1e-6)


def test_a_file_is_chosen_for_single_texts_or_for_full_batches(folder, monkeypatch):
    monkeypatch.setattr(choice, "multiplies_bf16", lambda: False)
    slow_with = {"openvino": lambda rows: rows == 1, "onnxruntime": lambda rows: rows > 1}

    def open_unevenly(path, *how):
        engine = open_file(path, *how)
        run = engine.run

        def run_unevenly(inputs):
            time.sleep(0.1 * slow_with[engine.name](len(inputs["input_ids"])))
            return run(inputs)

        engine.run = run_unevenly
        return engine

    monkeypatch.setattr(choice, "open_file", open_unevenly)
    assert open_directory(folder, threads=2).path == ONNX["fp32"]
    assert open_directory(folder, threads=2, batch_tokens=512).path == OPENVINO["fp32"]
    assert open_directory(folder, threads=2, streams=2, batch_tokens=512).path == OPENVINO["fp32"]


def test_engines_are_timed_on_batches_that_runs_would_have(folder, monkeypatch):
    monkeypatch.setattr(choice, "multiplies_bf16", lambda: False)
    seen = set()

    def open_and_see(path, *how):
        engine = open_file(path, *how)
        run = engine.run

        def run_and_tell(inputs):
            seen.add(inputs["input_ids"].shape)
            return run(inputs)

        engine.run = run_and_tell
        return engine

    monkeypatch.setattr(choice, "open_file", open_and_see)
    longest = open_directory(folder, threads=2, batch_tokens=512).engine.description.max_length
    full = [(rows, tokens) for rows, tokens in seen if rows > 1]
    assert full
    for rows, tokens in full:  # what is padded counts, and no further text would have room
        assert bucket(tokens, longest) == tokens and rows * tokens <= 512 < (rows + 1) * tokens
