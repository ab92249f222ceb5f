"""Whatever is wrong with an exported directory, ``verify`` finds it: by its hash, and by what it does."""

import json
import shutil
import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from exported import QUIET, exported
from pocketbert.errors import GateBreach, ModelError
from pocketbert.export.formats import ONNX, OPENVINO
from pocketbert.export.verification import verify
from pocketbert.files import hash_file

BIN = OPENVINO["fp32"].replace(".xml", ".bin")


@pytest.fixture
def folder(tmp_path):
    return shutil.copytree(exported("classification"), tmp_path / "copy")


def flip_weight(folder):
    """The sign of one weight of the classifier."""
    path = folder / ONNX["fp32"]
    model = onnx.load(path)
    last = next(each for each in model.graph.initializer if "classifier.weight" in each.name)
    values = numpy_helper.to_array(last).copy()
    place = np.unravel_index(np.abs(values).argmax(), values.shape)
    values[place] = -values[place]
    last.CopyFrom(numpy_helper.from_array(values, last.name))
    onnx.save(model, path)
    return ONNX["fp32"]


def flip_bytes(folder):
    """The signs of the weights in an IR; what is no weight lies outside of these sizes."""
    path = folder / BIN
    content = path.read_bytes()
    values = np.frombuffer(content[: len(content) // 4 * 4], dtype=np.float32).copy()
    weights = (np.abs(values) > 1e-3) & (np.abs(values) < 10)
    values[weights] = -values[weights]
    path.write_bytes(values.tobytes() + content[len(content) // 4 * 4 :])
    return BIN


def change_metadata(key, change):
    def damage(folder):
        path = folder / ONNX["fp32"]
        model = onnx.load(path)
        (found,) = [each for each in model.metadata_props if each.key == f"pocketbert.{key}"]
        found.value = change(found.value)
        onnx.save(model, path)
        return ONNX["fp32"]

    return damage


def change_tokenizer(folder):
    path = folder / "tokenizer.json"
    tree = json.loads(path.read_text(encoding="utf-8"))
    vocabulary = tree["model"]["vocab"]
    vocabulary["the"], vocabulary["cat"] = vocabulary["cat"], vocabulary["the"]
    path.write_text(json.dumps(tree), encoding="utf-8")
    return "tokenizer.json"


DAMAGES = {
    "one weight flipped": flip_weight,
    "bytes of an IR": flip_bytes,
    "labels swapped": change_metadata("labels", lambda text: json.dumps(json.loads(text)[::-1])),
    "wrong max length": change_metadata("max_length", lambda _: "64"),
    "another tokenizer": change_tokenizer,
}


def believe(folder, name):
    """Write the damaged file's own hash into the manifest."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    for hashes in (manifest["files"], *(each["files"] for each in manifest["exports"])):
        if name in hashes:
            hashes[name] = hash_file(folder / name)
    path.write_text(json.dumps(manifest), encoding="utf-8")


def test_a_good_directory_is_verified(folder):
    found = verify(folder, console=QUIET)
    assert found.passed and len(found.files) == 5


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damage_is_found_by_its_hash(folder, damage):
    name = damage(folder)
    with pytest.raises(GateBreach, match=f"{name} is not the file that was exported"):
        verify(folder, console=QUIET)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("one weight flipped", "onnx/model.onnx: a logit is off by"),
        ("bytes of an IR", "openvino/openvino_model.xml: a logit is off by"),
        ("labels swapped", r"says labels \['good', 'bad'\], the manifest \['bad', 'good'\]"),
        ("wrong max length", "says max_length 64, the manifest 48"),
        ("another tokenizer", "the tokenizer reads .* texts differently"),
    ],
)
def test_damage_is_found_without_its_hash(folder, damage, message):
    believe(folder, DAMAGES[damage](folder))
    with pytest.raises(GateBreach, match=message):
        verify(folder, console=QUIET)


def test_a_missing_file_is_found(folder):
    (folder / ONNX["fp16"]).unlink()
    with pytest.raises(GateBreach, match=r"model_fp16\.onnx is missing"):
        verify(folder, console=QUIET)


@pytest.mark.parametrize("content", [b"", b"not an ONNX file"])
def test_a_file_that_cannot_be_loaded_is_a_breach(folder, content):
    (folder / ONNX["fp32"]).write_bytes(content)
    with pytest.raises(GateBreach, match="ONNX Runtime cannot load it"):
        verify(folder, console=QUIET)


def test_a_directory_without_exports_is_refused(tmp_path):
    with pytest.raises(ModelError, match="holds no exported files"):
        verify(tmp_path)


def test_nothing_of_torch_is_needed(folder):
    """Where a student is used there is no torch."""
    program = (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in ('torch', 'transformers'):\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "from pocketbert.export.verification import verify\n"
        f"verify({str(folder)!r})\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
