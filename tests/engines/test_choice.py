import json
import shutil

import pytest

from exported import exported
from pocketbert.engines import choice
from pocketbert.engines.choice import open_directory
from pocketbert.engines.exported import open_file
from pocketbert.errors import ModelError
from pocketbert.export.formats import ONNX, OPENVINO


@pytest.fixture
def folder(tmp_path):
    return shutil.copytree(exported("classification"), tmp_path / "copy")


def edit(folder, change):
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    for each in manifest["exports"]:
        change(each)
    path.write_text(json.dumps(manifest), encoding="utf-8")


def test_of_the_same_precision_openvino_comes_first(folder):
    engine = open_directory(folder, threads=1)
    assert (engine.name, engine.description.precision) == ("openvino", "fp32")


@pytest.mark.parametrize(("fast", "expected"), [(True, ONNX["fp16"]), (False, OPENVINO["fp32"])])
def test_int8_comes_first_where_the_processor_multiplies_it(folder, monkeypatch, fast, expected):
    monkeypatch.setattr(choice, "multiplies_int8", lambda: fast)
    opened = []

    def open_and_note(path, threads):
        opened.append(path)
        return open_file(path, threads)

    monkeypatch.setattr(choice, "open_file", open_and_note)
    edit(folder, lambda each: each["description"].update(precision="int8") if each["path"] == ONNX["fp16"] else None)
    open_directory(folder, threads=1)
    assert opened[0] == folder / expected


def test_a_file_that_answers_wrong_here_is_passed_over(folder):
    path = folder / OPENVINO["fp32"]
    other = exported("classification", "electra")
    shutil.copyfile(other / OPENVINO["fp32"].replace(".xml", ".bin"), path.with_suffix(".bin"))
    shutil.copyfile(other / OPENVINO["fp32"], path)
    assert open_directory(folder, threads=1).name == "onnxruntime"


def test_a_file_that_is_gone_is_passed_over(folder):
    (folder / OPENVINO["fp32"]).unlink()
    assert open_directory(folder, threads=1).name == "onnxruntime"


def test_where_no_file_answers_right_each_is_told(folder):
    edit(folder, lambda each: each["limits"].update(fp32=1e-12, half=1e-12))
    with pytest.raises(ModelError, match="no file answers right on this machine") as refused:
        open_directory(folder, threads=1)
    assert str(refused.value).count("a logit is off by") == 5


def test_a_directory_without_exports_is_refused(tmp_path):
    with pytest.raises(ModelError, match="holds no exported files"):
        open_directory(tmp_path)
