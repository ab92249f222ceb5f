"""Plain text to documents."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketbert.data import documents
from pocketbert.data.documents import cut, read_documents, read_lines
from pocketbert.data.lines import RowPolicy
from pocketbert.errors import DataError

WORD = st.text(st.characters(categories=("L", "N")), min_size=1, max_size=12)
DOCUMENTS = st.lists(st.lists(st.lists(WORD, min_size=1, max_size=5), min_size=1, max_size=4), min_size=1, max_size=5)


@settings(deadline=None)
@given(DOCUMENTS, st.sampled_from(["\n\n", "\n \t\n", "\r\n\r\n", "\n\n\n\n"]))
def test_blank_lines_separate_documents_and_lines_are_joined(tmp_path_factory, tree, separator):
    path = tmp_path_factory.mktemp("text") / "a.txt"
    path.write_bytes(separator.join("\n".join(" ".join(line) for line in lines) for lines in tree).encode())
    expected = [" ".join(" ".join(line) for line in lines) for lines in tree]
    assert list(read_documents(path)) == expected


def test_lines_longer_than_a_piece_stay_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(documents, "CHUNK", 7)
    path = tmp_path / "a.txt"
    path.write_text("  one extraordinary line\nand a second\n\n\nnew document 🙂🙂🙂\n")
    assert list(read_documents(path)) == ["one extraordinary line and a second", "new document 🙂🙂🙂"]


def test_long_documents_are_cut_at_white_space(tmp_path):
    words = [f"word{number}" for number in range(60_000)]
    for name, joint in (("one-line.txt", " "), ("lines.txt", "\n")):
        (tmp_path / name).write_text(joint.join(words))
        parts = list(read_documents(tmp_path / name))
        assert " ".join(parts).split() == words
        assert all(len(part) <= 100_000 for part in parts)
        assert all(len(part) > 99_900 for part in parts[:-1])


@settings(deadline=None)
@given(st.text("ab \n", max_size=60), st.integers(1, 10))
def test_cut_loses_nothing(text, longest):
    pieces = cut(text, longest)
    assert "".join(pieces) == text
    assert all(len(piece) <= longest for piece in pieces)


def test_cut_leaves_words_whole_where_they_fit():
    assert cut("aaa bbb ccc", 7) == ["aaa bbb", " ccc"]
    assert cut("aaaaaaaaa b", 4) == ["aaaa", "aaaa", "a b"]


def test_broken_text_is_located(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"fine\n\nnot fine: \xff\n")
    with pytest.raises(DataError, match=r"a\.txt: byte 16 of the file is not UTF-8"):
        list(read_documents(path))


def test_lines_as_rows(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"one \n\n b\xff\nthree")
    policy = RowPolicy("skip")
    assert [(r.values["text"], r.where) for r in read_lines(path, policy)] == [
        ("one", f"{path} row 1"),
        ("three", f"{path} row 3"),
    ]
    assert policy.skipped.reasons == [f"{path} row 2: byte 8 of the file is not UTF-8 text"]
