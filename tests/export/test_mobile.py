"""The ONNX file for phones loads with the operators that its list has, at any level of optimisation."""

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static
from onnxruntime.tools.reduced_build_config_parser import parse_config

from pocketbert.errors import ModelError, PocketBertError
from pocketbert.export.mobile import fixed_lengths, operators_of, write_card, write_mobile_onnx, write_mobile_program
from pocketbert.export.onnx import write_onnx
from programs import subject

LEVELS = ["ORT_DISABLE_ALL", "ORT_ENABLE_BASIC", "ORT_ENABLE_EXTENDED", "ORT_ENABLE_LAYOUT", "ORT_ENABLE_ALL"]
TEXT = {
    "input_ids": np.array([[2, 7, 8, 9, 3, 0]], dtype=np.int64),
    "attention_mask": np.array([[1, 1, 1, 1, 1, 0]], dtype=np.int64),
    "token_type_ids": np.zeros((1, 6), dtype=np.int64),
}


class Texts(CalibrationDataReader):
    def __init__(self) -> None:
        self._texts: Iterator[dict[str, np.ndarray]] = iter([TEXT])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._texts, None)


@pytest.fixture(scope="module")
def graphs(tmp_path_factory) -> dict[str, Path]:
    """Plain ONNX files, by precision."""
    folder = tmp_path_factory.mktemp("graphs")
    made = subject("classification")
    paths = {precision: folder / f"{precision}.onnx" for precision in ("fp32", "int8")}
    write_onnx(made.module, made.description, paths["fp32"])
    quantize_static(
        paths["fp32"], paths["int8"], Texts(), quant_format=QuantFormat.QDQ, op_types_to_quantize=["MatMul", "Gemm"]
    )
    return paths


def listed(path: Path) -> set[tuple[str, str]]:
    """Domains and operators, as the build of ONNX Runtime reads them."""
    operators, _ = parse_config(str(operators_of(path)))
    return {(domain, name) for domain, opsets in operators.items() for names in opsets.values() for name in names}


def loaded(path: Path, level: str, work: Path) -> tuple[set[tuple[str, str]], set[str]]:
    """Operators of the graph that ONNX Runtime has in memory, and those that it ran."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    options.optimized_model_filepath = str(work / f"{level}.onnx")
    options.enable_profiling = True
    options.profile_file_prefix = str(work / level)
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    session.run(None, {each.name: TEXT[each.name] for each in session.get_inputs()})
    events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    nodes = onnx.load(work / f"{level}.onnx").graph.node
    ran = {event["args"]["op_name"] for event in events if event["cat"] == "Node"}
    return {(node.domain or "ai.onnx", node.op_type) for node in nodes}, ran


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_file_loads_and_runs_with_only_the_listed_operators(tmp_path, graphs, precision):
    path = tmp_path / "model.onnx"
    write_mobile_onnx(graphs[precision], path)
    allowed = listed(path)
    needed = set()
    for level in LEVELS:
        in_memory, ran = loaded(path, level, tmp_path)
        assert ran and in_memory <= allowed, in_memory - allowed
        assert ran <= {name for _, name in allowed}
        needed |= in_memory
    assert allowed == needed  # and no more than they
    assert {domain for domain, _ in allowed} == {"ai.onnx", "com.microsoft"}


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_the_file_itself_is_plain(tmp_path, graphs, precision):
    path = tmp_path / "model.onnx"
    write_mobile_onnx(graphs[precision], path)
    assert path.read_bytes() == graphs[precision].read_bytes()
    assert {node.domain for node in onnx.load(path).graph.node} == {""}
    assert sorted(each.name for each in tmp_path.iterdir()) == ["model.onnx", "model.required_operators.config"]


def test_the_list_is_the_same_each_time(tmp_path, graphs):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_mobile_onnx(graphs["fp32"], tmp_path / name / "model.onnx")
    first, second = (operators_of(tmp_path / name / "model.onnx").read_text() for name in ("a", "b"))
    assert first == second
    assert first.startswith("# What model.onnx needs of ONNX Runtime.\nai.onnx;")


def test_operators_outside_the_standard_are_refused(tmp_path):
    node = helper.make_node("BiasGelu", ["x", "b"], ["y"], domain="com.microsoft")
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in ("x", "b", "y")]
    graph = helper.make_graph([node], "fused", values[:2], values[2:])
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets), tmp_path / "fused.onnx")
    with pytest.raises(ModelError, match=r"outside the ONNX standard \(com\.microsoft\.BiasGelu\); export it plain"):
        write_mobile_onnx(tmp_path / "fused.onnx", tmp_path / "model.onnx")
    assert [each.name for each in tmp_path.iterdir()] == ["fused.onnx"]


@pytest.mark.parametrize(
    ("asked", "max_length", "made"),
    [([32, 128], 128, [32, 128]), ([32, 128], 64, [32, 64]), ([128, 32, 32], 512, [32, 128, 512]), ([], 48, [48])],
)
def test_the_longest_length_is_the_longest_text(asked, max_length, made):
    assert fixed_lengths(asked, max_length) == made


def test_the_card_says_what_an_application_has_to_know(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"graph")
    (tmp_path / "model_int8.pte").write_bytes(b"program")
    told = subject("classification").description
    int8 = told.model_copy(update={"precision": "int8"})
    write_card(tmp_path, {"model.onnx": told, "model_int8.pte": int8}, [16, 128])
    card = json.loads((tmp_path / "mobile.json").read_text(encoding="utf-8"))
    assert card == {
        "task": "classification",
        "labels": ["bad", "good"],
        "max_length": 48,
        "pad_token_id": 0,
        "weights": told.weights,
        "files": {
            "model.onnx": {"precision": "fp32", "bytes": 5, "sha256": hashlib.sha256(b"graph").hexdigest()},
            "model_int8.pte": {
                "precision": "int8",
                "bytes": 7,
                "sha256": hashlib.sha256(b"program").hexdigest(),
                "lengths": [16, 48],
            },
        },
    }


def test_the_extra_is_named_where_executorch_is_not_installed(tmp_path, monkeypatch):
    for name in list(sys.modules):
        if name.startswith(("executorch.", "pocketbert.export.executorch")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "executorch", None)
    made = subject("classification")
    with pytest.raises(PocketBertError, match=r"executorch\S* is not installed; pip install 'pocketbert\[mobile\]'"):
        write_mobile_program(made.module, made.description, [], tmp_path / "model.pte")
