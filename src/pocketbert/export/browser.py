"""The browser folder: a student that answers in a web page, in the layout of transformers.js, with no other host."""

import base64
import hashlib
import json
import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from numpy.typing import NDArray
from tokenizers import Tokenizer

from pocketbert.errors import ModelError, PocketBertError
from pocketbert.export.packages import LIBRARY, SESSIONS, Runtime, find_runtime
from pocketbert.files import hash_file, hash_text, write_atomically
from pocketbert.recipe import Limits, Precision

PAGE_SOURCE = Path(__file__).parent / "page"
SHARED_SOURCE = Path(__file__).parents[1] / "serve" / "page"
"""Where the server's page lies, which shows answers in the same way."""

SHARED = ("page.css", "views.js", "icon.svg")
NOT_VISITED = ("check.js", "embedded.js")
"""Modules that an ordinary visit does not fetch."""

ASSETS = ("page.js", "student.js", "tasks.js", "text.js", *NOT_VISITED, *SHARED)
MODEL_FILES = ("config.json", "tokenizer.json", "tokenizer_config.json")

NAMES: dict[Precision, tuple[str, str]] = {
    "int8": ("model_quantized.onnx", "q8"),
    "fp16": ("model_fp16.onnx", "fp16"),
    "fp32": ("model.onnx", "fp32"),
}
"""What transformers.js calls the file of a precision, and the precision; smallest first: the page starts with that."""

LABELLED = ("classification", "multi_label", "token_classification")
"""Tasks whose answers are names."""

MOST_VALUES = 4096
"""Logits of a golden text that are kept: those of a masked language model would be a hundred thousand."""

EXAMPLES = 4
LONGEST_EXAMPLE = 300
"""Characters of a golden text that the page still offers as an example."""


@dataclass(frozen=True, slots=True)
class BrowserPage:
    """What the page has to know about the model.

    Attributes:
        name: its title.
        task: what it answers.
        labels: in the order of the logits; None for a task without.
        max_length: tokens of a text, special tokens included.
        pair: whether it reads two texts.
        unanswerable: whether a question may have no answer.
    """

    name: str
    task: str
    labels: Sequence[str] | None
    max_length: int
    pair: bool = False
    unanswerable: bool = False


@dataclass(frozen=True, slots=True)
class Golden:
    """A text and what the model answers to it in Python; the page checks itself with it.

    Attributes:
        text: the text, the words of a text for token classification, or the question.
        pair: the second text, the context, or None.
        input_ids: the tokens that Python made of it.
        outputs: the model's outputs by the names that the ONNX files have, for this text alone.
    """

    text: str | list[str]
    pair: str | None
    input_ids: Sequence[int]
    outputs: Mapping[str, NDArray[np.float32]]


def write_browser(
    folder: Path,
    model_dir: Path,
    files: Mapping[Precision, Path],
    packages: Path,
    page: BrowserPage,
    golden: Sequence[Golden],
    limits: Limits | None = None,
) -> dict[Precision, int]:
    """Write a folder that any web server can serve: the page, the runtime, the model in each precision.

    Args:
        folder: where to; must not exist, or be empty.
        model_dir: has ``config.json``, ``tokenizer.json`` and ``tokenizer_config.json``.
        files: ONNX files by precision, each whole in one file; inputs ``input_ids``, ``attention_mask`` and where
            the model has them ``token_type_ids``; outputs ``logits``, or ``start_logits`` and ``end_logits``, or
            ``sentence_embedding``.
        packages: a folder ``node_modules`` with the npm package of transformers.js.
        page: what the page has to know.
        golden: texts to check with; the short ones among them serve as examples.
        limits: how far logits may be from Python's, as shares of the largest of them.

    Returns:
        Bytes that a browser fetches before it can answer, by precision.

    Raises:
        PocketBertError: the folder is not empty, or the packages are incomplete.
        ModelError: a file or the label names of the model are missing, or no browser runs a precision.
    """
    runtime = find_runtime(packages)
    _check_inputs(folder, model_dir, files, page)
    building = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(building, ignore_errors=True)
    _copy(building, model_dir, files, runtime)
    _write_page(building, page)
    info = _describe(building, page, runtime, files, golden, limits or Limits())
    write_atomically(building / "pocketbert.json", _as_json(info))
    write_atomically(building / "golden.json", _as_json([_golden_fields(one) for one in golden]))
    _write_offline(building)
    if folder.exists():
        folder.rmdir()
    building.replace(folder)
    return {precision: fields["download"] for precision, fields in info["precisions"].items()}


def _check_inputs(folder: Path, model_dir: Path, files: Mapping[Precision, Path], page: BrowserPage) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise PocketBertError(f"{folder}: is not empty; name another folder or delete it")
    if odd := [precision for precision in files if precision not in NAMES]:
        raise ModelError(f"{files[odd[0]]}: browsers do not run {odd[0]}; export {', '.join(NAMES)}")
    if not files:
        raise ModelError(f"{folder}: no ONNX file to put into it; export at least one of {', '.join(NAMES)}")
    needed = [*files.values(), *(model_dir / name for name in MODEL_FILES)]
    if missing := [path for path in needed if not path.is_file()]:
        raise ModelError(f"{missing[0]}: no such file, but a browser needs it")
    if page.task in LABELLED and not page.labels:
        raise ModelError(f"{model_dir}: has no label names (id2label in config.json), but {page.task} shows them")


def _copy(folder: Path, model_dir: Path, files: Mapping[Precision, Path], runtime: Runtime) -> None:
    """Copy what is made elsewhere: the model's files and the runtime's."""
    for name in ("onnx", "runtime"):
        (folder / name).mkdir(parents=True)
    for name in MODEL_FILES:
        shutil.copyfile(model_dir / name, folder / name)
    if "int8" not in files:
        # Left to itself, transformers.js asks for int8 on a CPU.
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        config["transformers.js_config"] = {"dtype": NAMES[_ordered(files)[0]][1]}
        write_atomically(folder / "config.json", json.dumps(config, indent=2))
    for precision, source in files.items():
        shutil.copyfile(source, folder / "onnx" / NAMES[precision][0])
    for name, source in runtime.files.items():
        shutil.copyfile(source, folder / "runtime" / name)


def _ordered(files: Mapping[Precision, Path]) -> list[Precision]:
    return [precision for precision in NAMES if precision in files]


def _write_page(folder: Path, page: BrowserPage) -> None:
    for name in ASSETS:
        shutil.copyfile((SHARED_SOURCE if name in SHARED else PAGE_SOURCE) / name, folder / name)
    sessions = f"./runtime/{SESSIONS}"
    import_map = json.dumps(
        {
            "imports": {
                "@huggingface/transformers": f"./runtime/{LIBRARY}",
                "onnxruntime-web/webgpu": sessions,
                "onnxruntime-common": sessions,
            }
        }
    )
    # The page's security policy allows this one script beside those of the folder.
    digest = base64.b64encode(hashlib.sha256(import_map.encode()).digest()).decode()
    environment = Environment(loader=FileSystemLoader(PAGE_SOURCE), autoescape=True, undefined=StrictUndefined)
    fields = {"name": page.name, "import_map": import_map, "import_map_hash": digest}
    write_atomically(folder / "index.html", environment.get_template("index.html").render(fields))
    icon = {"src": "icon.svg", "type": "image/svg+xml", "sizes": "any"}
    manifest = {"name": page.name, "start_url": "./", "display": "standalone", "icons": [icon]}
    write_atomically(folder / "page.webmanifest", _as_json(manifest))


def _describe(
    folder: Path,
    page: BrowserPage,
    runtime: Runtime,
    files: Mapping[Precision, Path],
    golden: Sequence[Golden],
    limits: Limits,
) -> dict[str, Any]:
    """What the page reads: about the model, the special tokens, and the bytes of everything."""
    downloads = _count_downloads(folder)
    share: dict[Precision, float] = {"fp32": limits.fp32, "fp16": limits.half, "int8": limits.int8}
    precisions = {}
    for precision in _ordered(files):
        name, dtype = NAMES[precision]
        size = (folder / "onnx" / name).stat().st_size
        precisions[precision] = {
            "file": f"onnx/{name}",
            "dtype": dtype,
            "bytes": size,
            "download": size + sum(downloads.values()),
            "limit": share[precision],
        }
    return {
        "name": page.name,
        "task": page.task,
        "labels": None if page.labels is None else list(page.labels),
        "max_length": page.max_length,
        "pair": page.pair,
        "unanswerable": page.unanswerable,
        **_describe_tokenizer(folder / "tokenizer.json"),
        "precisions": precisions,
        "downloads": downloads,
        "runtime": runtime.versions,
        "examples": _choose_examples(golden, page.task),
    }


def _count_downloads(folder: Path) -> dict[str, int]:
    """Bytes that every visit needs, whatever the precision."""

    def count(names: Sequence[str]) -> int:
        return sum((folder / name).stat().st_size for name in names)

    return {
        "runtime": count([f"runtime/{path.name}" for path in (folder / "runtime").iterdir() if path.suffix != ".txt"]),
        "tokenizer": count(["tokenizer.json", "tokenizer_config.json"]),
        "page": count(
            [name for name in ASSETS if name not in NOT_VISITED] + ["index.html", "page.webmanifest", "config.json"]
        ),
    }


def _describe_tokenizer(path: Path) -> dict[str, Any]:
    """The kind of tokenizer, and where it puts special tokens around one text and around two."""
    kind = json.loads(path.read_text(encoding="utf-8"))["model"]["type"]
    tokenizer = Tokenizer.from_file(str(path))
    return {"tokenizer": kind, "template": [_template(tokenizer, None), _template(tokenizer, "b")]}


def _template(tokenizer: Tokenizer, pair: str | None) -> list[dict[str, int]]:
    encoding = tokenizer.encode("a", pair)
    parts: list[dict[str, int]] = []
    for number, kind, sequence in zip(encoding.ids, encoding.type_ids, encoding.sequence_ids, strict=True):
        if sequence is None:
            parts.append({"id": number, "type": kind})
        elif not parts or parts[-1].get("sequence") != sequence:
            parts.append({"sequence": sequence, "type": kind})
    return parts


def _choose_examples(golden: Sequence[Golden], task: str) -> list[list[str]]:
    """The first short golden texts, for people to start from."""
    texts = []
    for one in golden:
        text = " ".join(one.text) if isinstance(one.text, list) else one.text
        values = [text] if one.pair is None else [text, one.pair]
        if all(value.strip() for value in values) and sum(map(len, values)) <= LONGEST_EXAMPLE and values not in texts:
            texts.append(values)
    if task == "embedding":
        # The model reads one text, but the page compares two.
        texts = [[*first, *second] for first, second in pairwise(texts)]
    return texts[:EXAMPLES]


def _golden_fields(golden: Golden) -> dict[str, Any]:
    return {
        "text": golden.text,
        "pair": golden.pair,
        "input_ids": [int(number) for number in golden.input_ids],
        "outputs": {name: _thin(values) for name, values in golden.outputs.items()},
    }


def _thin(values: NDArray[np.float32]) -> dict[str, Any]:
    """Every so many of the values: so many that all columns of the last axis come up in turn."""
    every = -(-values.size // MOST_VALUES)
    while math.gcd(every, values.shape[-1]) > 1:
        every += 1
    # Nine digits are enough to give every fp32 number back.
    return {"every": every, "size": values.size, "values": [float(f"{value:.9g}") for value in values.ravel()[::every]]}


def _write_offline(folder: Path) -> None:
    """Write the worker that keeps the files; its text changes with any of them, which is how browsers see a new one."""
    paths = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    version = hash_text(*(f"{path} {hash_file(folder / path)}" for path in paths))[:16]
    small = [*ASSETS, "index.html", "page.webmanifest", "pocketbert.json"]
    constants = {"VERSION": version, "FILES": paths, "SMALL": small}
    head = "".join(f"const {name} = {json.dumps(value)};\n" for name, value in constants.items())
    write_atomically(folder / "offline.js", head + (PAGE_SOURCE / "offline.js").read_text(encoding="utf-8"))


def _as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
