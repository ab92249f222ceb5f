"""Which file is run by what, and what is said of files that no engine runs."""

import sys

import numpy as np
import onnx
import openvino
import pytest

from pocketbert.engines.description import Description
from pocketbert.engines.exported import files_of, is_exported, model_folder, open_file
from pocketbert.errors import ModelError
from pocketbert.export.onnx import describe_onnx
from pocketbert.export.openvino import describe_openvino


@pytest.mark.parametrize(
    "reference", ["student/onnx/model.onnx", "student/openvino/openvino_model.xml", "student/mobile/model.pte"]
)
def test_a_file_is_known_by_its_suffix(reference):
    assert is_exported(reference)


@pytest.mark.parametrize("reference", ["bert-base-uncased", "runs/student", "org/model-2.0"])
def test_a_directory_or_hub_name_is_no_file(reference):
    assert not is_exported(reference)


def test_a_file_of_another_kind_is_refused(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match=r"model\.safetensors: no model; name a model directory, or an exported file"):
        is_exported(str(tmp_path / "model.safetensors"))


@pytest.mark.parametrize("name", ["model.onnx", "openvino_model.xml"])
def test_a_file_that_is_not_there_is_named(tmp_path, name):
    with pytest.raises(ModelError, match=rf"{name}: no such file"):
        open_file(tmp_path / name)


def test_a_file_that_no_engine_runs_is_refused(tmp_path):
    (tmp_path / "model.bin").touch()
    with pytest.raises(
        ModelError, match=r"model\.bin: no engine runs such a file; those that do end in \.onnx, \.xml, \.pte"
    ):
        open_file(tmp_path / "model.bin")


def test_weights_that_are_not_there_are_named(tmp_path):
    (tmp_path / "openvino_model.xml").write_text("<net/>")
    with pytest.raises(ModelError, match=r"openvino_model\.bin: no such file"):
        open_file(tmp_path / "openvino_model.xml")


@pytest.mark.parametrize(
    ("name", "library", "extra"), [("model.onnx", "onnxruntime", "onnx"), ("m.xml", "openvino", "openvino")]
)
def test_an_engine_that_is_not_installed_is_named_with_its_extra(tmp_path, monkeypatch, name, library, extra):
    (tmp_path / name).write_bytes(b"")
    (tmp_path / "m.bin").write_bytes(b"")
    monkeypatch.delitem(sys.modules, f"pocketbert.engines.{library}", raising=False)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ModelError, match=rf"{name}: needs {library}; pip install {library}"):
        open_file(tmp_path / name)


@pytest.mark.parametrize(("name", "library"), [("model.onnx", "ONNX Runtime"), ("m.xml", "OpenVINO")])
def test_a_damaged_file_is_refused(tmp_path, name, library):
    (tmp_path / name).write_bytes(b"no graph")
    (tmp_path / "m.bin").write_bytes(b"")
    with pytest.raises(ModelError, match=rf"{name}: {library} cannot load it: .*; export it again"):
        open_file(tmp_path / name)


@pytest.fixture(params=["model.onnx", "model.xml"])
def greedy(tmp_path, request):
    """A file that makes an array as large as the tokens of its text say."""
    nodes = [
        onnx.helper.make_node("Reshape", ["input_ids", "flat"], ["shape"]),
        onnx.helper.make_node("Expand", ["one", "shape"], ["logits"]),
    ]
    constants = [
        onnx.helper.make_tensor("flat", onnx.TensorProto.INT64, [1], [-1]),
        onnx.helper.make_tensor("one", onnx.TensorProto.FLOAT, [1], [1.0]),
    ]
    ids = onnx.helper.make_tensor_value_info("input_ids", onnx.TensorProto.INT64, [1, 8])
    logits = onnx.helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, None)
    graph = onnx.helper.make_graph(nodes, "greedy", [ids], [logits], constants)
    opset = onnx.helper.make_opsetid("", 17)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[opset], ir_version=9), tmp_path / "model.onnx")
    description = Description(task="classification", max_length=8)
    if request.param == "model.xml":
        openvino.save_model(openvino.Core().read_model(tmp_path / "model.onnx"), tmp_path / "model.xml")
        describe_openvino(tmp_path / "model.xml", description)
    else:
        describe_onnx(tmp_path / "model.onnx", description)
    return open_file(tmp_path / request.param, threads=2)  # with one, OpenVINO answers nothing instead of an error


def test_a_lack_of_memory_is_no_fault_of_a_file(greedy):
    with pytest.raises(MemoryError, match=r"model\.(onnx|xml): there is no memory left to run it"):
        greedy.run({"input_ids": np.array([[1] * 6 + [2**24, 2**24]])})  # 2**50 bytes


def test_a_file_belongs_to_the_folder_above_its_own(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    assert model_folder(tmp_path / "onnx" / "model.onnx") == tmp_path
    with pytest.raises(ModelError, match=r"lies in no model directory"):
        model_folder(tmp_path / "student" / "onnx" / "model.onnx")


def test_weights_beside_a_file_belong_to_it(tmp_path):
    for name in ("model.onnx", "model.onnx.data", "model_int8.onnx", "m.xml", "m.bin", "m_int8.bin"):
        (tmp_path / name).touch()
    assert [path.name for path in files_of(tmp_path / "model.onnx")] == ["model.onnx", "model.onnx.data"]
    assert [path.name for path in files_of(tmp_path / "m.xml")] == ["m.xml", "m.bin"]
