"""A student answers the same whatever instructions the processor has, as far as the libraries let us take them away."""

import json
import os
import subprocess
import sys

import pytest

from exported import QUIET, make_model
from pocketbert.engines.encoding import TextEncoder
from pocketbert.engines.exported import open_file
from pocketbert.export.exporting import export
from pocketbert.export.formats import ONNX, OPENVINO
from pocketbert.recipe import ExportStage, Limits
from pocketbert.shrink.int8_onnx import write_int8_onnx
from pocketbert.shrink.int8_openvino import write_int8_openvino
from pocketbert.tasks.base import collate

# oneDNN computes for OpenVINO. ONNX Runtime has no switch: what we ask of it without instructions for int8 is.
SWITCHES = {"AMX off": "AVX512_CORE_BF16", "bf16 off": "AVX512_CORE_VNNI", "AVX2 alone": "AVX2"}
CODE = """
import json, sys
import pocketbert
from pocketbert.engines import golden, onnxruntime
if sys.argv[2] == "without int8":
    onnxruntime.multiplies_int8 = lambda: False
opened = pocketbert.load(sys.argv[1], too_long="truncate")
texts = [each.text for each in golden.Golden.read(opened.folder / golden.FOLDER).texts]
print(json.dumps([word.tag for answer in opened(texts) for word in answer.words]))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny tagger with int8 files for both engines."""
    place = tmp_path_factory.mktemp("int8")
    model = make_model(place / "model", "token_classification")
    limits = Limits(label_flips=0.2, label_flips_int8=0.5, int8=1.0)
    options = ExportStage(formats=["onnx", "openvino"], precisions=["fp32"], limits=limits)
    export(options, str(model), place / "fp32", console=QUIET)
    encode = TextEncoder(model, 48)
    texts = [each.split() for each in ("the cat saw a bright house", "it was very cold near the park", "a dull dog")]
    batches = [
        {name: values for name, values in collate([encode(text)], 0).items() if name != "labels"} for text in texts
    ]
    source = place / "fp32" / ONNX["fp32"]
    int8 = open_file(source).description.model_copy(update={"precision": "int8"})
    for path, write in ((ONNX["int8"], write_int8_onnx), (OPENVINO["int8"], write_int8_openvino)):
        (model / path).parent.mkdir()
        write(source, int8, batches, model / path)
    export(options.model_copy(update={"precisions": ["fp32", "int8"]}), str(model), place / "all", console=QUIET)
    return place / "all"


def labels(path, isa="", how=""):
    """Of the golden texts, in a process whose libraries may use so much of the processor."""
    environment = os.environ | ({"ONEDNN_MAX_CPU_ISA": isa} if isa else {})
    command = [sys.executable, "-c", CODE, str(path), how]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=True)
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("isa", SWITCHES.values(), ids=SWITCHES)
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_openvino_gives_the_same_labels(folder, precision, isa):
    found = labels(folder / OPENVINO[precision])
    assert len(found) > 200 and len(set(found)) == 3
    changed = sum(one != other for one, other in zip(labels(folder / OPENVINO[precision], isa), found, strict=True))
    # Without bf16 what int8 leaves is computed in fp32, and random weights leave some answers on the edge.
    assert changed <= (0.02 * len(found) if precision == "int8" else 0)


def test_onnxruntime_gives_the_same_labels_without_instructions_for_int8(folder):
    found = labels(folder / ONNX["int8"])
    assert labels(folder / ONNX["int8"], how="without int8") == found


@pytest.mark.parametrize("isa", SWITCHES.values(), ids=SWITCHES)
def test_what_is_chosen_by_itself_answers_right(folder, isa):
    (folder / "calibration.json").unlink(missing_ok=True)
    assert len(labels(folder, isa)) == len(labels(folder / OPENVINO["int8"]))
