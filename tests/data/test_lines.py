"""Opening, decompressing and decoding files."""

import gzip
import io
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketbert.data.lines import Lines, open_bytes, suffix_of
from pocketbert.errors import DataError

CONTENT = "première ligne\nsecond line 🙂\n".encode() * 5000


def read_all(path):
    with open_bytes(path) as stream:
        return stream.read()


def test_compressed_files_give_the_same_bytes(tmp_path):
    (tmp_path / "a.txt").write_bytes(CONTENT)
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(CONTENT))
    (tmp_path / "a.txt.zst").write_bytes(zstandard.compress(CONTENT))
    for name in ("a.txt", "a.txt.gz", "a.txt.zst"):
        assert read_all(tmp_path / name) == CONTENT


def test_all_frames_of_a_compressed_file_are_read(tmp_path):
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"one\n") + gzip.compress(b"two\n"))
    (tmp_path / "a.zst").write_bytes(b"".join(map(zstandard.compress, (b"one\n", b"", b"two\n"))))
    assert read_all(tmp_path / "a.gz") == read_all(tmp_path / "a.zst") == b"one\ntwo\n"


@pytest.mark.parametrize("name", ["a.gz", "a.zst"])
def test_damaged_compression_is_named(tmp_path, name):
    whole = gzip.compress(CONTENT) if name.endswith("gz") else zstandard.compress(CONTENT)
    path = tmp_path / name
    for damaged in (whole[:-5], whole[:40], b"no archive at all", whole + b"garbage behind"):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=rf"{name}: the compressed file is damaged"):
            read_all(path)


def test_empty_and_missing_files_are_named(tmp_path):
    (tmp_path / "empty.csv").touch()
    with pytest.raises(DataError, match=r"empty\.csv: the file is empty"):
        read_all(tmp_path / "empty.csv")
    with pytest.raises(DataError, match=r"gone\.csv: cannot be read \(No such file"):
        read_all(tmp_path / "gone.csv")


def test_suffix_ignores_compression():
    assert suffix_of(Path("a/b.CSV.gz")) == ".csv"
    assert suffix_of(Path("b.x.jsonl.zst")) == ".jsonl"
    assert suffix_of(Path("b.tsv")) == ".tsv"


def test_byte_order_mark_is_dropped_at_the_beginning_only():
    assert list(Lines(io.BytesIO(b"\xef\xbb\xbfa\n\xef\xbb\xbfb"))) == ["a\n", "\ufeffb"]


def test_broken_bytes_are_located():
    lines = Lines(io.BytesIO(b"\xef\xbb\xbfok\nab\xffcd\xfe\nok\n"))
    assert next(lines) == "ok\n"
    assert lines.take_broken() is None
    next(lines)
    assert lines.take_broken() == 8  # mark 3, first line 3, two letters
    assert next(lines) == "ok\n"
    assert lines.take_broken() is None


def test_only_line_feeds_end_lines():
    text = "a\u2028b\x85c\x0cd\n"
    assert list(Lines(io.BytesIO(text.encode()))) == [text]


@settings(deadline=None)
@given(st.text(), st.integers(min_value=4, max_value=12))
def test_pieces_never_cut_a_character(text, limit):
    lines = Lines(io.BytesIO(b"#" + text.encode()), limit)
    assert "".join(lines) == "#" + text
    assert lines.take_broken() is None


def test_a_character_that_ends_too_early_is_broken_in_pieces_too():
    lines = Lines(io.BytesIO("abcé".encode()[:-1]), 4)
    list(lines)
    assert lines.take_broken() == 3
