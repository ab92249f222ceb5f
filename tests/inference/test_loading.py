import shutil
import subprocess
import sys

import pytest

import pocketbert
from exported import HEADS, exported
from pocketbert.errors import ModelError, PocketBertError
from pocketbert.export.formats import ONNX, OPENVINO
from pocketbert.inference.loading import PIPELINES

INPUTS = {"question_answering": ("what", "the cat saw a dog"), "masked_lm": "the [MASK] saw"}


@pytest.mark.parametrize("task", HEADS)
def test_every_task_has_a_pipeline(task):
    opened = pocketbert.load(exported(task))
    assert opened.task == task and isinstance(opened, PIPELINES[task])
    opened(INPUTS.get(task, "the cat"))
    opened.close()


def test_a_closed_pipeline_says_so():
    opened = pocketbert.load(exported("classification"))
    opened.close()
    for ask in (lambda: opened("the cat"), lambda: opened(["the cat"]), lambda: list(opened.stream([["the cat"]]))):
        with pytest.raises(PocketBertError, match="closed; load the model again"):
            ask()


@pytest.mark.parametrize("path", [ONNX["fp32"], OPENVINO["fp32"]])
def test_a_file_is_opened_by_its_own_engine(path):
    opened = pocketbert.load(exported("classification") / path)
    assert opened.path == path and opened.engine.name in ("onnxruntime", "openvino")
    with pytest.raises(PocketBertError, match="is one file"):
        pocketbert.load(exported("classification") / path, precision="fp32")


def test_a_directory_that_cannot_be_written_to_is_loaded(tmp_path, monkeypatch):
    kept = shutil.ignore_patterns("calibration.json")
    folder = shutil.copytree(exported("classification"), tmp_path / "copy", ignore=kept)

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    # Tests may run as root, whom permissions do not stop.
    monkeypatch.setattr("pocketbert.engines.calibration.write_atomically", refuse)
    assert pocketbert.load(folder)("the cat").label in ("bad", "good")
    assert not (folder / "calibration.json").exists()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"threads": 2, "streams": 3}, "threads 2, streams 3"),
        ({"threads": -1}, "threads -1"),
        ({"threads": 0}, "threads 0"),
        ({"threads": 4000}, "threads 4000, streams 1: .* 1024 at most"),
        ({"threads": "2"}, "threads 2"),
        ({"engine": "torch"}, "engine: 'torch': choose auto"),
    ],
)
def test_wrong_options_are_told(options, told):
    with pytest.raises(PocketBertError, match=told):
        pocketbert.load(exported("classification"), **options)


def test_what_is_no_exported_model_is_refused(tmp_path):
    with pytest.raises(ModelError, match="no such model directory"):
        pocketbert.load(tmp_path / "nothing")
    with pytest.raises(ModelError, match="make them with pocketbert export"):
        pocketbert.load(tmp_path)


def test_nothing_of_what_trains_or_scores_is_imported():
    code = (
        "import sys, pocketbert\n"
        f"pocketbert.load({str(exported('classification'))!r})('the cat')\n"
        "heavy = ('torch', 'transformers', 'sklearn', 'scipy', 'pandas', 'seqeval', 'nncf', 'datasets')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
