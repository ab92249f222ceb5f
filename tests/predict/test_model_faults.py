"""Texts at which the model fails: they alone get no answer, and a model that is broken blames no text."""

import json
import subprocess
import sys
from functools import partial

import numpy as np
import onnx
import pytest
from dying import killed_after
from runs import expected, failed, rows, run, snapshot, texts, write_rows

from exported import QUIET, exported, make_model
from pocketbert.errors import DataError, ModelError
from pocketbert.export.exporting import export
from pocketbert.inference import running
from pocketbert.predict import predict, predicting, ray_engine
from pocketbert.recipe import ExportStage, Limits

POISON = "owl"
POISONED = [3, 4, 5, 17, 25, 39]
TEXTS = [f"{text} {POISON}" if number in POISONED else text for number, text in enumerate(texts(40))]
ROWS = [{"id": number, "text": text} for number, text in enumerate(TEXTS)]
FAULTS = {"raise": "RuntimeError: the owl flew away", "nan": "not a finite number", "inf": "not a finite number"}


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    """A part of seven rows has several batches."""
    monkeypatch.setattr(running, "plan_batches", partial(running.plan_batches, tokens=48))


class Faulty:
    """An engine that fails at one word, and from a moment on at everything."""

    def __init__(self, pipeline, fault="raise"):
        self.word = pipeline.reader.tokenizer.token_to_id(POISON)
        assert self.word is not None
        self.real, self.fault, self.breaks, self.calls = pipeline.engine.run, fault, None, []

    def run(self, inputs):
        self.calls.append(len(inputs["input_ids"]))
        found = self.real(inputs)
        poisoned = (inputs["input_ids"] == self.word).any(axis=1)
        if self.breaks is not None and len(self.calls) > self.breaks:
            poisoned[:] = True
        if self.fault == "raise" and poisoned.any():
            raise RuntimeError("the owl flew away")
        found[poisoned] = float(self.fault) if self.fault != "raise" else 0
        return found


@pytest.fixture
def faulty(quick, monkeypatch):
    """The engine of all runs of a test is such a one."""

    def spoil(fault="raise", task="classification"):
        pipeline = predicting.load_model(exported(task))
        engine = Faulty(pipeline, fault)
        monkeypatch.setattr(pipeline.engine, "run", engine.run)
        return engine

    return spoil


@pytest.mark.parametrize("into", ["out.csv", "out.tsv", "out.jsonl.gz", "out.parquet", "out"])
@pytest.mark.parametrize("fault", FAULTS)
def test_rows_at_which_the_model_fails_are_beside_the_output(tmp_path, faulty, fault, into):
    faulty(fault)
    source = write_rows(tmp_path / "in.parquet", ROWS)
    made = run(source, tmp_path / into, part_rows=7)
    found, told = rows(tmp_path / into), failed(tmp_path / into)
    good = [number for number in range(40) if number not in POISONED]
    assert [int(row["id"]) for row in found] == good and [row["row"] - 1 for row in told] == POISONED
    assert (made.rows, made.failed) == (len(good), len(POISONED))
    answers = expected("classification", [TEXTS[number] for number in good])
    assert [row["label"] for row in found] == [answer.label for answer in answers]
    assert [float(row["score"]) for row in found] == pytest.approx([answer.score for answer in answers], abs=1e-5)
    for row in told:
        assert row["reason"].startswith(f"{source} row {row['row']}: the model failed: ")
        assert FAULTS[fault] in row["reason"] and json.loads(row["raw"]) == ROWS[row["row"] - 1]


def test_rows_that_fail_for_other_reasons_stand_among_them_in_order(tmp_path, faulty):
    faulty()
    values = ["the cat", "", "an owl", "the dog", " ", "an owl", "an owl near", "the cat"]
    write_rows(tmp_path / "in.csv", [{"id": number, "text": text} for number, text in enumerate(values)])
    run(tmp_path / "in.csv", tmp_path / "out.csv")
    assert [row["id"] for row in rows(tmp_path / "out.csv")] == ["0", "3", "7"]
    assert [row["row"] for row in failed(tmp_path / "out.csv")] == [2, 3, 5, 6, 7]


@pytest.mark.parametrize("size", [1, 2, 3])
def test_a_part_of_nothing_else(tmp_path, faulty, size):
    faulty("nan")
    values = ["an owl", "the owl near an owl", "owl", "the cat", "one owl"]
    write_rows(tmp_path / "in.csv", [{"text": text} for text in values])
    made = run(tmp_path / "in.csv", tmp_path / "out.parquet", part_rows=size)
    assert [row["text"] for row in rows(tmp_path / "out.parquet")] == ["the cat"] and made.failed == 4


def test_a_window_of_a_long_text(tmp_path, faulty):
    faulty()
    long = "the cat saw a dog " * 30
    values = [f"{long} {end}" for end in ("horse", POISON, "dog", f"{POISON} {long}")]
    write_rows(tmp_path / "in.jsonl", [{"id": number, "text": text} for number, text in enumerate(values)])
    run(tmp_path / "in.jsonl", tmp_path / "out.jsonl")
    assert [row["id"] for row in rows(tmp_path / "out.jsonl")] == [0, 2]
    assert [row["row"] for row in failed(tmp_path / "out.jsonl")] == [2, 4]


def test_a_context_and_a_question_that_the_tokenizer_refuses(tmp_path, faulty):
    faulty(task="question_answering")
    asked = [("where?", "the cat " * 20), ("where?", f"{'the cat ' * 40} {POISON}"), ("dog " * 60, "a"), ("who?", "a")]
    write_rows(tmp_path / "in.jsonl", [{"question": question, "context": context} for question, context in asked])
    run(tmp_path / "in.jsonl", tmp_path / "out.jsonl", "question_answering", part_rows=3)
    assert [row["question"] for row in rows(tmp_path / "out.jsonl")] == ["where?", "who?"]
    first, second = failed(tmp_path / "out.jsonl")
    assert "the model failed" in first["reason"] and "shorten it" in second["reason"]


@pytest.mark.parametrize("into", ["out.csv", "out"])
@pytest.mark.parametrize("parts", range(6))
def test_a_run_that_was_killed_goes_on_to_the_same_bytes(tmp_path, faulty, parts, into):
    faulty()
    write_rows(tmp_path / "in.csv", ROWS)
    (tmp_path / "whole").mkdir()
    run(tmp_path / "in.csv", tmp_path / "whole" / into, part_rows=7)
    with killed_after(parts):
        run(tmp_path / "in.csv", tmp_path / into, part_rows=7)
    run(tmp_path / "in.csv", tmp_path / into, part_rows=7)
    assert snapshot(tmp_path / into) == snapshot(tmp_path / "whole" / into)


@pytest.mark.parametrize("fault", ["raise", "nan"])
def test_a_model_that_breaks_at_any_moment_ends_the_run_and_blames_no_row(tmp_path, faulty, fault):
    engine = faulty(fault)
    write_rows(tmp_path / "in.csv", ROWS)
    (tmp_path / "whole").mkdir()
    run(tmp_path / "in.csv", tmp_path / "whole" / "out.csv", part_rows=7)
    moments = len(engine.calls)
    assert moments > 30
    for moment in range(0, moments, 4):
        engine.breaks = moment
        engine.calls.clear()
        output = tmp_path / str(moment) / "out.csv"
        output.parent.mkdir()
        with pytest.raises(ModelError, match=FAULTS[fault]):
            run(tmp_path / "in.csv", output, part_rows=7)
        engine.breaks = None
        run(tmp_path / "in.csv", output, part_rows=7)
        assert snapshot(output) == snapshot(tmp_path / "whole" / "out.csv"), moment


def test_a_model_that_answers_nothing_ends_the_run_at_once(tmp_path, faulty):
    engine = faulty("nan")
    engine.breaks = 0
    write_rows(tmp_path / "in.csv", [{"text": "the cat"} for _ in range(4000)])
    with pytest.raises(ModelError, match="not a finite number"):
        run(tmp_path / "in.csv", tmp_path / "out.csv", part_rows=1000)
    assert not list((tmp_path / ".out.csv.parts").glob("part-*")) and not (tmp_path / "out.csv").exists()
    assert len(engine.calls) < 50


def test_a_fault_that_does_not_come_again_changes_no_digit(tmp_path, quick, loaded, monkeypatch):
    write_rows(tmp_path / "in.csv", ROWS)
    (tmp_path / "whole").mkdir()
    run(tmp_path / "in.csv", tmp_path / "whole" / "out.csv", part_rows=7)
    real, seen, stumbled = loaded["classification"].engine.run, set(), 0

    def stumble(inputs):
        nonlocal stumbled
        key = inputs["input_ids"].tobytes()
        if key not in seen:
            seen.add(key)
            stumbled += 1
            raise RuntimeError("out of breath")
        return real(inputs)

    monkeypatch.setattr(loaded["classification"].engine, "run", stumble)
    made = run(tmp_path / "in.csv", tmp_path / "out.csv", part_rows=7)
    assert stumbled > 12 and made.failed == 0
    assert snapshot(tmp_path / "out.csv") == snapshot(tmp_path / "whole" / "out.csv")


@pytest.mark.parametrize("error", [MemoryError("no memory is left"), OSError(5, "Input/output error")])
def test_what_is_the_machines_fault_ends_the_run(tmp_path, quick, loaded, monkeypatch, error):
    def fail(inputs):
        raise error

    write_rows(tmp_path / "in.csv", ROWS)
    monkeypatch.setattr(loaded["classification"].engine, "run", fail)
    with pytest.raises(type(error), match=str(error.args[-1])):
        run(tmp_path / "in.csv", tmp_path / "out.csv", part_rows=7)
    assert not list((tmp_path / ".out.csv.parts").glob("part-*"))


def test_more_than_are_borne(tmp_path, faulty):
    faulty()
    write_rows(tmp_path / "in.csv", ROWS)
    with pytest.raises(DataError, match=rf"{len(POISONED)} rows failed, 1 are borne .*the model failed"):
        run(tmp_path / "in.csv", tmp_path / "out.csv", max_failed=1)


@pytest.fixture(scope="module")
def poisoned(tmp_path_factory):
    """A model directory whose ONNX file answers with NaN wherever it reads one word."""
    folder = tmp_path_factory.mktemp("poisoned")
    options = ExportStage(formats=["onnx"], precisions=["fp32"], limits=Limits(label_flips=0.1))
    export(options, str(make_model(folder / "model", "classification")), folder / "exported", console=QUIET)
    vocabulary = json.loads((folder / "exported" / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    path = folder / "exported" / "onnx" / "model.onnx"
    model = onnx.load(path)
    (table,) = [each for each in model.graph.initializer if each.dims and each.dims[0] == len(vocabulary)]
    values = onnx.numpy_helper.to_array(table).copy()
    values[vocabulary[POISON]] = np.nan
    table.CopyFrom(onnx.numpy_helper.from_array(values, table.name))
    onnx.save(model, path)
    return folder / "exported"


def test_a_real_model_through_the_command_line(tmp_path, poisoned):
    write_rows(tmp_path / "in.jsonl", ROWS)
    command = [
        sys.executable, "-m", "pocketbert.cli", "predict", str(poisoned), str(tmp_path / "in.jsonl"),
        "--output", str(tmp_path / "out.jsonl"), "--part-rows", "7", "--runtime", "onnxruntime", "--threads", "2",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"out.jsonl.failed.jsonl: {len(POISONED)} of {len(ROWS)} rows without prediction" in done.stdout
    found = rows(tmp_path / "out.jsonl")
    assert [row["id"] for row in found] == [number for number in range(40) if number not in POISONED]
    answers = expected("classification", [row["text"] for row in found])
    assert [row["score"] for row in found] == pytest.approx([answer.score for answer in answers], abs=1e-5)
    told = failed(tmp_path / "out.jsonl")
    assert [row["row"] - 1 for row in told] == POISONED
    assert all(
        "the model failed: onnxruntime: answered with what is not a finite number" in row["reason"] for row in told
    )


def test_a_worker_of_a_cluster_makes_the_same(tmp_path, poisoned, monkeypatch):
    path = write_rows(tmp_path / "in.csv", ROWS)
    monkeypatch.chdir(poisoned.parent)
    options = {"runtime": "onnxruntime", "precision": "fp32", "threads": 1, "part_rows": 7}
    (tmp_path / "local").mkdir()

    predict(poisoned.name, path, tmp_path / "local" / "out.csv", **options)
    with killed_after(1):
        predict(poisoned.name, path, tmp_path / "out.csv", **options)
    monkeypatch.setenv("RAYON_NUM_THREADS", "1")
    plan = (tmp_path / ".out.csv.parts" / "plan.json").read_text()
    worker = ray_engine.Worker(plan, str(tmp_path / "out.csv"), "{}")
    assert worker({"parts": ["[0, 1, 2, 3, 4, 5]"]})["error"] == [""]
    assert predict(poisoned.name, path, tmp_path / "out.csv", **options).computed == 0
    assert snapshot(tmp_path / "out.csv") == snapshot(tmp_path / "local" / "out.csv")
