"""Runs of bulk scoring for tests, and how to look at what they made."""

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import zstandard

from exported import exported
from pocketbert.inference import load
from pocketbert.predict import Predicted, predict

WORDS = ["the", "fine", "dull", "lovely", "cold", "cat", "dog", "barn", "near", "horse"]


def texts(count: int) -> list[str]:
    """Different texts of one to twelve words."""
    return [
        " ".join(WORDS[(place * (step + 3) + step) % 10] for step in range(place % 12 + 1)) for place in range(count)
    ]


def run(inputs: Any, output: Path, task: str = "classification", **options: Any) -> Predicted:
    """A run with the file that is the same on every machine."""
    options = {"runtime": "onnxruntime", "precision": "fp32", "threads": 2, **options}
    return predict(exported(task), inputs, output, **options)


def expected(task: str, inputs: list[Any], **options: Any) -> list[Any]:
    """What the pipeline answers to each input by itself."""
    pipeline = load(exported(task), engine="onnxruntime", precision="fp32", **options)
    return [pipeline([each])[0] for each in inputs]


def content(path: Path) -> bytes:
    """Of a file, decompressed by other libraries than the code's."""
    raw = path.read_bytes()
    if path.suffix == ".gz":
        return gzip.decompress(raw)
    if path.suffix == ".zst":
        return zstandard.ZstdDecompressor().stream_reader(io.BytesIO(raw), read_across_frames=True).read()
    return raw


def rows(path: Path) -> list[dict[str, Any]]:
    """The rows of an output."""
    if path.is_dir():
        return [row for part in sorted(path.iterdir()) for row in rows(part)]
    if path.suffix == ".parquet":
        found: list[dict[str, Any]] = pa.parquet.read_table(path).to_pylist()
        return found
    text = content(path).decode()
    if ".jsonl" in path.name:
        return [json.loads(line) for line in text.split("\n") if line]
    if ".tsv" in path.name:
        names, *lines = [line.split("\t") for line in text.split("\n") if line]
        return [dict(zip(names, line, strict=True)) for line in lines]
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


def failed(output: Path) -> list[dict[str, Any]]:
    """The failed rows beside an output."""
    path = output.with_name(output.name + ".failed.jsonl")
    return [json.loads(line) for line in path.read_bytes().split(b"\n") if line] if path.exists() else []


def snapshot(output: Path) -> dict[str, bytes]:
    """The bytes of an output and of its failed rows; nothing else may lie there but the manifest."""
    beside = {path for path in output.parent.iterdir() if output.name in path.name}
    names = {output.name, f"{output.name}.manifest.json", f"{output.name}.failed.jsonl"}
    assert {path.name for path in beside} <= names
    files = [path for place in beside for path in ([place] if place.is_file() else place.iterdir())]
    return {str(path.relative_to(output.parent)): path.read_bytes() for path in files if "manifest" not in path.name}


def write_rows(path: Path, values: list[dict[str, Any]], **options: Any) -> Path:
    """Rows as an input of any format."""
    text = io.StringIO(newline="")
    if path.suffix == ".parquet":
        pa.parquet.write_table(pa.Table.from_pylist(values), path, **options)
        return path
    if ".jsonl" in path.name:
        text.write("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in values))
    elif ".tsv" in path.name:
        text.write("".join("\t".join(map(str, row)) + "\n" for row in [list(values[0]), *(r.values() for r in values)]))
    else:
        writer = csv.DictWriter(text, list(values[0]))
        writer.writeheader()
        writer.writerows(values)
    raw = text.getvalue().encode()
    if path.suffix == ".gz":
        raw = gzip.compress(raw)
    path.write_bytes(zstandard.compress(raw) if path.suffix == ".zst" else raw)
    return path
