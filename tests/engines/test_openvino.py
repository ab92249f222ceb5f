"""In what OpenVINO computes a file, which the library would decide otherwise on each processor."""

import shutil
import subprocess
import sys
from functools import partial

import numpy as np
import pytest

from exported import exported
from pocketbert.engines import openvino
from pocketbert.engines.base import Inputs
from pocketbert.engines.openvino import OpenVinoEngine
from pocketbert.export.formats import OPENVINO
from pocketbert.export.openvino import describe_openvino


@pytest.fixture
def asked(monkeypatch):
    """What a model was compiled with."""
    options = {}
    core = openvino.CORE

    class Core:
        read_model = core.read_model

        def compile_model(self, model, device, config):
            options.update(config)
            return core.compile_model(model, device, config)

    monkeypatch.setattr(openvino, "CORE", Core())
    return options


@pytest.fixture
def path(tmp_path, request):
    """A file that says it is of some precision."""
    for suffix in (".xml", ".bin"):
        source = (exported("classification") / OPENVINO["fp32"]).with_suffix(suffix)
        shutil.copyfile(source, tmp_path / f"model{suffix}")
    path = tmp_path / "model.xml"
    described = OpenVinoEngine(path, threads=1).description
    describe_openvino(path, described.model_copy(update={"precision": request.param}))
    return path


def ask(rows: int) -> Inputs:
    full = partial(np.full, (rows, 7))
    return {"input_ids": full(5), "attention_mask": full(1), "token_type_ids": full(0)}


@pytest.mark.parametrize("instructions", [True, False])
@pytest.mark.parametrize(
    ("path", "with_them", "without"),
    [("fp32", "f32", "f32"), ("fp16", "f32", "f32"), ("bf16", "bf16", "f32"), ("int8", "bf16", "f32")],
    indirect=["path"],
)
def test_bf16_and_what_an_int8_file_leaves_follow_the_processor(
    path, with_them, without, instructions, asked, monkeypatch
):
    monkeypatch.setattr(openvino, "multiplies_bf16", lambda: instructions)
    engine = OpenVinoEngine(path, threads=1)
    assert asked["INFERENCE_PRECISION_HINT"] == (with_them if instructions else without)
    assert np.isfinite(engine.run(ask(rows=2))).all()


@pytest.mark.parametrize("path", ["fp32"], indirect=True)
def test_an_answer_is_its_callers_and_takes_nothing_from_the_inputs(path):
    engine = OpenVinoEngine(path, threads=1)
    batch = ask(rows=3)
    first = engine.run(batch)
    kept = first.copy()
    batch["input_ids"][:] = 9
    second = engine.run(batch)
    assert np.array_equal(first, kept) and not np.allclose(first, second)


TWO = """
import gc, signal, sys
from pathlib import Path
from pocketbert.engines.openvino import OpenVinoEngine

engines = [OpenVinoEngine(Path(sys.argv[1]), threads=1) for _ in range(2)]
while engines:
    engines.pop(0)
    gc.collect()
signal.signal(signal.SIGTERM, lambda *_: print("heard"))
signal.raise_signal(signal.SIGTERM)
"""


def test_a_signal_is_heard_after_two_files_were_closed_in_the_order_they_were_opened():
    """In a process of its own, which the signal used to end by a segmentation fault."""
    path = exported("classification") / OPENVINO["fp32"]
    done = subprocess.run([sys.executable, "-c", TWO, str(path)], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "heard\n"), done.stderr
