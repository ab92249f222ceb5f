"""Files that are whole or not there, and their hashes."""

import hashlib

import pytest

from pocketbert.files import hash_file, hash_text, write_atomically


def test_a_file_is_written_with_its_folders(tmp_path):
    path = tmp_path / "a" / "b.txt"
    write_atomically(path, "é\n")
    assert path.read_bytes() == "é\n".encode()
    assert [file.name for file in path.parent.iterdir()] == ["b.txt"]


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    write_atomically(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(path, "new \ud800")
    assert path.read_text() == "old"


def test_hashes_are_sha256(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"abc" * 100_000)
    assert hash_file(path) == hashlib.sha256(b"abc" * 100_000).hexdigest()
    assert hash_text("abc") == hashlib.sha256(b"abc").hexdigest()


def test_parts_are_set_off_from_each_other():
    assert len({hash_text("ab", "c"), hash_text("a", "bc"), hash_text("abc"), hash_text("abc", "")}) == 4
