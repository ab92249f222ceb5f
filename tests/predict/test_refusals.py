"""What has changed since a run began is named, and nothing is lost; other outputs are left alone."""

import json
import shutil

import pytest
from dying import killed_after
from runs import failed, rows, run, snapshot, texts, write_rows

from exported import exported
from pocketbert.errors import DataError, PocketBertError
from pocketbert.predict import predict, predicting

ROWS = [{"id": number, "text": text} for number, text in enumerate(texts(30))]


@pytest.fixture
def begun(tmp_path, quick):
    """A run that was killed in its midst; the second of its inputs is there as well."""
    write_rows(tmp_path / "in.csv", ROWS)
    write_rows(tmp_path / "more.csv", ROWS[:3])
    with killed_after(2):
        run(tmp_path / "in.csv", tmp_path / "out.csv", part_rows=5)
    assert list((tmp_path / ".out.csv.parts").glob("part-*.csv")) and not (tmp_path / "out.csv").exists()
    return tmp_path


def parts(folder):
    return {path.name: path.read_bytes() for path in (folder / ".out.csv.parts").iterdir() if path.name != "lock"}


def change_input(folder):
    write_rows(folder / "in.csv", [{"id": 0, "text": "another"}, *ROWS[1:]])
    return folder / "in.csv", {}


CHANGES = {
    "input": (change_input, r"the input: .*in\.csv is another"),
    "more inputs": (
        lambda folder: ([folder / "in.csv", folder / "more.csv"], {}),
        r"the input: .*more\.csv is another",
    ),
    "other input": (lambda folder: (folder / "more.csv", {}), r"the input: .*in\.csv is no more among them"),
    "top_k": (lambda folder: (folder / "in.csv", {"top_k": 2}), "the option top_k: 2 now, it was None"),
    "text": (lambda folder: (folder / "in.csv", {"text": "text"}), "the option text: text now, it was None"),
    "part_rows": (lambda folder: (folder / "in.csv", {"part_rows": 6}), "the option part_rows: 6 now, it was 5"),
    "runtime": (
        lambda folder: (folder / "in.csv", {"runtime": "auto"}),
        "the option runtime: auto now, it was onnxruntime",
    ),
}


@pytest.mark.parametrize("case", CHANGES)
def test_a_change_is_named_and_nothing_is_lost(begun, case):
    change, reason = CHANGES[case]
    before, original = parts(begun), (begun / "in.csv").read_bytes()
    inputs, options = change(begun)
    with pytest.raises(
        PocketBertError, match=rf"out\.csv: was begun otherwise: {reason}.*\.out\.csv\.parts to begin anew"
    ):
        run(inputs, begun / "out.csv", **{"part_rows": 5, **options})
    assert parts(begun) == before
    (begun / "in.csv").write_bytes(original)
    made = run(begun / "in.csv", begun / "out.csv", part_rows=5)
    assert 0 < made.computed < 30 and [int(row["id"]) for row in rows(begun / "out.csv")] == list(range(30))


@pytest.mark.parametrize("name", ["onnx/model.onnx", "tokenizer.json", "manifest.json"])
def test_a_changed_model_is_named(tmp_path, name):
    model = tmp_path / "model"
    shutil.copytree(exported("classification"), model)
    path = write_rows(tmp_path / "in.csv", ROWS)
    options = {"runtime": "onnxruntime", "precision": "fp32", "part_rows": 5}
    with killed_after(2):
        predict(model, path, tmp_path / "out.csv", **options)
    file, original = model / name, (model / name).read_bytes()
    file.write_bytes(original + b" ")
    with pytest.raises(PocketBertError, match=rf"was begun otherwise: the model: its {name} is another"):
        predict(model, path, tmp_path / "out.csv", **options)
    file.write_bytes(original)
    predict(model, path, tmp_path / "out.csv", **options)
    assert len(rows(tmp_path / "out.csv")) == 30


def test_another_version_does_not_go_on(begun, monkeypatch):
    from pocketbert.predict import planning

    monkeypatch.setattr(planning, "version", lambda _: "9.9")
    with pytest.raises(PocketBertError, match=r"PocketBERT is 9\.9 now, it was \d"):
        run(begun / "in.csv", begun / "out.csv", part_rows=5)


def test_a_run_goes_on_with_the_file_it_began_with(tmp_path):
    model = tmp_path / "model"
    shutil.copytree(exported("classification"), model)
    path = write_rows(tmp_path / "in.csv", ROWS)
    with killed_after(2):
        predict(model, path, tmp_path / "out.csv", part_rows=5, runtime="auto")
    plan = tmp_path / ".out.csv.parts" / "plan.json"
    began = json.loads(plan.read_text())["chosen"]
    other = next(
        each["path"]
        for each in json.loads((model / "manifest.json").read_text())["exports"]
        if each["path"] != began["path"]
    )
    memory = json.loads((model / "calibration.json").read_text())
    (model / "calibration.json").write_text(json.dumps({"choices": dict.fromkeys(memory["choices"], other)}))
    predict(model, path, tmp_path / "out.csv", part_rows=5, runtime="auto")
    assert json.loads((tmp_path / "out.csv.manifest.json").read_text())["engine"] == began["path"]


def test_where_it_runs_may_change(begun):
    made = run(begun / "in.csv", begun / "out.csv", part_rows=5, threads=1, max_failed=9)
    assert made.computed < 30 and made.rows == 30


def test_a_finished_output_is_left_as_it_is(begun):
    run(begun / "in.csv", begun / "out.csv", part_rows=5)
    before = snapshot(begun / "out.csv")
    assert run(begun / "in.csv", begun / "out.csv", part_rows=5).computed == 0
    with pytest.raises(PocketBertError, match=r"out\.csv: is finished, and was made otherwise: the option top_k"):
        run(begun / "in.csv", begun / "out.csv", part_rows=5, top_k=2)
    assert snapshot(begun / "out.csv") == before


@pytest.mark.usefixtures("quick")
def test_what_others_made_is_not_touched(tmp_path):
    write_rows(tmp_path / "in.csv", ROWS)
    (tmp_path / "out.csv").write_text("mine")
    with pytest.raises(PocketBertError, match=r"out\.csv: is there already, and no output of this command"):
        run(tmp_path / "in.csv", tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == "mine"
    assert {path.name for path in tmp_path.iterdir()} == {"in.csv", "out.csv"}


@pytest.mark.usefixtures("quick")
def test_more_failed_rows_than_are_borne(tmp_path):
    write_rows(tmp_path / "in.csv", [*ROWS, {"id": 30, "text": ""}, {"id": 31, "text": " "}])
    with pytest.raises(DataError, match=r"2 rows failed, 1 are borne.*row 31: column 'text' is empty"):
        run(tmp_path / "in.csv", tmp_path / "out.csv", part_rows=5, max_failed=1)
    assert not (tmp_path / "out.csv").exists()
    made = run(tmp_path / "in.csv", tmp_path / "out.csv", part_rows=5, max_failed=2)
    assert (made.computed, made.rows, made.failed) == (0, 30, 2) and len(failed(tmp_path / "out.csv")) == 2


def test_errors_of_the_program_are_no_failed_rows(begun, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(predicting.Computer, "_prepare", broken)
    with pytest.raises(ZeroDivisionError):
        run(begun / "in.csv", begun / "out.csv", part_rows=5)


def test_what_is_left_of_an_output_that_was_removed_is_no_part_of_the_next(begun):
    write_rows(begun / "bad.csv", [*ROWS, {"id": 30, "text": ""}])
    run(begun / "bad.csv", begun / "next.csv", part_rows=5)
    (begun / "next.csv").unlink()
    run(begun / "in.csv", begun / "next.csv", part_rows=5)
    assert not failed(begun / "next.csv")
    assert json.loads((begun / "next.csv.manifest.json").read_text())["rows"] == 30
