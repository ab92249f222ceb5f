"""The folder of a stage, from its first file to its last."""

import errno
import fcntl
import json
import subprocess
import sys

import jobs
import pytest

import tiny
from pocketbert.distill import stage as module
from pocketbert.distill.distillation import distill
from pocketbert.distill.stage import StageFolder
from pocketbert.errors import DataError, PocketBertError
from pocketbert.manifest import Manifest, hash_tokenizer, read_manifest
from pocketbert.recipe import Data, DistillStage, Student


class Killed(BaseException):
    """Stands for SIGKILL."""


def finish(folder, key="key", replace=False):
    tokenizer = tiny.make_tokenizer("bert")
    made = StageFolder(folder, key, replace)
    made.begin()
    made.finish(tiny.make_model("bert", "MaskedLM", tokenizer), tokenizer, Manifest(stage="distill", key=key))
    return made


def test_a_finished_folder_is_a_model_directory_and_nothing_else(tmp_path):
    finish(tmp_path / "m")
    assert {path.name for path in (tmp_path / "m").iterdir()} == {
        "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "manifest.json"
    }  # fmt: skip
    again = StageFolder(tmp_path / "m", "key")
    assert again.done and again.skip(jobs.QUIET).tokenizer == hash_tokenizer(str(tmp_path / "m"))


def test_work_of_other_inputs_is_thrown_away_and_of_the_same_kept(tmp_path):
    for key, kept in (("a", True), ("b", False)):
        folder = StageFolder(tmp_path / "m", "a")
        folder.begin()
        (folder.work / "checkpoint-3").mkdir(exist_ok=True)
        StageFolder(tmp_path / "m", key, replace=True).begin()
        assert (folder.work / "checkpoint-3").exists() is kept


def test_checkpoints_of_other_options_are_not_thrown_away_unasked(tmp_path):
    folder = StageFolder(tmp_path / "m", "a")
    folder.begin()
    StageFolder(tmp_path / "m", "b").begin()  # nothing was learnt yet
    (folder.work / "checkpoint-3").mkdir()
    StageFolder(tmp_path / "m", "b").begin()
    with pytest.raises(PocketBertError, match="holds an unfinished run of other inputs or options"):
        StageFolder(tmp_path / "m", "a")
    assert (folder.work / "checkpoint-3").exists()


HOLDING = """
import sys
from pathlib import Path
from pocketbert.distill.stage import StageFolder
folder = StageFolder(Path(sys.argv[1]), sys.argv[2])
folder.begin()
print("held", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("key", ["a", "b"])
def test_two_processes_do_not_make_one_model(tmp_path, key):
    started = [sys.executable, "-c", HOLDING, tmp_path / "m", "a"]
    with subprocess.Popen(started, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        with pytest.raises(PocketBertError, match="m: another process is making this model; let it end, or name"):
            StageFolder(tmp_path / "m", key).begin()
        assert (tmp_path / "m" / "work" / "key").read_text() == "a"
        other.kill()
    StageFolder(tmp_path / "m", key).begin()
    assert (tmp_path / "m" / "work" / "key").read_text() == key


def test_who_looks_leaves_a_model_that_is_made_anew_alone(tmp_path):
    """The manifest of the model before stands until the new one is done, and is no leave to clean up."""
    finish(tmp_path / "m", "a")
    started = [sys.executable, "-c", HOLDING.replace(", sys.argv[2]", ", sys.argv[2], True"), tmp_path / "m", "b"]
    with subprocess.Popen(started, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        (tmp_path / "m" / "work" / "checkpoint-3").mkdir()
        assert StageFolder(tmp_path / "m", "a", replace=True).done
        assert StageFolder(tmp_path / "m", "b", replace=True).work.is_dir()
        other.kill()
    assert StageFolder(tmp_path / "m", "a", replace=True).done
    assert (tmp_path / "m" / "work" / "checkpoint-3").is_dir()  # of another model, which may still be wanted


@pytest.mark.parametrize("key", ["a", "b"])
def test_who_looked_before_another_one_was_done_is_told(tmp_path, key):
    late = StageFolder(tmp_path / "m", key)
    finish(tmp_path / "m", "a")
    with pytest.raises(PocketBertError, match=r"has just made this model; run it again|made from other inputs"):
        late.begin()
    assert read_manifest(tmp_path / "m").key == "a"


def test_a_disk_that_knows_no_locks_will_do(tmp_path, monkeypatch):
    def unknown(*_):
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(fcntl, "flock", unknown)
    finish(tmp_path / "m")
    assert StageFolder(tmp_path / "m", "key").done


def test_an_unfinished_stage_has_no_manifest(tmp_path):
    folder = StageFolder(tmp_path / "m", "key")
    folder.begin()
    assert not folder.done
    with pytest.raises(PocketBertError, match="not finished"):
        folder.skip(jobs.QUIET)


def test_looking_makes_nothing(tmp_path):
    StageFolder(tmp_path / "m", "key")
    assert not (tmp_path / "m").exists()


def test_a_model_made_anew_stands_until_the_new_one_is_done(tmp_path):
    finish(tmp_path / "m")
    folder = StageFolder(tmp_path / "m", "other", replace=True)
    folder.begin()
    assert read_manifest(tmp_path / "m").key == "key" and (tmp_path / "m" / "model.safetensors").exists()
    finish(tmp_path / "m", "other", replace=True)
    assert read_manifest(tmp_path / "m").key == "other"


@pytest.mark.parametrize("step", ["hash_tokenizer", "write_manifest"])
def test_a_kill_while_finishing_is_made_good(tmp_path, monkeypatch, step):
    teacher = str(tiny.make_checkpoint(tmp_path / "teacher", head="SequenceClassification"))
    train = tiny.write_reviews(tmp_path / "train.csv", 60)
    data = Data(task="classification", train=[str(train)], max_length=32)
    options = DistillStage(steps=8, batch_size=8, precision="fp32", save_steps=3)

    def teach(name):
        return distill(options, teacher, Student(), tmp_path / name, data, console=jobs.QUIET)

    def die(*_arguments):
        raise Killed

    teach("whole")
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(module, step, die)
        teach("killed")
    assert not (tmp_path / "killed" / "manifest.json").exists()
    teach("killed")
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "killed")]
    assert weights[0] == weights[1]
    steps = [
        [json.loads(line)["step"] for line in (tmp_path / name / "log.jsonl").read_text().splitlines()]
        for name in ("whole", "killed")
    ]
    assert steps[0] == steps[1] and len(steps[0]) > 8
    assert not (tmp_path / "killed" / "work").exists()


def test_inputs_that_prove_bad_leave_nothing(tmp_path):
    folder = StageFolder(tmp_path / "m", "key")
    with pytest.raises(DataError, match="bad"), folder.preparing():
        (folder.work / "tokenizer").mkdir()
        raise DataError("bad")
    assert not (tmp_path / "m").exists()


def test_inputs_that_prove_bad_leave_the_model_that_was_to_be_replaced(tmp_path):
    finish(tmp_path / "m")
    folder = StageFolder(tmp_path / "m", "other", replace=True)
    with pytest.raises(DataError), folder.preparing():
        raise DataError("bad")
    assert read_manifest(tmp_path / "m").key == "key" and not folder.work.exists()


def test_a_stage_killed_while_preparing_keeps_what_it_has(tmp_path):
    folder = StageFolder(tmp_path / "m", "key")
    with pytest.raises(Killed), folder.preparing():
        (folder.work / "tokenizer").mkdir()
        raise Killed
    assert (folder.work / "tokenizer").is_dir()
