"""Models side by side, from references to the result."""

import shutil

import pytest
import torch
from rich.console import Console

import tiny
from pocketbert.errors import DataError, ModelError, PocketBertError
from pocketbert.measure import bench_timing
from pocketbert.measure.bench import bench, short_names
from pocketbert.measure.bench_results import Bench
from pocketbert.measure.evaluation import evaluate
from pocketbert.measure.opening import open_model
from pocketbert.measure.results import Startup
from pocketbert.recipe import Data

QUIET = Console(quiet=True)
ONNX, OPENVINO = "onnx/model.onnx", "openvino/openvino_model.xml"


@pytest.fixture
def quick(monkeypatch):
    """No process is started, for test_startup does that, and no shape is left out on a busy machine."""
    start = Startup(load_seconds=1.5, first_answer_seconds=0.25, peak_bytes=7)
    monkeypatch.setattr(bench_timing, "measure_startup", lambda *_: start)
    monkeypatch.setattr(bench_timing, "_ALWAYS", 1000.0)


def run(models, against=None, data=None, **options):
    options = {"lengths": [8, 16], "batch_sizes": [1, 2], "threads": [1], "seconds": 0.5, **options}
    return bench([str(model) for model in models], against and str(against), data, console=QUIET, **options)


@pytest.fixture
def reviews(tmp_path):
    return Data(task="classification", test=[str(tiny.write_reviews(tmp_path / "test.csv", 60))], max_length=32)


def test_files_are_measured_against_their_directory(quick, exported, reviews):
    found = run([exported / ONNX, exported / OPENVINO], exported, reviews, threads=[2, 1])
    assert [(model.engine, model.precision) for model in found.models] == [
        ("torch", "fp32"), ("onnxruntime", "fp32"), ("openvino", "fp32"),
    ]  # fmt: skip
    assert [model.reference for model in found.models] == [str(exported / file) for file in ("", ONNX, OPENVINO)]
    assert (found.lengths, found.batch_sizes, found.threads) == ([8, 16], [1, 2], [1, 2])
    for number, model in enumerate(found.models):
        shapes = {(each.tokens, each.batch_size, each.threads) for each in model.latency}
        assert shapes == {(tokens, texts, count) for tokens in (8, 16) for texts in (1, 2) for count in (1, 2)}
        assert [each.threads for each in model.throughput] == [1, 2]
        assert all((each.ratio is None) == (number == 0) for each in (*model.latency, *model.throughput))
        assert model.startup.peak_bytes == 7
        assert (model.kept is None) == (model.agreement is None) == (number == 0)
    assert all(model.kept.value == 1.0 and model.agreement == 1.0 for model in found.models[1:])
    assert found.sample.texts == 60 and found.sample.source == "test rows of classification"
    assert Bench.model_validate_json(found.model_dump_json()) == found


def test_scores_are_those_of_evaluate(quick, exported, reviews):
    found = run([exported / ONNX], data=reviews)
    alone = evaluate(str(exported), reviews, console=QUIET)
    (model,) = found.models
    assert model.quality.metrics == pytest.approx(alone.metrics, abs=1e-4)
    assert model.quality.interval == alone.interval
    assert (found.task, found.examples, found.deciding) == ("classification", 60, alone.deciding)


def test_without_data_nothing_is_scored_and_the_text_is_stated(quick, exported):
    found = run([exported / ONNX], exported)
    assert all(model.quality is None and model.kept is None for model in found.models)
    assert found.examples is None and "no data was named, so nothing is scored" in found.notes
    assert "comes with Python" in found.sample.source and found.sample.tokens_p95 <= 16


def test_energy_is_measured_or_said_to_be_absent(quick, exported):
    found = run([exported / ONNX])
    measured = found.models[0].throughput[0].joules is not None
    assert measured or any(note.startswith("energy is not measured: ") for note in found.notes)


def test_a_whole_bench_starts_processes_of_its_own(exported):
    (model,) = run([exported / ONNX], lengths=[8], batch_sizes=[1], seconds=0.2).models
    assert model.startup.load_seconds > 0.01 and model.startup.peak_bytes > 20_000_000


def test_lengths_go_up_to_what_all_models_take(quick, exported):
    found = run([exported / ONNX], lengths=None, batch_sizes=[1], seconds=0.1)
    assert found.lengths == [16, 32, 48]


def test_the_threads_of_torch_are_put_back(quick, exported):
    before = torch.get_num_threads()
    run([exported], threads=[before + 1], lengths=[8], batch_sizes=[1], seconds=0.1)
    assert torch.get_num_threads() == before


def test_a_model_named_twice_is_measured_once(quick, exported):
    assert len(run([exported / ONNX, exported], exported, lengths=[8], batch_sizes=[1], seconds=0.1).models) == 2


def test_names_are_short_as_long_as_they_differ(exported, tmp_path):
    copy = shutil.copytree(exported, tmp_path / "student")
    models = {str(path): open_model(str(path)) for path in (exported / ONNX, exported / OPENVINO, copy / OPENVINO)}
    assert list(short_names(models).values()) == [
        "student onnxruntime fp32", str(exported / OPENVINO), str(copy / OPENVINO),
    ]  # fmt: skip


def test_a_directory_is_asked_what_the_file_beside_it_answers(quick, exported, tmp_path):
    general = tiny.make_checkpoint(tmp_path / "general", "distilbert", "MaskedLM")
    with pytest.raises(ModelError, match="general: has no SequenceClassification head"):
        run([exported / ONNX], general)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lengths": [8, 64]}, r"lengths: 64 is more than the 48 tokens that .*model\.onnx takes"),
        ({"lengths": [4]}, "lengths: name at least one number, none below 8"),
        ({"batch_sizes": []}, "batch_sizes: name at least one number, none below 1"),
        ({"threads": [0]}, "threads: name at least one number, none below 1"),
        ({"threads": [1, 100_000]}, "threads 100000: at most"),
        ({"seconds": 0.0}, "seconds 0: name a time above 0"),
        ({"seconds": float("nan")}, "seconds nan: name a time above 0"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(exported, options, message):
    with pytest.raises(PocketBertError, match=message):
        run([exported / ONNX], **options)


def test_rows_are_held_out_of_the_training_rows_where_no_others_are_named(quick, exported, tmp_path):
    data = Data(task="classification", train=[str(tiny.write_reviews(tmp_path / "train.csv", 60))], max_length=32)
    found = run([exported / ONNX], exported, data)
    assert found.examples == found.sample.texts > 0 and any("held out" in note for note in found.notes)


def test_mistakes_are_told_before_anything_is_timed(exported, tmp_path, reviews):
    with pytest.raises(PocketBertError, match="bench: name at least one model"):
        run([])
    with pytest.raises(ModelError, match=r"nothing\.onnx: no such file"):
        run([exported / "onnx/nothing.onnx"])
    with pytest.raises(DataError, match="name the rows to evaluate on"):
        run([exported / ONNX], data=Data(task="classification"))
    with pytest.raises(ModelError, match="answers classification, but regression is asked"):
        run([exported / ONNX], data=reviews.model_copy(update={"task": "regression"}))
    with pytest.raises(PocketBertError, match="masked_lm has text instead of rows"):
        run([exported / ONNX], data=Data(task="masked_lm", test=["text.txt"]))
