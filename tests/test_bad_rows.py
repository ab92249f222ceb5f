"""Rows that cannot be learnt from: what a person is told of them, and that nothing is left behind."""

import gzip
import re

import pytest
import torch
from safetensors.torch import load_file

import tiny
from pocketbert.manifest import Manifest
from refusals import check_refusal, unfinished

SHORT = ("--steps", 2, "--batch-size", 4, "--precision", "fp32", "--max-length", 32)
HEADER = "text,label\n"
ROWS = [f"the {mood} {animal} near the barn,{label}" for animal in tiny.ANIMALS for mood, label in
        [("fine", "good"), ("dull", "bad"), ("lovely", "good"), ("cold", "bad")]]  # fmt: skip


@pytest.fixture
def teacher(tmp_path):
    return tiny.make_checkpoint(tmp_path / "teacher", head="SequenceClassification")


def write(path, rows=ROWS, header=HEADER):
    content = header + "".join(f"{row}\n" for row in rows)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def replaced(number, row):
    """The rows with one of them, counted from 1, in place of another."""
    return [*ROWS[: number - 1], row, *ROWS[number:]]


# Bad data: case → (how train.csv or the call differs, what the one message says)
BAD = {
    "wrong column": (ROWS, ("--text", "review"), "there is no column 'review'.*set text: to one of.*'text', 'label'"),
    "empty label": (replaced(3, "the fine cat,"), (), r"train\.csv row 3: column 'label' is empty"),
    "ragged row": (replaced(5, "the fine cat"), (), r"train\.csv row 5: 1 field\(s\) where 2 are expected"),
    "lonely label": (replaced(2, "the cat,odd"), (), r"train\.csv row 2: the label 'odd' has a single example"),
    "too long for the model": (ROWS, ("--max-length", 49), "48 tokens"),
    "too long for max_length": (
        replaced(4, "the cat " * 40 + ",good"), ("--too-long", "fail"),
        r"train\.csv row 4: the text is longer than max_length, 32 tokens; shorten it",
    ),
    "open quote": (replaced(6, '"the fine cat,good'), (), r"train\.csv row 6.*look for a stray quote"),
}  # fmt: skip


@pytest.mark.parametrize("stage", ["distill", "finetune"])
@pytest.mark.parametrize("case", BAD)
def test_bad_rows_are_refused_with_one_message(tmp_path, cli, teacher, stage, case):
    rows, flags, pattern = BAD[case]
    train = write(tmp_path / "train.csv", rows)
    output = tmp_path / "student"
    called = cli(stage, teacher, "--task", "classification", "--train", train, *SHORT, *flags, "--text", "text",
                 "--label", "label", *flags, "--output", output)  # fmt: skip
    check_refusal(called, output, pattern)


def distil(cli, teacher, tmp_path, train, *flags):
    """Distil on the rows of a file."""
    output = tmp_path / "student"
    columns = ("--text", "text", "--label", "label")
    data = ("--task", "classification", "--train", train, *columns)
    return cli("distill", teacher, *data, *SHORT, *flags, "--output", output), output


def test_broken_utf8_is_refused(tmp_path, cli, teacher):
    train = write(tmp_path / "train.csv")
    train.write_bytes(train.read_bytes().replace(b"dull", b"d\xffll", 1))
    offset = train.read_bytes().index(b"\xff")
    called, output = distil(cli, teacher, tmp_path, train)
    check_refusal(called, output, rf"train\.csv row 2: byte {offset} of the file is not UTF-8 text; mend the row")


@pytest.mark.parametrize(("content", "message"), [(b"", "the file is empty"), (HEADER.encode(), "no row to read")])
def test_an_empty_file_is_refused(tmp_path, cli, teacher, content, message):
    (tmp_path / "train.csv").write_bytes(content)
    called, output = distil(cli, teacher, tmp_path, tmp_path / "train.csv")
    check_refusal(called, output, rf"train\.csv: {message}")


def test_an_unknown_label_in_validation_is_refused(tmp_path, cli, teacher):
    train = write(tmp_path / "train.csv")
    validation = write(tmp_path / "validation.csv", replaced(7, "the cat,god"))
    called, output = distil(cli, teacher, tmp_path, train, "--validation", validation)
    check_refusal(called, output, r"validation\.csv row 7: column 'label' has 'god'.*did you mean 'good'\?")


def test_missing_and_damaged_files_are_refused(tmp_path, cli, teacher):
    called, output = distil(cli, teacher, tmp_path, tmp_path / "nothing.csv")
    check_refusal(called, output, r"nothing\.csv: no such file")
    damaged = tmp_path / "train.csv.gz"
    damaged.write_bytes(gzip.compress(write(tmp_path / "train.csv").read_bytes())[:-20])
    called, output = distil(cli, teacher, tmp_path, damaged)
    check_refusal(called, output, r"train\.csv\.gz: the compressed file is damaged")


def test_an_empty_corpus_is_refused(tmp_path, cli):
    (tmp_path / "text.txt").write_text("\n\n")
    called = cli("pretrain", "--corpus", tmp_path / "text.txt", "--steps", 2, "--output", tmp_path / "bert")
    assert called.code == 2 and called.err.count("error: ") == 1 and "Traceback" not in called.err
    assert unfinished(tmp_path / "bert")


def test_a_refusal_in_a_process_of_its_own(tmp_path, teacher):
    train = write(tmp_path / "train.csv", replaced(5, "the fine cat"))
    data = ("--task", "classification", "--train", train, "--text", "text", "--label", "label")
    done = tiny.call("distill", teacher, *data, *SHORT, "--output", tmp_path / "student")
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1


def test_skipped_rows_are_counted_and_reported(tmp_path, cli, teacher):
    rows = [*ROWS, *ROWS, *ROWS]
    rows[2], rows[4], rows[8] = "the fine cat,", "the fine cat", "the cat,odd"
    train = write(tmp_path / "train.csv", rows)
    train.write_bytes(train.read_bytes().replace(b"dull", b"d\xffll", 1))
    called, output = distil(cli, teacher, tmp_path, train, "--on-error", "skip")
    assert called.code == 0, called.err
    manifest = Manifest.model_validate_json((output / "manifest.json").read_bytes())
    report = next(note for note in manifest.notes if note.startswith("skipped"))
    assert report.startswith("skipped 4 bad rows") and "train.csv row 3" in report + called.err
    assert "skipped 4 bad rows" in called.err
    # 44 rows are left: a tenth of them is held out twice.
    assert any("36 train, 4 validation, 4 test" in note for note in manifest.notes)


def test_rows_that_are_cut_are_counted(tmp_path, cli, teacher):
    train = write(tmp_path / "train.csv", replaced(4, "the cat " * 40 + ",good"))
    other = write(tmp_path / "other.csv")
    called, output = distil(cli, teacher, tmp_path, train, "--validation", other, "--test", other)
    manifest = Manifest.model_validate_json((output / "manifest.json").read_bytes())
    assert called.code == 0 and manifest.metrics["truncated"] == 1
    assert "truncated 1 of 16 training rows to max_length 32" in called.err


def test_a_loss_that_is_not_finite_ends_with_three(tmp_path, cli, teacher):
    train = write(tmp_path / "train.csv")
    called, output = distil(cli, teacher, tmp_path, train, "--steps", 20, "--learning-rate", "1e30", "--save-steps", 1)
    assert called.code == 3
    message = called.err.splitlines()[-1]
    assert "error: distill: the loss is not finite at step " in message and "train.csv row" in message
    good = load_file(re.search(r"Last good checkpoint: (\S+)\. ", message)[1] + "/model.safetensors")
    assert all(torch.isfinite(value).all() for value in good.values())
    assert not (output / "manifest.json").exists() and not (output / "model.safetensors").exists()
    assert "Traceback" not in called.err
