"""The whole stage, on tiny models: files that hold their gate, layers in fp32, weights that learn to bear int8."""

import io

import numpy as np
import onnx
import pytest
import torch
import transformers
from rich.console import Console
from safetensors.torch import load_file
from stages import TASKS, Killed, make_data, make_model

import tiny
from pocketbert.data.sources import fingerprint
from pocketbert.distill.finetune import finetune
from pocketbert.distill.trainer import PocketTrainer
from pocketbert.engines.exported import open_file
from pocketbert.errors import DataError, ModelError, PocketBertError
from pocketbert.export.exporting import export
from pocketbert.manifest import read_manifest
from pocketbert.models.answering import Answering
from pocketbert.recipe import ExportStage, FinetuneStage, QuantizeStage, Training
from pocketbert.shrink import int8_files
from pocketbert.shrink import quantize as module
from pocketbert.shrink.accuracy import Verdict, hold_gate, rank_layers
from pocketbert.shrink.quantize import quantize
from pocketbert.shrink.simulation import Range, measure_ranges, run_batches, simulated

FILES = {"onnxruntime": "onnx/model_quantized.onnx", "openvino": "openvino/openvino_model_int8.xml"}
LOOSE = {"kept": 0.9}
"""A gate that random weights hold, many of whose answers are on the edge."""
SPOILT = "bert.encoder.layer.2.output.dense"


@pytest.fixture
def reviews(tmp_path):
    return make_data(tmp_path)


def run(options, model, output, data, console=None, **arguments):
    return quantize(options, model, output, data, console=console or Console(quiet=True), **arguments)


def spoil(folder, layers=(2,)):
    """Let one neuron of some layers give 10,000 to nobody: its range leaves nothing to the others in int8."""
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder)
    for number in layers:
        layer = model.bert.encoder.layer[number]
        with torch.no_grad():
            layer.intermediate.dense.weight[3] = 0
            layer.intermediate.dense.bias[3] = 10_000
            layer.output.dense.weight[:, 3] = 0
    model.save_pretrained(folder)
    return str(folder)


def batches():
    random_ = np.random.default_rng(0)
    for tokens in (4, 9, 12):
        ids = random_.integers(5, 40, (3, tokens))
        yield {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_every_family_becomes_int8_and_stays_a_model_directory(tmp_path, family, task):
    head = TASKS[task][2]
    model = make_model(tmp_path, family, head, layers=2)
    made = run(QuantizeStage(**LOOSE), model, tmp_path / "out", make_data(tmp_path, task))
    auto = getattr(transformers, f"AutoModelFor{head}")
    loaded, report = auto.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not any(report.values())
    was, now = (load_file(folder / "model.safetensors") for folder in (tmp_path / "model", tmp_path / "out"))
    assert was.keys() == now.keys() and all(torch.equal(was[name], now[name]) for name in was)
    files = made.metrics["quantization"]["files"]
    assert [each["engine"] for each in files] == list(FILES)
    for each in files:
        engine = open_file(tmp_path / "out" / each["path"])
        said = engine.description
        assert (said.task, said.precision, said.max_length) == (task, "int8", 40)
        assert said.labels == [loaded.config.id2label[number] for number in range(len(said.labels))]
        assert each["held"] and each["batch_mates"] < 1e-4 and 0 < each["difference"] < 0.25


def test_the_manifest_says_what_was_measured(tmp_path, reviews):
    model, console = make_model(tmp_path), Console(width=200, file=io.StringIO())
    options = QuantizeStage(calibration=20, **LOOSE)
    made = run(options, model, tmp_path / "out", reviews, console)
    assert read_manifest(tmp_path / "out") == made and made.stage == "quantize"
    assert [(parent.role, parent.source) for parent in made.parents] == [("start", model)]
    assert made.data["train"] == fingerprint(reviews.train) and made.options["data"]["task"] == "classification"
    found = made.metrics["quantization"]
    assert (found["examples"], found["texts"], found["least"]) == (30, 20, 0.9)
    for each in found["files"]:
        path = tmp_path / "out" / each["path"]
        size = sum(part.stat().st_size for part in (path, path.with_suffix(".bin")) if part.is_file())
        assert each["bytes"] == size and each["path"] == FILES[each["engine"]]
        assert each["kept"] == pytest.approx(each["score"] / found["score"])
    printed = console.file.getvalue()
    assert "ranges from 20 training rows" in printed and "model_quantized.onnx" in printed
    assert any(note.startswith("onnxruntime: ") and "kept" in note for note in made.notes)
    assert not (tmp_path / "out" / "work").exists()


def test_the_same_inputs_are_not_run_again_and_others_are_refused(tmp_path, reviews, monkeypatch):
    model, options = make_model(tmp_path, layers=1), QuantizeStage(engines=["onnxruntime"], **LOOSE)
    made = run(options, model, tmp_path / "out", reviews)
    with monkeypatch.context() as patch:
        patch.setattr(module, "make_files", None)
        assert run(options, model, tmp_path / "out", reviews) == made
    for other in ({"calibration": 9}, {"kept": 0.5}, {"recover": RECOVER}):
        with pytest.raises(PocketBertError, match="made from other inputs or options"):
            run(options.model_copy(update=other), model, tmp_path / "out", reviews)


def test_ranges_come_from_training_rows_alone(tmp_path, reviews, monkeypatch):
    seen, choose = [], module.choose_texts
    monkeypatch.setattr(module, "choose_texts", lambda *given: seen.append(choose(*given)) or seen[-1])
    run(QuantizeStage(engines=["onnxruntime"], **LOOSE), make_model(tmp_path, layers=1), tmp_path / "out", reviews)
    assert len(seen[0].examples) == 60 and all("train.csv" in example.where for example in seen[0].examples)


def test_the_layer_that_int8_hurts_most_stays_in_fp32(tmp_path, reviews):
    model = spoil(make_model(tmp_path))
    made = run(QuantizeStage(engines=["onnxruntime"], **LOOSE), model, tmp_path / "out", reviews)
    (file,) = made.metrics["quantization"]["files"]
    assert file["higher"] == [SPOILT] and file["held"]
    assert any(f"in fp32: {SPOILT}" in note for note in made.notes)
    graph = onnx.load(tmp_path / "out" / FILES["onnxruntime"]).graph
    types = {each.name: each.data_type for each in graph.initializer}
    products = [node for node in graph.node if node.op_type == "MatMul"]
    plain = [node.name for node in products if types.get(node.input[1]) == onnx.TensorProto.FLOAT]
    assert len(products) == 4 * 6 and [name.split("/")[0] for name in plain] == [f"model.{SPOILT}"]


def test_layers_are_ranked_by_what_their_rounding_does_to_the_answer(tmp_path):
    model = transformers.AutoModelForSequenceClassification.from_pretrained(spoil(make_model(tmp_path))).eval()
    module_ = Answering(model, ["input_ids", "attention_mask", "token_type_ids"])
    texts = list(batches())
    ranges = measure_ranges(module_, texts)
    ranked = rank_layers(module_, ranges, texts)
    assert ranked[0] == SPOILT and len(ranked) == 4 * 6 + 2
    true, errors = run_batches(module_, texts), []
    for name in ranked:
        with simulated(model, {name: ranges[name]}):
            errors.append((run_batches(module_, texts) - true).square().mean().item())
    assert errors == sorted(errors, reverse=True)
    assert torch.equal(run_batches(module_, texts), true)  # nothing of the simulation stays


def test_the_simulation_is_what_the_file_computes(tmp_path, reviews):
    """ONNX Runtime multiplies integers; torch rounds to the same steps, but for the eighth bit of the weights."""
    model = make_model(tmp_path, layers=1)
    run(QuantizeStage(engines=["onnxruntime"], **LOOSE), model, tmp_path / "out", reviews)
    engine = open_file(tmp_path / "out" / FILES["onnxruntime"], threads=1)
    stock = transformers.AutoModelForSequenceClassification.from_pretrained(model).eval()
    module_ = Answering(stock, ["input_ids", "attention_mask", "token_type_ids"])
    texts = list(batches())
    fp32 = run_batches(module_, texts)
    file = torch.cat([torch.from_numpy(engine.run(each)).flatten() for each in texts])
    with simulated(stock, measure_ranges(module_, texts)):
        played = run_batches(module_, texts)
    scale = fp32.abs().max()
    assert 0 < (file - fp32).abs().max() / scale < 0.05 and 0 < (played - fp32).abs().max() / scale < 0.05


@pytest.mark.parametrize("rows", [30, 120])
def test_a_gate_that_does_not_hold_leaves_no_model(tmp_path, cli, rows):
    """Few validation rows are joined by the answers to training rows; many decide alone."""
    data, model = make_data(tmp_path, validation=rows), spoil(make_model(tmp_path), layers=range(4))
    flags = [f"--{role}={getattr(data, role)[0]}" for role in ("train", "validation", "test")]
    called = cli("quantize", model, "--task", "classification", *flags, "--max-length", 40, "--kept", 1.9,
                 "--engines", "onnxruntime", "--output", tmp_path / "out")  # fmt: skip
    assert called.code == 1 and "Traceback" not in called.err and called.out == ""
    assert "the gate does not hold" in called.err and "the gate is 190.00%" in called.err
    assert "8 layers in fp32" in called.err.replace("\n", " ")  # of 26
    assert "set recover" in called.err
    assert not {path.name for path in (tmp_path / "out").rglob("*")} & {"manifest.json"}
    assert not any((tmp_path / "out").glob("*.safetensors")) and not (tmp_path / "out" / "onnx").exists()


def test_int8_files_go_into_export_and_keep_their_gate(tmp_path, reviews):
    run(QuantizeStage(**LOOSE), make_model(tmp_path, layers=1), tmp_path / "out", reviews)
    options = ExportStage(precisions=["int8"], limits={"label_flips_int8": 0.1, "kept": 0.9})
    made = export(options, str(tmp_path / "out"), tmp_path / "pocket", reviews, console=Console(quiet=True))
    assert sorted(each.path for each in made.exports) == sorted(FILES.values())
    assert (tmp_path / "pocket" / FILES["openvino"]).with_suffix(".bin").is_file()


RECOVER = Training(steps=30, batch_size=16, precision="fp32", learning_rate=2e-3, dropout=0, evaluate_every=10)


PUPIL = {"engines": ["onnxruntime"], "kept": 1.02}
"""More than the pupil's own score: int8 alone cannot hold that, but weights that go on learning can."""


@pytest.fixture(scope="module")
def pupil(tmp_path_factory):
    """A model that half knows the mood words, and its data."""
    folder = tmp_path_factory.mktemp("pupil")
    data = make_data(folder, train=300, validation=120)
    start = make_model(folder, layers=2, initializer_range=0.1)
    learning = FinetuneStage(steps=18, batch_size=16, precision="fp32", learning_rate=2e-3, dropout=0)
    made = finetune(learning, start, folder / "teacher", data, console=Console(quiet=True))
    assert 0.6 < made.metrics["best_score"] < 0.94
    return str(folder / "teacher"), data


@pytest.fixture
def no_fp32(monkeypatch):
    """Let no layer stay in fp32, so that recovery is all that is left."""
    monkeypatch.setattr(int8_files, "rank_layers", lambda *_given: [])


def test_where_the_gate_does_not_hold_the_weights_learn(tmp_path, pupil, no_fp32):
    model, data = pupil
    console = Console(width=200, file=io.StringIO())
    made = run(QuantizeStage(recover=RECOVER, **PUPIL), model, tmp_path / "out", data, console)
    (file,) = made.metrics["quantization"]["files"]
    printed = console.file.getvalue()
    assert "the gate is 102.00%" in printed and "the weights learn to bear int8" in printed
    assert file["held"] and not file["higher"] and file["kept"] >= 1.02
    assert made.metrics["steps"] == 30
    was, now = (load_file(f"{folder}/model.safetensors") for folder in (model, tmp_path / "out"))
    assert was.keys() == now.keys() and {values.dtype for values in now.values()} == {torch.float32}
    assert any(not torch.equal(was[name], now[name]) for name in was)


def test_training_in_another_type_leaves_a_model_that_can_be_exported(tmp_path, pupil, no_fp32):
    model, data = pupil
    recover = RECOVER.model_copy(update={"precision": "bf16"})
    made = run(QuantizeStage(recover=recover, **PUPIL), model, tmp_path / "out", data)
    weights = load_file(tmp_path / "out" / "model.safetensors")
    assert made.metrics["precision"] == "bf16" and {values.dtype for values in weights.values()} == {torch.float32}
    graph = onnx.load(tmp_path / "out" / FILES["onnxruntime"]).graph
    assert not any(each.data_type == onnx.TensorProto.BFLOAT16 for each in graph.initializer)


def test_a_layer_learns_under_the_rounding_it_will_have():
    """A range of 200 for inputs of 1: what is lost by the rounding can be made up for, the gradient passes it."""
    torch.manual_seed(0)
    layer, inputs = torch.nn.Sequential(torch.nn.Linear(16, 4)), torch.randn(256, 16)
    true, span = layer(inputs).detach(), {"0": Range(-100.0, 100.0)}
    optimizer, losses = torch.optim.Adam(layer.parameters(), lr=0.01), []
    with simulated(layer, span):
        for _ in range(100):
            losses.append((layer(inputs) - true).square().mean())
            optimizer.zero_grad()
            losses[-1].backward()
            optimizer.step()
    assert losses[0] > 1e-3 and losses[-1] < 0.9 * losses[0]


def test_a_model_that_needs_no_recovery_is_left_as_it_is(tmp_path, reviews, monkeypatch):
    monkeypatch.setattr(module, "learn_rows", None)
    model = make_model(tmp_path, layers=1)
    made = run(QuantizeStage(engines=["onnxruntime"], recover=RECOVER, **LOOSE), model, tmp_path / "out", reviews)
    assert "steps" not in made.metrics


def test_a_killed_recovery_ends_like_one_that_was_not(tmp_path, pupil, no_fp32, monkeypatch):
    model, data = pupil
    options = QuantizeStage(recover=RECOVER.model_copy(update={"save_steps": 5}), **PUPIL)
    run(options, model, tmp_path / "whole", data)
    step = PocketTrainer.compute_loss

    def die_at_a_step(self, *arguments, **named):
        if self.state.global_step == 12:
            raise Killed
        return step(self, *arguments, **named)

    def die(*_arguments):
        raise Killed

    # The files were made once before the first kill; the second comes when they are made of what was learnt.
    for place, name, killer in ((PocketTrainer, "compute_loss", die_at_a_step), (int8_files, "write_onnx", die)):
        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(place, name, killer)
            run(options, model, tmp_path / "killed", data)
        assert read_manifest(tmp_path / "killed") is None
    run(options, model, tmp_path / "killed", data)
    for name in ("model.safetensors", FILES["onnxruntime"]):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


@pytest.mark.parametrize(("layers", "most"), [(1, 0), (2, 1), (14, 4), (16, 8), (74, 32)])
def test_at_most_half_of_the_layers_stay_in_fp32(layers, most):
    class Never:
        def judge(self, _engine):
            return Verdict(score=0, kept=0, agreement=0, held=False)

    tried = []
    names = [f"layer {number}" for number in range(layers)]
    _, higher = hold_gate(Never(), lambda higher: tried.append(len(higher)), lambda: names)
    assert higher == names[:most] and tried == sorted(tried)


def test_rows_and_models_of_no_use_are_refused(tmp_path, reviews, monkeypatch):
    model, stage = make_model(tmp_path, layers=1), QuantizeStage()
    with pytest.raises(PocketBertError, match=r"quantize: name the rows of a task \(data\)"):
        run(stage, model, tmp_path / "out", None)
    with pytest.raises(ModelError, match="has no SequenceClassification head"):
        run(stage, str(tiny.make_checkpoint(tmp_path / "headless")), tmp_path / "out", reviews)
    with (tmp_path / "train.csv").open("a", encoding="utf-8") as file:
        file.write("the cat " * 60 + ",good\n")
    with pytest.raises(DataError, match=r"train\.csv row 61: the text is longer than max_length"):
        run(stage, model, tmp_path / "out", reviews.model_copy(update={"too_long": "fail"}))
    monkeypatch.setattr(module, "find_spec", lambda name: None if name == "nncf" else True)
    with pytest.raises(PocketBertError, match=r"nncf is not installed; pip install 'pocketbert\[train\]'"):
        run(stage, model, tmp_path / "out", reviews)
    assert not (tmp_path / "out").exists()
