"""The stage ``export``: every task head in every format answers like torch, on every text of the gate."""

import json

import numpy as np
import onnx
import openvino
import pytest
from test_packages import write_library, write_sessions
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import tiny
from exported import HEADS, QUIET, exported, make_model, manifest_of
from pocketbert.distill.prediction import run_model
from pocketbert.engines.exported import open_file
from pocketbert.engines.golden import Golden
from pocketbert.engines.parity import measure_parity
from pocketbert.errors import GateBreach, ModelError, PocketBertError
from pocketbert.export.exporting import export
from pocketbert.export.formats import BROWSER, MOBILE, ONNX, OPENVINO, PROGRAM, Wanted, int8_sources
from pocketbert.export.texts import HARD
from pocketbert.recipe import Data, ExportStage, Limits

FILES = [ONNX["fp32"], ONNX["fp16"], OPENVINO["fp32"], OPENVINO["fp16"], OPENVINO["bf16"]]
MOST = {ONNX["fp32"]: 1e-4, OPENVINO["fp32"]: 1e-4, ONNX["fp16"]: 0.02, OPENVINO["fp16"]: 0.02, OPENVINO["bf16"]: 0.05}


@pytest.mark.parametrize("task", HEADS)
@pytest.mark.parametrize("path", FILES)
def test_parity_of_every_task_and_file_on_every_text(task, path):
    folder = exported(task)
    golden = Golden.read(folder / "golden")
    found = measure_parity(open_file(folder / path, threads=1), golden)
    assert found.relative < MOST[path] and found.relative_batch_mates < MOST[path]
    words = {"empty", "only spaces"} if task == "token_classification" else set()
    assert {text.what for text in golden.texts} == set(HARD) - words
    assert max(ids.shape[1] for ids in golden.ids) == tiny.POSITIONS


@pytest.mark.parametrize("family", [family for family in tiny.FAMILIES if family != "bert"])
def test_parity_of_every_family(family):
    folder = exported("classification", family)
    golden = Golden.read(folder / "golden")
    for path in (ONNX["fp32"], OPENVINO["fp32"]):
        found = measure_parity(open_file(folder / path, threads=1), golden)
        assert found.relative < 1e-4 and found.relative_batch_mates < 1e-4 and not found.flips


def test_parity_is_with_transformers_itself():
    """The golden answers are those of the model as anybody loads and runs it."""
    folder = exported("classification", "roberta")
    golden = Golden.read(folder / "golden")
    model, tokenizer = AutoModelForSequenceClassification.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    texts = [text.text for text in golden.texts]
    features = [tokenizer(text, truncation=True, max_length=tiny.POSITIONS) for text in texts]
    logits = run_model(model.eval(), "classification", [dict(each) for each in features], tokenizer.pad_token_id)
    np.testing.assert_allclose(np.array(golden.logits), np.array(logits), atol=1e-5)


def test_the_files_say_what_they_are():
    folder = exported("multi_label")
    metadata = {each.key: each.value for each in onnx.load(folder / ONNX["fp16"]).metadata_props}
    assert json.loads(metadata["pocketbert.labels"]) == ["a", "b", "c"]
    assert metadata["pocketbert.precision"] == "fp16" and metadata["pocketbert.max_length"] == str(tiny.POSITIONS)
    info = openvino.Core().read_model(folder / OPENVINO["bf16"]).get_rt_info(["pocketbert"]).value
    assert info["task"] == "multi_label" and info["precision"] == "bf16"


def test_the_files_have_free_axes_and_a_stated_opset():
    model = onnx.load(exported("classification") / ONNX["fp32"])
    assert [each.version for each in model.opset_import if each.domain == ""] == [23]
    for tensor in model.graph.input:
        assert [dimension.dim_param for dimension in tensor.type.tensor_type.shape.dim] == ["batch", "tokens"]
    operators = [node.op_type for node in model.graph.node]
    assert operators.count("Attention") == 1 and "Softmax" not in operators
    assert not {node.domain for node in model.graph.node} - {""}


def test_the_directory_is_still_a_model_and_its_manifest_lists_the_files():
    folder = exported("classification")
    AutoModelForSequenceClassification.from_pretrained(folder)
    manifest = manifest_of(folder)
    assert [each["path"] for each in manifest["exports"]] == [
        ONNX["fp32"], OPENVINO["fp32"], ONNX["fp16"], OPENVINO["fp16"], OPENVINO["bf16"]
    ]  # fmt: skip
    half = manifest["exports"][3]
    assert set(half["files"]) == {OPENVINO["fp16"], OPENVINO["fp16"].replace(".xml", ".bin")}
    assert half["bytes"] == sum((folder / name).stat().st_size for name in half["files"])
    assert set(manifest["files"]) == {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "golden/texts.json",
        "golden/answers.safetensors",
    }


def test_half_precision_saves_bytes():
    """Nearly half of the weights' own bytes; the graph around them takes as many as before."""
    folder = exported("masked_lm")
    sizes = {each["path"]: each["bytes"] for each in manifest_of(folder)["exports"]}
    weights = (folder / "model.safetensors").stat().st_size
    for paths in (ONNX, OPENVINO):
        assert sizes[paths["fp32"]] - sizes[paths["fp16"]] > 0.25 * weights


@pytest.fixture
def model(tmp_path):
    return str(make_model(tmp_path / "model", "classification"))


def test_rows_of_the_task_join_the_gate(model, tmp_path):
    rows = tiny.write_reviews(tmp_path / "train.csv", 100)
    data = Data(task="classification", train=[str(rows)], max_length=24)
    options = ExportStage(formats=["onnx"], texts=5, limits=Limits(kept=0.9))
    manifest = export(options, model, tmp_path / "out", data, console=QUIET)
    golden = Golden.read(tmp_path / "out" / "golden")
    own = [text for text in golden.texts if text.what not in HARD]
    assert len(own) == 5 and all("train.csv row" in text.what for text in own)
    assert manifest.exports[0].description["max_length"] == 24
    assert manifest.exports[0].description["labels"] == tiny.LABELS
    assert manifest.metrics[f"{ONNX['fp32']} kept"] == pytest.approx(1)


def test_the_same_again_has_nothing_to_do(model, tmp_path):
    options = ExportStage(formats=["onnx"])
    first = export(options, model, tmp_path / "out", console=QUIET)
    before = (tmp_path / "out" / ONNX["fp32"]).stat().st_mtime_ns
    assert export(options, model, tmp_path / "out", console=QUIET) == first
    assert (tmp_path / "out" / ONNX["fp32"]).stat().st_mtime_ns == before


def test_a_breach_shows_the_worst_texts_and_leaves_no_model(model, tmp_path, capsys):
    options = ExportStage(formats=["openvino"], precisions=["bf16"], limits=Limits(half=1e-9))
    with pytest.raises(GateBreach, match=r"openvino_model_bf16\.xml: a logit is off by"):
        export(options, model, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    shown = capsys.readouterr().err
    assert "the texts that moved most" in shown and "breached" in shown
    export(ExportStage(formats=["onnx"]), model, tmp_path / "out", console=QUIET)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"formats": ["onnx"], "precisions": ["bf16"]}, "bf16 is not to be had in onnx"),
        ({"formats": ["onnx"], "precisions": ["int8"]}, "int8 files are made by quantize"),
        ({"max_length": 4000}, "max_length 4000 is more than the 48 tokens"),
    ],
)
def test_what_cannot_be_exported_is_refused(model, tmp_path, options, message):
    with pytest.raises(PocketBertError, match=message):
        export(ExportStage(**options), model, tmp_path / "out", console=QUIET)
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_data_of_another_task_is_refused(model, tmp_path):
    rows = tiny.write_tags(tmp_path / "tags.jsonl", 50)
    with pytest.raises(PocketBertError, match="answers classification, but"):
        export(ExportStage(), model, tmp_path / "out", Data(task="token_classification", train=[str(rows)]))


def test_a_hub_name_is_refused(tmp_path):
    with pytest.raises(ModelError, match="no such model directory"):
        export(ExportStage(), "bert-base-uncased", tmp_path / "out")


def test_a_tokenizer_class_that_reads_otherwise_is_refused(tmp_path):
    """The files are used with tokenizer.json alone, and the model was trained with what the class makes of it."""
    folder = make_model(tmp_path / "model", "classification")
    path = folder / "tokenizer_config.json"
    fields = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(fields | {"do_lower_case": False}), encoding="utf-8")
    with pytest.raises(ModelError, match=r"tokenizer\.json reads the text of the gate .* otherwise than its tokenizer"):
        export(ExportStage(), str(folder), tmp_path / "out", console=QUIET)
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_the_length_that_is_asked_for_is_that_of_the_rows_too(tmp_path, cli):
    train = tiny.write_reviews(tmp_path / "rows.csv", 40)
    model = make_model(tmp_path / "model", "classification")  # 48 tokens, where rows have up to 128 by default
    called = cli("export", model, "--max-length", 40, "--task", "classification", "--test", train, "--formats", "onnx",
                 "--limits-label-flips", 0.1, "--output", tmp_path / "out")  # fmt: skip
    assert called.code == 0, called.err
    assert manifest_of(tmp_path / "out")["exports"][0]["description"]["max_length"] == 40


def test_other_rows_or_another_int8_file_make_another_export(tmp_path):
    model = make_model(tmp_path / "model", "classification")
    made = export(ExportStage(formats=["onnx"]), str(model), tmp_path / "out", console=QUIET)
    rows = Data(task="classification", test=[str(tiny.write_reviews(tmp_path / "rows.csv", 40))], max_length=32)
    options = ExportStage(formats=["onnx"], limits=Limits(label_flips=0.1))
    keys = {made.key}
    for data in (rows, rows.model_copy(update={"max_length": 40})):
        keys.add(export(options, str(model), tmp_path / "out", data, console=QUIET, replace=True).key)
    assert len(keys) == 3
    wanted = [Wanted(kind, "int8") for kind in ("browser", "mobile", "program", "openvino")]
    with pytest.raises(PocketBertError, match="int8 files are made by quantize"):
        int8_sources(model, wanted)
    for path in (ONNX["int8"], OPENVINO["int8"], OPENVINO["int8"].replace(".xml", ".bin")):
        (model / path).parent.mkdir(exist_ok=True)
        (model / path).write_bytes(b"")
    assert [path.name for path in int8_sources(model, wanted)] == [
        "model_quantized.onnx", "openvino_model_int8.xml", "openvino_model_int8.bin",
    ]  # fmt: skip


def test_files_of_a_format_that_was_dropped_do_not_stay(tmp_path):
    model = make_model(tmp_path / "model", "classification")
    export(ExportStage(formats=["onnx", "openvino"]), str(model), tmp_path / "out", console=QUIET)
    (tmp_path / "out" / "mine.txt").write_text("mine")
    export(ExportStage(formats=["onnx"]), str(model), tmp_path / "out", console=QUIET, replace=True)
    assert not (tmp_path / "out" / "openvino").exists() and (tmp_path / "out" / "mine.txt").exists()


def test_a_breach_is_written_where_json_is_asked_for(tmp_path, cli):
    model = make_model(tmp_path / "model", "classification")
    called = cli("export", model, "--formats", "onnx", "--limits-fp32", 1e-12, "--output", tmp_path / "out",
                 "--json", tmp_path / "breach.json")  # fmt: skip
    assert called.code == 1 and "outside the limits" in called.err
    report = json.loads((tmp_path / "breach.json").read_text())
    assert report["files"][0]["path"] == ONNX["fp32"] and report["files"][0]["problems"]


def test_a_browser_folder_is_exported_verified_and_holds_no_row_of_the_user(tmp_path, cli):
    write_library(tmp_path / "node_modules")
    write_sessions(tmp_path / "node_modules")
    model = make_model(tmp_path / "model", "classification")
    rows = tiny.write_reviews(tmp_path / "rows.csv", 40)
    called = cli("export", model, "--formats", "browser", "--precisions", "fp32", "--precisions", "fp16",
                 "--packages", tmp_path / "node_modules", "--limits-label-flips", 0.1, "--task", "classification",
                 "--test", rows, "--max-length", 32, "--output", tmp_path / "out")  # fmt: skip
    assert called.code == 0, called.err
    manifest = manifest_of(tmp_path / "out")
    assert [each["path"] for each in manifest["exports"]] == [BROWSER["fp32"], BROWSER["fp16"]]
    assert {"browser/index.html", "browser/golden.json", "browser/runtime/transformers.web.min.js"} <= {
        *manifest["files"]
    }
    texts = json.loads((tmp_path / "out" / "browser" / "golden.json").read_text(encoding="utf-8"))
    assert {text["text"] for text in texts} <= {text for text in HARD.values() if isinstance(text, str)}
    assert cli("verify", tmp_path / "out").code == 0
    (tmp_path / "out" / "browser" / "index.html").write_text("another page")
    called = cli("verify", tmp_path / "out")
    assert called.code == 1 and "browser/index.html is not the file that was exported" in called.err


def test_files_for_phones_are_exported_and_verified(tmp_path, cli):
    pytest.importorskip("executorch", reason="the extra `mobile` is not installed")
    model = make_model(tmp_path / "model", "classification")
    called = cli("export", model, "--formats", "mobile", "--mobile-lengths", 16, "--output", tmp_path / "out")
    assert called.code == 0, called.err
    manifest = manifest_of(tmp_path / "out")
    assert [each["path"] for each in manifest["exports"]] == [MOBILE["fp32"], PROGRAM["fp32"]]
    assert any(name.endswith(".config") for name in manifest["files"])
    assert cli("verify", tmp_path / "out").code == 0
