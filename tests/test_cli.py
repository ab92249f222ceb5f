"""The command line: what it prints, how it ends, and what it leaves when the data is bad."""

import errno
import gzip
import json
import re
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

import tiny
from pocketbert import pipeline
from pocketbert.manifest import Manifest
from pocketbert.measure import bench_timing, evaluation
from pocketbert.measure.results import Shape, Startup
from pocketbert.measure.wording import score
from pocketbert.shrink import probe, prune

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


def unfinished(output):
    """Whether nothing in a folder looks like a finished model."""
    return not any(path.name in ("manifest.json", "model.safetensors", "config.json") for path in output.rglob("*"))


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


def check_refusal(called, output, pattern):
    assert called.code == 2
    *notes, message = [line for line in called.err.splitlines() if line.strip()]
    assert message.startswith("error: ") and re.search(pattern, message), called.err
    # Rows are tokenised after they were read and held out; all other refusals stand alone.
    assert not notes or "max_length" in message
    assert "Traceback" not in called.err and called.out == ""
    assert not output.exists()


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


def test_evaluate_prints_every_metric_and_writes_json(tmp_path, cli, teacher):
    test = tiny.write_reviews(tmp_path / "test.csv", 30)
    called = cli("evaluate", teacher, "--task", "classification", "--data", test, "--max-length", 32,
                 "--json", tmp_path / "result.json")  # fmt: skip
    assert called.code == 0, called.err
    for word in ("accuracy *", "macro_f1", "matthews", "majority class", "95 % interval"):
        assert word in called.out
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["examples"] == 30 and 0 <= result["interval"]["low"] <= result["score"] <= result["interval"]["high"]
    assert f"{result['score']:.4f}" in called.out


def test_compare_prints_the_card_and_writes_json(tmp_path, cli, teacher, monkeypatch):
    monkeypatch.setattr(evaluation, "SPEED_SECONDS", 0.3)
    student = tiny.make_checkpoint(tmp_path / "student", "distilbert", "SequenceClassification", layers=1)
    test = tiny.write_reviews(tmp_path / "test.csv", 30)
    called = cli("compare", teacher, student, "--task", "classification", "--data", test, "--max-length", 32,
                 "--json", tmp_path / "result.json")  # fmt: skip
    assert called.code == 0, called.err
    for word in ("kept", "smaller", "faster"):
        assert word in called.out.lower()
    result = json.loads((tmp_path / "result.json").read_text())
    assert set(result["sizes"]) == {"teacher", "student"} and result["quality"]


def test_bench_prints_its_tables_and_draws_its_page(tmp_path, cli, teacher, monkeypatch):
    start = Startup(load_seconds=1.5, first_answer_seconds=0.25, peak_bytes=7)
    monkeypatch.setattr(bench_timing, "measure_startup", lambda *_: start)
    student = tiny.make_checkpoint(tmp_path / "student", "distilbert", "SequenceClassification", layers=1)
    test = tiny.write_reviews(tmp_path / "test.csv", 30)
    called = cli("bench", student, "--against", teacher, "--task", "classification", "--data", test, "--max-length", 32,
                 "--lengths", 8, "--batch-sizes", 1, "--threads", 1, "--seconds", 0.5,
                 "--html", tmp_path / "page.html", "--json", tmp_path / "bench.json")  # fmt: skip
    assert called.code == 0, called.err
    measured = json.loads((tmp_path / "bench.json").read_text())["models"]
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    for model in measured:
        assert model["name"] in called.out and model["name"] in page
    assert "Side by side" in page and "1.50 s" in page and "<svg" in page


def test_prune_draws_its_search(tmp_path, cli, teacher, monkeypatch):
    monkeypatch.setattr(prune, "SPEED_SECONDS", 0.1)
    monkeypatch.setattr(probe, "SECONDS", 0.02)
    train = tiny.write_reviews(tmp_path / "train.csv", 40)
    called = cli("prune", teacher, "--target-bytes", "80kB", "--recover-steps", 2, "--task", "classification",
                 "--train", train, "--max-length", 32, "--output", tmp_path / "pruned",
                 "--html", tmp_path / "page.html", "--json", tmp_path / "manifest.json")  # fmt: skip
    assert called.code == 0, called.err
    metrics = json.loads((tmp_path / "manifest.json").read_text())["metrics"]
    (chosen,) = [each for each in metrics["frontier"]["candidates"] if each["chosen"]]
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert str(Shape(**chosen["shape"])) in page and "<svg" in page
    assert score(metrics["pruning"]["unpruned"]["score"]) in page and "batches of" in page


def test_trim_prints_its_figures_and_no_dump(tmp_path, cli, teacher):
    train = tiny.write_reviews(tmp_path / "train.csv", 40)
    called = cli("trim", teacher, "--least", 1, "--task", "classification", "--train", train, "--max-length", 32,
                 "--output", tmp_path / "small", "--json", tmp_path / "manifest.json")  # fmt: skip
    assert called.code == 0, called.err
    pieces = json.loads((tmp_path / "manifest.json").read_text())["metrics"]["pieces"]
    assert re.search(rf"^  pieces +{pieces['before']} → {pieces['after']}$", called.out, re.MULTILINE)
    assert "How texts are read" in called.err and "{" not in called.out


VERBS = (
    "run", "tune", "pretrain", "finetune", "distill", "prune", "trim", "quantize", "export", "verify", "evaluate",
    "compare", "bench",
)  # fmt: skip


@pytest.mark.parametrize("command", VERBS)
def test_every_command_has_help_with_an_example(cli, command):
    called = cli(command, "--help")
    assert called.code == 0 and f"pocketbert {command}" in called.out and "Example" in called.out


def test_unknown_flags_and_commands_end_with_two(cli):
    assert cli("distil").code == 2
    assert cli("distill", "teacher", "--colour", "red").code == 2


def test_text_and_rows_in_one_lesson_are_refused(cli, tmp_path):
    called = cli("distill", "teacher", "--corpus", "a.txt", "--task", "classification", "--train", "train.csv",
                 "--output", tmp_path / "student")  # fmt: skip
    check_refusal(called, tmp_path / "student", "--corpus and --task classification: .*leave one of them out")


def test_the_baseline_is_no_matter_of_the_single_command(cli):
    assert "--without-teacher" not in cli("distill", "--help").out


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--json", "folder"), "folder: a folder; name a file for the result"),
        (("--json", "file/result.json"), r"file: a file, where a folder is needed"),
        (("--json", "file/a/b.json"), r"file: a file, where a folder is needed"),
        (("--output", "file"), r"file: a file, where a folder is needed; name another place"),
        (("--output", "file/student"), r"file: a file, where a folder is needed"),
    ],
)
def test_places_that_cannot_be_written_are_refused_before_any_work(cli, tmp_path, monkeypatch, flags, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pipeline, "distill", None)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("mine")
    called = cli("distill", "teacher", "--output", "student", *flags)
    check_refusal(called, tmp_path / "student", message)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_run_into_a_file_is_refused_before_any_work(cli, tmp_path, monkeypatch):
    monkeypatch.setattr(pipeline, "run", None)
    (tmp_path / "file").write_text("mine")
    (tmp_path / "recipe.yaml").write_text(f"name: x\noutput: {tmp_path / 'file'}\nstages: [{{finetune: {{}}}}]\n")
    called = cli("run", tmp_path / "recipe.yaml")
    check_refusal(called, tmp_path / "student", r"file: a file, where a folder is needed; name another place")


LIGHT = """
import sys
sys.modules |= dict.fromkeys(["accelerate", "huggingface_hub", "safetensors", "torch", "transformers"])
from pocketbert.cli import main
main()
"""
"""The command line where only the light core is installed."""


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--help",), 0, "Usage: "),
        (("distill", "--help"), 0, "--temperature"),
        (("run", "recipes/demo.yaml"), 2, "is not installed; pip install 'pocketbert[train]'"),
        (("evaluate", "model", "--task", "regression", "--data", "a.csv"), 2, "pip install 'pocketbert[train]'"),
    ],
)
def test_without_the_extra_that_trains_there_is_help_and_a_hint(arguments, code, said):
    done = subprocess.run([sys.executable, "-c", LIGHT, *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode, said in done.stdout + done.stderr) == (code, True), done.stderr
    assert "Traceback" not in done.stderr and (code == 0 or done.stderr.startswith("error: "))


INTERRUPTED = """
import sys
class Interrupt:
    def find_spec(self, name, *_):
        if name == "typer":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupt())
from pocketbert.cli import main
main()
"""
"""The command line, with Ctrl-C while its first library is imported."""


def test_ctrl_c_in_the_first_moment_leaves_no_traceback():
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_a_missing_recipe_ends_with_two(cli, tmp_path):
    called = cli("run", tmp_path / "nothing.yaml")
    assert called.code == 2 and "no such recipe" in called.err and "Traceback" not in called.err


def test_a_full_disk_is_told_and_not_traced(cli, tmp_path, teacher, monkeypatch):
    def fill(*_args, **_kwargs):
        raise OSError(errno.ENOSPC, "No space left on device", "weights.tmp")

    monkeypatch.setattr(pipeline, "evaluate", fill)
    called = cli("evaluate", teacher, "--task", "classification", "--data", write(tmp_path / "rows.csv"))
    assert called.code == 2
    assert called.err.startswith("error: weights.tmp: No space left on device; what was finished is kept. Make room")


@pytest.mark.parametrize("said", ["", "model.onnx: there is no memory left to run it"])
def test_a_lack_of_memory_is_told_and_not_traced(cli, tmp_path, teacher, monkeypatch, said):
    def lack(*_args, **_kwargs):
        raise MemoryError(said)

    monkeypatch.setattr(pipeline, "evaluate", lack)
    called = cli("evaluate", teacher, "--task", "classification", "--data", write(tmp_path / "rows.csv"))
    reason = said or "there is no memory left"
    assert (called.code, called.err) == (
        2,
        f"error: {reason}; what was finished is kept. Free some, and run the same command again\n",
    )
