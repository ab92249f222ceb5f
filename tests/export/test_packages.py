import json

import pytest

from pocketbert.errors import PocketBertError
from pocketbert.export.packages import find_runtime

LIBRARY = "@huggingface/transformers"
NAMES = {
    "transformers.web.min.js",
    "ort.wasm.bundle.min.mjs",
    "ort-wasm-simd-threaded.wasm",
    "transformers-LICENSE.txt",
}


def write_package(folder, name, version, files):
    package = folder / name
    (package / "dist").mkdir(parents=True)
    (package / "package.json").write_text(json.dumps({"name": name, "version": version}))
    for file in files:
        (package / file).write_text(file)
    return package


def write_library(folder, version="4.3.1"):
    return write_package(folder, LIBRARY, version, ["LICENSE", "dist/transformers.web.min.js"])


def write_sessions(folder, version="1.31.0"):
    files = ["dist/ort.wasm.bundle.min.mjs", "dist/ort-wasm-simd-threaded.wasm"]
    return write_package(folder, "onnxruntime-web", version, files)


def test_both_packages_side_by_side(tmp_path):
    write_library(tmp_path / "node_modules")
    sessions = write_sessions(tmp_path / "node_modules")
    runtime = find_runtime(tmp_path / "node_modules")
    assert set(runtime.files) == NAMES and all(path.is_file() for path in runtime.files.values())
    assert runtime.files["ort-wasm-simd-threaded.wasm"].parent.parent == sessions
    assert runtime.versions == {"transformers.js": "4.3.1", "onnxruntime-web": "1.31.0"}


def test_the_runtime_inside_the_library_wins(tmp_path):
    modules = tmp_path / "node_modules"
    library = write_library(modules)
    write_sessions(modules, "1.20.0")
    write_sessions(library / "node_modules", "1.31.0")
    assert find_runtime(modules).versions["onnxruntime-web"] == "1.31.0"


def test_the_links_of_pnpm_are_followed(tmp_path):
    store = tmp_path / "node_modules" / ".pnpm" / "transformers@4.3.1" / "node_modules"
    library = write_library(store)
    write_sessions(store)
    link = tmp_path / "node_modules" / LIBRARY
    link.parent.mkdir()
    link.symlink_to(library, target_is_directory=True)
    assert find_runtime(tmp_path / "node_modules").versions["onnxruntime-web"] == "1.31.0"


def test_no_packages(tmp_path):
    with pytest.raises(PocketBertError, match=r"no npm package .*run `npm install --ignore-scripts @huggingface/trans"):
        find_runtime(tmp_path)


def test_an_old_library(tmp_path):
    write_library(tmp_path, "3.8.0")
    with pytest.raises(PocketBertError, match=r"version 3\.8\.0, but 4\.0 or newer"):
        find_runtime(tmp_path)


def test_a_library_without_its_runtime(tmp_path):
    write_library(tmp_path)
    with pytest.raises(PocketBertError, match="its package onnxruntime-web is missing"):
        find_runtime(tmp_path)


def test_a_missing_file(tmp_path):
    write_library(tmp_path)
    (write_sessions(tmp_path) / "dist" / "ort-wasm-simd-threaded.wasm").unlink()
    with pytest.raises(PocketBertError, match=r"ort-wasm-simd-threaded\.wasm: not in the package"):
        find_runtime(tmp_path)


def test_a_damaged_package(tmp_path):
    (write_library(tmp_path) / "package.json").write_text("{}")
    with pytest.raises(PocketBertError, match=r"package\.json: damaged"):
        find_runtime(tmp_path)
