"""The command line: what it prints and how it ends."""

import errno
import json
import re
import subprocess
import sys

import pytest

import tiny
from pocketbert import pipeline
from pocketbert.measure import bench_timing, evaluation
from pocketbert.measure.results import Shape, Startup
from pocketbert.measure.wording import score
from pocketbert.shrink import probe, prune
from refusals import check_refusal

SHORT = ("--steps", 2, "--batch-size", 4, "--precision", "fp32", "--max-length", 32)


@pytest.fixture
def teacher(tmp_path):
    return tiny.make_checkpoint(tmp_path / "teacher", head="SequenceClassification")


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
    called = cli(
        "evaluate", teacher, "--task", "classification", "--data", tiny.write_reviews(tmp_path / "rows.csv", 8)
    )
    assert called.code == 2
    assert called.err.startswith("error: weights.tmp: No space left on device; what was finished is kept. Make room")


@pytest.mark.parametrize("said", ["", "model.onnx: there is no memory left to run it"])
def test_a_lack_of_memory_is_told_and_not_traced(cli, tmp_path, teacher, monkeypatch, said):
    def lack(*_args, **_kwargs):
        raise MemoryError(said)

    monkeypatch.setattr(pipeline, "evaluate", lack)
    called = cli(
        "evaluate", teacher, "--task", "classification", "--data", tiny.write_reviews(tmp_path / "rows.csv", 8)
    )
    reason = said or "there is no memory left"
    assert (called.code, called.err) == (
        2,
        f"error: {reason}; what was finished is kept. Free some, and run the same command again\n",
    )
