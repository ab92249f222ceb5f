import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from itertools import chain
from pathlib import Path

import browser_folders
import numpy as np
import pytest
from browser_folders import MAX_LENGTH, TEXTS, write_folder
from test_packages import write_library, write_sessions

import tiny
from pocketbert.errors import ModelError, PocketBertError
from pocketbert.export.browser import PAGE_SOURCE, SHARED, SHARED_SOURCE, BrowserPage, Golden
from pocketbert.recipe import Limits


@pytest.fixture
def packages(tmp_path):
    write_library(tmp_path / "node_modules")
    write_sessions(tmp_path / "node_modules")
    return tmp_path / "node_modules"


def read(folder: Path, name: str = "pocketbert.json"):
    return json.loads((folder / name).read_text(encoding="utf-8"))


def test_the_folder_has_the_layout_of_transformers_js(tmp_path, packages):
    folder = write_folder(tmp_path / "out", "classification", packages)
    paths = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {"config.json", "tokenizer.json", "tokenizer_config.json", "index.html", "offline.js"} <= paths
    assert {path for path in paths if path.startswith("onnx/")} == {
        "onnx/model.onnx",
        "onnx/model_fp16.onnx",
        "onnx/model_quantized.onnx",
    }
    for precision, name in {"fp32": "model", "fp16": "model_fp16", "int8": "model_quantized"}.items():
        written = (folder / "onnx" / f"{name}.onnx").read_bytes()
        assert written == (tmp_path / "out-model" / f"{precision}.onnx").read_bytes()


def test_the_bytes_of_a_download_are_those_of_its_files(tmp_path, packages):
    folder = write_folder(tmp_path / "out", "classification", packages)
    not_visited = {"golden.json", "check.js", "embedded.js", "runtime/transformers-LICENSE.txt"}
    not_counted = not_visited | {"offline.js", "pocketbert.json"}
    sizes = {path.relative_to(folder).as_posix(): path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    always = sum(size for name, size in sizes.items() if name not in not_counted and not name.startswith("onnx/"))
    for fields in read(folder)["precisions"].values():
        assert fields["bytes"] == sizes[fields["file"]]
        assert fields["download"] == always + fields["bytes"]


def test_limits_are_those_of_the_recipe(tmp_path, packages):
    folder = write_folder(tmp_path / "out", "classification", packages, limits=Limits(fp32=0.5, half=0.25, int8=0.125))
    assert {name: fields["limit"] for name, fields in read(folder)["precisions"].items()} == {
        "fp32": 0.5,
        "fp16": 0.25,
        "int8": 0.125,
    }


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_the_template_puts_special_tokens_where_the_tokenizer_does(tmp_path, packages, family, monkeypatch):
    monkeypatch.setitem(browser_folders.FAMILIES, "classification", family)
    folder = write_folder(tmp_path / "out", "classification", packages)
    tokenizer = tiny.make_tokenizer(family)
    single, pair = read(folder)["template"]
    parts = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in ("the cat saw", "a dog")]
    for template, texts in ((single, ["the cat saw"]), (pair, ["the cat saw", "a dog"])):
        whole = tokenizer(*texts, return_token_type_ids=True)
        filled = [[part["id"]] if "id" in part else parts[part["sequence"]] for part in template]
        assert list(chain(*filled)) == whole["input_ids"]
        types = [[part["type"]] * len(ids) for part, ids in zip(template, filled, strict=True)]
        assert list(chain(*types)) == whole["token_type_ids"]


def test_without_int8_transformers_js_is_told_what_there_is(tmp_path, packages):
    folder = write_folder(tmp_path / "out", "classification", packages)
    assert "transformers.js_config" not in read(folder, "config.json")
    only = {"fp32": tmp_path / "out-model" / "fp32.onnx"}
    other = write_folder(tmp_path / "other", "classification", packages, files=only)
    assert read(other, "config.json")["transformers.js_config"] == {"dtype": "fp32"}
    assert list(read(other)["precisions"]) == ["fp32"]


def test_golden_logits_keep_every_digit_and_every_column(tmp_path, packages):
    values = np.random.default_rng(0).normal(size=(1, 30, 720)).astype(np.float32)
    golden = [Golden(["x"], None, [1], {"logits": values})]
    folder = write_folder(tmp_path / "out", "token_classification", packages, golden=golden)
    [fields] = read(folder, "golden.json")
    kept = fields["outputs"]["logits"]
    places = np.arange(0, values.size, kept["every"])
    assert kept["size"] == values.size and len(kept["values"]) < 4096
    assert np.array_equal(np.float32(kept["values"]), values.ravel()[places])
    assert len(set(places % 720)) == 720


def test_another_model_makes_another_worker(tmp_path, packages):
    versions = set()
    for name, texts in (("one", TEXTS), ("again", TEXTS), ("two", TEXTS[:3])):
        golden = [Golden(text, None, [1], {"logits": np.zeros((1, 3), np.float32)}) for text in texts]
        folder = write_folder(tmp_path / name, "classification", packages, golden=golden)
        versions.add(re.search(r'VERSION = "(\w+)"', (folder / "offline.js").read_text())[1])
    assert len(versions) == 2


class References(HTMLParser):
    """The files and the inline script of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.files: list[str] = []
        self.policy = self.inline = ""
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        fields = dict(attributes)
        self.files += [fields[name] for name in ("href", "src") if name in fields]
        if fields.get("http-equiv") == "Content-Security-Policy":
            self.policy = fields["content"]

    def handle_data(self, data):
        if self.lasttag == "script" and data.strip():
            self.inline = data


def test_the_page_refers_to_files_of_the_folder_alone(tmp_path, packages):
    folder = write_folder(tmp_path / "out", "classification", packages)
    page = References((folder / "index.html").read_text())
    imports = set(json.loads(page.inline)["imports"].values())
    sources = [*PAGE_SOURCE.iterdir(), *(SHARED_SOURCE / name for name in SHARED)]
    for script in (path for path in sources if path.suffix == ".js"):
        imports |= set(re.findall(r'(?:from|import\() ?"(\./[^"]+)"', script.read_text()))
        imports |= set(re.findall(r'(?:fetch|register|URL)\("([^"]+)"', script.read_text()))
    assert len(imports) > 8
    assert [name for name in [*page.files, *imports] if not (folder / name).is_file()] == []
    digest = base64.b64encode(hashlib.sha256(page.inline.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in page.policy and "default-src 'none'" in page.policy
    outside = [line for file in sources for line in re.findall(r"https?://\S+", file.read_text())]
    assert all("www.w3.org/2000/svg" in url or "localhost:8000" in url for url in outside)


def test_a_name_is_no_markup(tmp_path, packages):
    page = BrowserPage("<b>&", "classification", ["a", "b"], MAX_LENGTH)
    folder = write_folder(tmp_path / "out", "classification", packages, page=page)
    assert "<h1>&lt;b&gt;&amp;</h1>" in (folder / "index.html").read_text()


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        (
            {"packages": Path("nowhere")},
            PocketBertError,
            r"nowhere: no npm package @huggingface/transformers there; run",
        ),
        ({"files": {}}, ModelError, "no ONNX file to put into it; export at least one of int8, fp16, fp32"),
        (
            {"files": {"bf16": Path("x.onnx")}},
            ModelError,
            r"x\.onnx: browsers do not run bf16; export int8, fp16, fp32",
        ),
        ({"files": {"fp32": Path("gone.onnx")}}, ModelError, r"gone\.onnx: no such file, but a browser needs it"),
        (
            {"page": BrowserPage("x", "multi_label", None, 8)},
            ModelError,
            r"has no label names .* but multi_label shows",
        ),
        ({"model_dir": Path("gone")}, ModelError, r"gone/config\.json: no such file, but a browser needs it"),
    ],
)
def test_what_cannot_be_written_leaves_nothing_behind(tmp_path, packages, changes, kind, message):
    with pytest.raises(kind, match=message):
        write_folder(tmp_path / "out", "classification", **({"packages": packages} | changes))
    assert not (tmp_path / "out").exists() and not list(tmp_path.glob(".*"))


def test_a_folder_with_something_in_it_is_left_alone(tmp_path, packages):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(PocketBertError, match="out: is not empty; name another folder or delete it"):
        write_folder(tmp_path / "out", "classification", packages)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]


def test_a_killed_export_does_not_stand_in_the_way(tmp_path, packages):
    (tmp_path / ".out.part" / "onnx").mkdir(parents=True)
    folder = write_folder(tmp_path / "out", "classification", packages)
    assert (folder / "index.html").is_file() and not (tmp_path / ".out.part").exists()
