"""Inputs and outputs elsewhere, through fsspec, and the standard input."""

import io
import json
import subprocess
import sys

import pytest
from dying import killed_after
from runs import rows, run, snapshot, texts, write_rows

from exported import exported
from pocketbert.errors import DataError, PocketBertError
from pocketbert.predict import predict

# It comes with the extra `ray`, without which the tests have to pass too.
fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed")

pytestmark = pytest.mark.usefixtures("quick")
ROWS = [{"id": number, "text": text} for number, text in enumerate(texts(30))]


@pytest.fixture
def memory():
    """An object store that is empty before and after."""
    system = fsspec.filesystem("memory")
    yield system
    system.rm("/", recursive=True) if system.ls("/") else None


def local(tmp_path, source, into):
    write_rows(tmp_path / source, ROWS)
    run(tmp_path / source, tmp_path / into, part_rows=7)
    return snapshot(tmp_path / into)


@pytest.mark.parametrize(
    ("source", "into"), [("in.csv.gz", "out.csv"), ("in.parquet", "out.parquet"), ("in.jsonl", "out")]
)
def test_an_object_store_on_both_sides(tmp_path, memory, source, into):
    reference = local(tmp_path, source, into)
    memory.pipe_file(f"/box/{source}", (tmp_path / source).read_bytes())
    with killed_after(2):
        run(f"memory://box/{source}", f"memory://box/{into}", part_rows=7)
    assert not memory.exists(f"/box/{into}") and len(memory.find(f"/box/.{into}.parts")) == 3
    made = run(f"memory://box/{source}", f"memory://box/{into}", part_rows=7)
    assert (made.computed, made.rows) == (16, 30)
    found = {path.removeprefix("/box/"): memory.cat_file(path) for path in memory.find("/box")}
    assert {
        name: value for name, value in found.items() if name.startswith("out") and "manifest" not in name
    } == reference
    assert set(found) == {*reference, source, f"{into}.manifest.json"}
    assert run(f"memory://box/{source}", f"memory://box/{into}", part_rows=7).computed == 0


def test_a_glob_in_an_object_store(tmp_path, memory):
    for number in range(3):
        write_rows(tmp_path / "part.csv", ROWS[number * 10 : number * 10 + 10])
        memory.pipe_file(f"/box/{number}.csv", (tmp_path / "part.csv").read_bytes())
    run("memory://box/*.csv", tmp_path / "out.jsonl", part_rows=7)
    assert [int(row["id"]) for row in rows(tmp_path / "out.jsonl")] == list(range(30))
    with pytest.raises(DataError, match="nothing matches"):
        run("memory://box/*.tsv", tmp_path / "other.jsonl")
    for source in ("gone.csv", "gone.csv.gz", "gone.parquet"):
        with pytest.raises(DataError, match=rf"memory://box/{source}: cannot be read \(.*gone"):
            run(f"memory://box/{source}", tmp_path / "other.jsonl")
    with pytest.raises(PocketBertError, match=r"nothing://box/a\.csv: "):
        run("nothing://box/a.csv", tmp_path / "other.jsonl")


class RefusedError(Exception):
    """As the libraries of object stores raise them: of no class that this project knows."""


@pytest.mark.parametrize("error", [RefusedError("no credentials"), PermissionError("no credentials"), TimeoutError()])
@pytest.mark.parametrize("call", ["find", "exists", "ukey", "open", "pipe_file", "put_file", "cat_file", "rm"])
def test_a_store_that_refuses_loses_nothing(tmp_path, memory, monkeypatch, call, error):
    reference = local(tmp_path, "in.csv", "out.csv")
    memory.pipe_file("/box/in.csv", (tmp_path / "in.csv").read_bytes())
    with killed_after(2):
        run("memory://box/in.csv", "memory://box/out.csv", part_rows=7)
    memory.pipe_file("/box/out.csv.manifest.json", b"of an output that somebody has removed")

    def refuse(*_, **__):
        raise error

    monkeypatch.setattr(type(memory), call, refuse)
    told = f"memory://box/.*: the store refuses or is not reached .({type(error).__name__}|.*no credentials)"
    with pytest.raises(PocketBertError, match=told):
        run("memory://box/in.csv", "memory://box/out.csv", part_rows=7)
    monkeypatch.undo()
    run("memory://box/in.csv", "memory://box/out.csv", part_rows=7)
    assert memory.cat_file("/box/out.csv") == reference["out.csv"]


def test_a_bucket_that_is_not_there(tmp_path, memory, monkeypatch):
    def refuse(*_, **__):
        raise FileNotFoundError("The specified bucket does not exist")  # as s3fs does

    monkeypatch.setattr(type(memory), "find", refuse)
    with pytest.raises(
        PocketBertError, match=r"memory://box/out\.csv: cannot be written \(The specified bucket does not"
    ):
        run(write_rows(tmp_path / "in.csv", ROWS), "memory://box/out.csv")


def test_a_store_that_cannot_be_entered(tmp_path, monkeypatch):
    def refuse(_):
        raise RefusedError("no credentials")

    monkeypatch.setattr(fsspec, "url_to_fs", refuse)
    with pytest.raises(PocketBertError, match=r"memory://box/in\.csv: .*RefusedError: no credentials"):
        run("memory://box/in.csv", tmp_path / "out.csv")


def test_a_file_by_its_url_is_a_file(tmp_path):
    reference = local(tmp_path, "in.csv", "out.csv")
    (tmp_path / "there").mkdir()
    run(str(tmp_path / "in.csv"), f"file://{tmp_path}/there/out.csv", part_rows=7)
    assert snapshot(tmp_path / "there" / "out.csv") == reference
    run(f"local://{tmp_path}/in.csv", tmp_path / "there" / "again.csv", part_rows=7)
    assert (tmp_path / "there" / "again.csv").read_bytes() == reference["out.csv"]


@pytest.fixture
def piped(monkeypatch):
    """Something comes through the standard input."""

    def pipe(content):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))

    return pipe


def test_the_standard_input(tmp_path, piped):
    content = write_rows(tmp_path / "in.csv", ROWS).read_bytes()
    piped(content)
    with killed_after(2):
        run("-", tmp_path / "out.csv", part_rows=7, input_format="csv")
    piped(content[:-10])
    with pytest.raises(PocketBertError, match="was begun otherwise: the input: - is another"):
        run("-", tmp_path / "out.csv", part_rows=7, input_format="csv")
    piped(content)
    made = run("-", tmp_path / "out.csv", part_rows=7, input_format="csv")
    assert made.computed == 16 and [int(row["id"]) for row in rows(tmp_path / "out.csv")] == list(range(30))


def test_what_came_before_is_there_when_nothing_comes_again(tmp_path, piped):
    piped(write_rows(tmp_path / "in.csv", ROWS).read_bytes())
    with killed_after(2):
        run("-", tmp_path / "out.csv", part_rows=7, input_format="csv")
    piped(b"")
    assert run("-", tmp_path / "out.csv", part_rows=7, input_format="csv").rows == 30


@pytest.mark.parametrize(
    ("content", "options", "reason"),
    [(b"", {"input_format": "csv"}, "nothing came through"), (b"text\na\n", {}, "--input-format")],
)
def test_a_standard_input_that_cannot_be_read(tmp_path, piped, content, options, reason):
    piped(content)
    with pytest.raises(PocketBertError, match=reason):
        run("-", tmp_path / "out.csv", **options)
    assert not list(tmp_path.iterdir())


def test_the_standard_input_is_not_kept_elsewhere(piped):
    piped(b"text\na\n")
    with pytest.raises(PocketBertError, match="is kept beside the output"):
        run("-", "memory://box/out.csv", input_format="csv")


def test_through_a_real_pipe(tmp_path):
    command = [
        sys.executable, "-m", "pocketbert.cli", "predict", str(exported("classification")), "-",
        "--output", str(tmp_path / "out.jsonl"), "--input-format", "jsonl", "--json", str(tmp_path / "made.json"),
    ]  # fmt: skip
    lines = "".join(json.dumps(row) + "\n" for row in [*ROWS, {"text": ""}])
    done = subprocess.run(command, input=lines, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "guessed columns: text='text'" in done.stderr
    assert "out.jsonl: 30 rows" in done.stdout
    assert "out.jsonl.failed.jsonl: 1 of 31 rows without prediction" in done.stdout
    assert json.loads((tmp_path / "made.json").read_text())["failed"] == 1


def test_predicting_needs_neither_torch_nor_transformers(tmp_path):
    write_rows(tmp_path / "in.csv", ROWS)
    code = (
        "import sys\nsys.modules |= dict.fromkeys(('torch', 'transformers', 'fsspec', 'ray'))\n"
        "from pocketbert import cli\ncli.main()"
    )
    output = str(tmp_path / "out.parquet")
    command = [sys.executable, "-c", code, "predict", str(exported("classification")), str(tmp_path / "in.csv")]
    done = subprocess.run([*command, "--output", output], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    url = subprocess.run([*command, "--output", "s3://box/out.csv"], capture_output=True, text=True)
    assert url.returncode == 2 and "s3://box/out.csv" in url.stderr and "pip install" in url.stderr
    ray = subprocess.run(
        [*command, "--output", f"{output[:-8]}.csv", "--engine", "ray"], capture_output=True, text=True
    )
    assert ray.returncode == 2 and "pip install 'pocketbert[ray]'" in ray.stderr, ray.stderr


def test_the_result_of_a_call(tmp_path):
    made = predict(exported("classification"), write_rows(tmp_path / "in.csv", ROWS), tmp_path / "out.csv")
    assert made.output == str(tmp_path / "out.csv") and made.rows_per_second == pytest.approx(30 / made.seconds)
