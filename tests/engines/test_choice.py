import json
import shutil

import pytest

from exported import exported
from pocketbert.engines import choice
from pocketbert.engines.choice import open_directory, preferred
from pocketbert.errors import ModelError
from pocketbert.export.formats import ONNX, OPENVINO
from pocketbert.manifest import read_manifest


@pytest.fixture
def folder(tmp_path):
    return shutil.copytree(exported("classification"), tmp_path / "copy")


def edit(folder, change):
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    for each in manifest["exports"]:
        change(each)
    path.write_text(json.dumps(manifest), encoding="utf-8")


@pytest.fixture
def processor(monkeypatch, request):
    """One by the number formats that it has instructions for."""
    for precision in ("int8", "bf16"):
        monkeypatch.setattr(choice, f"multiplies_{precision}", lambda precision=precision: precision in request.param)


@pytest.mark.parametrize(
    ("processor", "engine"), [({"int8"}, "openvino"), (set(), "onnxruntime")], indirect=["processor"]
)
def test_of_fp32_alone_the_faster_engine_comes_first(folder, processor, engine):
    opened = open_directory(folder, threads=1)
    assert (opened.name, opened.description.precision) == (engine, "fp32")


@pytest.mark.parametrize(
    ("processor", "expected"),
    [
        ({"int8", "bf16"}, [OPENVINO["fp16"], ONNX["fp16"], OPENVINO["bf16"], OPENVINO["fp32"], ONNX["fp32"]]),
        ({"int8"}, [OPENVINO["fp16"], ONNX["fp16"], OPENVINO["fp32"], ONNX["fp32"], OPENVINO["bf16"]]),
        (set(), [ONNX["fp16"], ONNX["fp32"], OPENVINO["fp32"], OPENVINO["fp16"], OPENVINO["bf16"]]),
    ],
    indirect=["processor"],
)
def test_a_precision_comes_where_the_processor_gains_by_it(folder, processor, expected):
    half = (ONNX["fp16"], OPENVINO["fp16"])
    edit(folder, lambda each: each["description"].update(precision="int8") if each["path"] in half else None)
    order = preferred(folder, read_manifest(folder).exports)
    assert [each.path for each in order] == expected


@pytest.mark.parametrize("processor", [{"int8"}], indirect=True)
def test_a_file_that_answers_wrong_here_is_passed_over(folder, processor):
    path = folder / OPENVINO["fp32"]
    other = exported("classification", "electra")
    shutil.copyfile(other / OPENVINO["fp32"].replace(".xml", ".bin"), path.with_suffix(".bin"))
    shutil.copyfile(other / OPENVINO["fp32"], path)
    assert open_directory(folder, threads=1).name == "onnxruntime"


@pytest.mark.parametrize("processor", [{"int8"}], indirect=True)
def test_a_file_that_is_gone_is_passed_over(folder, processor):
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
