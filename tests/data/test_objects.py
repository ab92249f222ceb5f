"""JSON lines and JSON."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketbert.data.lines import RowPolicy
from pocketbert.data.objects import load_json, read_jsonl, read_objects
from pocketbert.errors import DataError

TEXT = st.text(st.characters(exclude_categories=("Cs",)))
SCALAR = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT
OBJECTS = st.lists(st.dictionaries(TEXT, SCALAR | st.lists(SCALAR), max_size=4), max_size=6)


@settings(deadline=None)
@given(OBJECTS, st.booleans())
def test_jsonl_round_trip(tmp_path_factory, rows, ascii_only):
    path = tmp_path_factory.mktemp("jsonl") / "a.jsonl"
    path.write_bytes("".join(json.dumps(row, ensure_ascii=ascii_only) + "\n" for row in rows).encode() or b"\n")
    assert [record.values for record in read_jsonl(path, RowPolicy())] == rows


BAD_LINES = {
    "cut off": (b'{"text": "b', "not valid JSON at column 12"),
    "no object": (b'["b"]', "a JSON object is expected, not list"),
    "not UTF-8": (b'{"text": "\xff"}', "byte 24 of the file is not UTF-8"),
    "half a character": (b'{"text": "\\ud83d"}', "half of a character"),
    "bottomless": (b'{"text": ' + b"[" * 100_000, ""),
}


@pytest.mark.parametrize("case", BAD_LINES)
def test_bad_lines_fail_or_are_skipped(tmp_path, case):
    line, message = BAD_LINES[case]
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "a"}\n' + line + b'\n\n{"text": "c"}\n')
    with pytest.raises(DataError, match=rf"a\.jsonl row 2: .*{message}.*set on_error: skip"):
        list(read_jsonl(path, RowPolicy()))
    policy = RowPolicy("skip")
    records = list(read_jsonl(path, policy))
    assert [record.values["text"] for record in records] == ["a", "c"]
    assert records[1].where == f"{path} row 3"
    assert policy.skipped.count == 1


def test_escaped_pairs_are_whole_characters(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "\\ud83d\\ude42"}')
    assert next(read_jsonl(path, RowPolicy())).values == {"text": "🙂"}


def test_json_list_is_read_with_its_mark(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b'\xef\xbb\xbf[{"text": "a"}, 5, {"text": "c"}]')
    rows = load_json(path)
    with pytest.raises(DataError, match=r"a\.json row 2: a JSON object is expected, not int"):
        list(read_objects(path, rows, RowPolicy()))
    policy = RowPolicy("skip")
    assert [record.where for record in read_objects(path, rows, policy)] == [f"{path} row 1", f"{path} row 3"]
    assert policy.skipped.count == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'[{"text": "a"},', r"not valid JSON at line 1 column 16"),
        (b'{"text": "a"}\n{"text": "b"}\n', r"line 2 column 1: Extra data; if it holds JSON lines, name it \.jsonl"),
        (b'[{"text": "\xff"}]', r"byte 11 of the file is not UTF-8"),
        (b'[{"text": "\\udc00"}]', "half of a character"),
    ],
)
def test_bad_json_files_are_named(tmp_path, content, message):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"a\.json: .*{message}"):
        load_json(path)


def test_an_object_is_no_list_of_rows(tmp_path):
    with pytest.raises(DataError, match="a list of objects is expected"):
        list(read_objects(tmp_path / "a.json", {"train": []}, RowPolicy()))
