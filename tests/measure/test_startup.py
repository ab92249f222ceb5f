"""A model started in a process of its own."""

import subprocess
import sys

import numpy as np
import pytest

from pocketbert.errors import PocketBertError
from pocketbert.measure.startup import measure_startup, peak_memory

MEGABYTES = 1_000_000


def batches():
    def make(rows, tokens):
        return {name: np.ones((rows, tokens), dtype=np.int64) for name in ("input_ids", "attention_mask")}

    return [make(1, 8), make(4, 16)]


@pytest.mark.parametrize("file", ["onnx/model.onnx", "openvino/openvino_model.xml"])
def test_a_file_is_started_without_torch(exported, tmp_path, file):
    found = measure_startup(str(exported / file), "classification", 1, batches(), tmp_path)
    assert 0 < found.first_answer_seconds < 5 and 0 < found.load_seconds < 60
    # Importing torch alone takes 200 MB.
    assert 20 * MEGABYTES < found.peak_bytes < 200 * MEGABYTES


def test_a_directory_is_started_with_torch(exported, tmp_path):
    found = measure_startup(str(exported), "classification", 1, batches(), tmp_path)
    assert found.peak_bytes > 200 * MEGABYTES


def test_a_process_that_fails_says_why(exported, tmp_path):
    reference = str(exported / "onnx" / "nothing.onnx")
    with pytest.raises(PocketBertError, match=r"a process that runs it ended with 1: .*nothing\.onnx: no such file"):
        measure_startup(reference, "classification", 1, batches(), tmp_path)


def test_the_peak_is_of_this_process_and_not_of_its_parent():
    mine = np.ones(300 * MEGABYTES // 8)
    assert peak_memory() > 300 * MEGABYTES and mine.sum()
    command = "from pocketbert.measure.startup import peak_memory; print(peak_memory())"
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 250 * MEGABYTES


def test_the_peak_stays_when_the_memory_is_given_back():
    command = (
        "from pocketbert.measure.startup import peak_memory; import numpy as np\n"
        "before = peak_memory(); np.ones(40_000_000); print(peak_memory() - before)"
    )
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    assert int(done.stdout) == pytest.approx(320 * MEGABYTES, rel=0.1)
