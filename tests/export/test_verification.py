"""Whatever is wrong with an exported directory, ``verify`` finds it: by its hash, and by what it does."""

import json
import re
import shutil
import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from safetensors.numpy import load_file, save_file

from exported import QUIET, exported
from pocketbert.engines.choice import open_directory
from pocketbert.errors import GateBreach, ModelError, NotInstalled
from pocketbert.export import verification
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
def test_damage_to_parity_is_found_by_its_hash(folder, damage, cli):
    name = damage(folder)
    called = cli("verify", folder)
    assert called.code == 1 and f"{name} is not the file that was exported" in called.err


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
def test_damage_to_parity_is_found_without_its_hash(folder, damage, message, cli):
    believe(folder, DAMAGES[damage](folder))
    called = cli("verify", folder)
    assert called.code == 1 and re.search(message, called.err)


def test_damage_to_the_model_itself_is_found(folder):
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    (folder / "tokenizer_config.json").write_text("{}")
    with pytest.raises(GateBreach) as breach:
        verify(folder, console=QUIET)
    for name in (path.name, "tokenizer_config.json"):
        assert f"{name} is not the file that was exported" in str(breach.value)
    assert len(breach.value.report.problems) == 2


def halve_table(folder):
    """Ids of the second half of the vocabulary are looked up in vain."""
    path = folder / ONNX["fp32"]
    model = onnx.load(path)
    table = next(each for each in model.graph.initializer if "word_embeddings" in each.name)
    values = numpy_helper.to_array(table)
    table.CopyFrom(numpy_helper.from_array(values[: len(values) // 2].copy(), table.name))
    onnx.save(model, path)


def test_damage_that_shows_when_a_file_runs_is_a_breach_and_not_a_traceback(folder):
    halve_table(folder)
    with pytest.raises(GateBreach, match=r"model\.onnx: ONNX Runtime cannot run it: .*; export it again") as breach:
        verify(folder, console=QUIET)
    assert breach.value.report.preferred not in (None, ONNX["fp32"])


def test_a_file_that_fails_when_it_runs_is_passed_over_at_load(folder):
    halve_table(folder)
    for name in (OPENVINO["fp32"], OPENVINO["bf16"]):
        (folder / name).unlink()
    assert open_directory(folder).engine.description.precision == "fp16"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda manifest: manifest["exports"][0]["limits"].update(fp32="much"), "limits|fp32: Input should be"),
        (lambda manifest: manifest["exports"][0]["description"].update(task=7), "task: Input should be"),
    ],
)
def test_a_manifest_that_says_what_cannot_be_is_refused(folder, change, message):
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    change(manifest)
    path.write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(ModelError, match=rf"manifest\.json: says of onnx/model\.onnx what cannot be: .*({message})"):
        verify(folder, console=QUIET)


def test_a_damaged_manifest_or_golden_file_is_refused(folder):
    (folder / "golden" / "texts.json").write_text("[]")
    with pytest.raises(GateBreach, match="the golden answers cannot be read"):
        verify(folder, console=QUIET)
    (folder / "manifest.json").write_bytes(b"\xff\xfe")
    with pytest.raises(ModelError, match=r"manifest\.json: not a manifest"):
        verify(folder, console=QUIET)


def edit_golden(change):
    def damage(folder):
        path = folder / "golden" / "answers.safetensors"
        arrays = load_file(path)
        change(arrays)
        save_file(arrays, path)
        return "golden/answers.safetensors"

    return damage


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda arrays: arrays.update({"ids.1": arrays["ids.1"][0]}), r"ids\.1 are no token ids"),
        (lambda arrays: arrays.update({"ids.0": np.array(3)}), r"ids\.0 are no token ids"),
        (lambda arrays: arrays.update({"ids.2": -arrays["ids.2"]}), r"ids\.2 are no token ids"),
        (lambda arrays: arrays.update({"logits.2": arrays["logits.2"][:0]}), r"logits\.2 are empty"),
        (lambda arrays: arrays.pop("logits.0"), r"logits\.0"),
    ],
)
def test_damaged_golden_answers_are_a_breach_and_not_a_traceback(folder, change, message, cli):
    believe(folder, edit_golden(change)(folder))
    called = cli("verify", folder)
    assert called.code == 1 and re.search(message, called.err) and "Traceback" not in called.err


def test_a_tokenizer_that_is_gone_is_a_breach(folder):
    (folder / "tokenizer.json").unlink()
    with pytest.raises(GateBreach, match=r"tokenizer\.json is missing\n .*cannot be read as a tokenizer"):
        verify(folder, console=QUIET)


def flip_byte(folder):
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    return "model.safetensors"


def rename_label(folder):
    path = folder / "config.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"good"', '"fine"'), encoding="utf-8")
    return "config.json"


@pytest.mark.parametrize("damage", [flip_byte, rename_label])
def test_damage_to_the_model_is_found_without_its_hash(folder, damage):
    """The files say of which weights and labels they were made."""
    believe(folder, damage(folder))
    with pytest.raises(GateBreach, match="are not those that the files were made from"):
        verify(folder, console=QUIET)


def test_a_manifest_that_lists_a_file_twice_or_without_its_hash_is_refused(folder):
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    manifest["exports"][1]["files"] = {}
    path.write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(GateBreach, match=f"{manifest['exports'][1]['path']}: the manifest has no hash of it"):
        verify(folder, console=QUIET)
    manifest["exports"][1]["path"] = manifest["exports"][0]["path"]
    path.write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(ModelError, match=r"lists onnx/model\.onnx twice"):
        verify(folder, console=QUIET)


def test_files_that_were_not_run_are_not_counted_as_right(folder, cli, monkeypatch):
    whole = verification.open_file

    def without_openvino(path, *rest):
        if path.suffix == ".xml":
            raise NotInstalled(f"{path}: needs openvino")
        return whole(path, *rest)

    monkeypatch.setattr(verification, "open_file", without_openvino)
    called = cli("verify", folder)
    assert called.code == 0 and "2 files answer as they did" in called.out
    assert called.out.count("not run: ") == 3 and f"to be loaded on this processor: {ONNX['fp32']}" in called.out


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
        "from pocketbert.cli import main\n"
        f"sys.argv = ['pocketbert', 'verify', {str(folder)!r}]\n"
        "main()\n"
    )
    called = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert called.returncode == 0, called.stderr
    assert "answer as they did when they were exported" in called.stdout
