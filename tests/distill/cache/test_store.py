"""Records come back as they were, and a killed append never happened."""

import numpy as np
import pytest

from pocketbert.distill.cache import store
from pocketbert.distill.cache.store import Reader, Writer, write_index

KINDS = {"logits": np.dtype([("id", "<u2"), ("value", "<f4")]), "layer1": np.dtype(("<f2", (3,)))}


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr(store, "SHARD_ENTRIES", 4)


@pytest.fixture
def folder(tmp_path):
    write_index(tmp_path, {"entries": 0})
    return tmp_path


def entries(first, last):
    """Entry n has n % 3 records of one kind and 2 of the other, all telling whose they are."""
    numbers = np.arange(first, last)
    counts = {"logits": numbers % 3, "layer1": np.full(len(numbers), 2)}
    of_logits = np.repeat(numbers, counts["logits"])
    records = {
        "logits": np.array([(number, number / 2) for number in of_logits], dtype=KINDS["logits"]),
        "layer1": np.repeat(numbers.astype(np.float16), 2)[:, None] * np.ones(3, dtype=np.float16),
    }
    return numbers + 100, counts, records


def check(folder, count):
    reader = Reader(folder, KINDS)
    assert len(reader) == count and reader.numbers.tolist() == list(range(100, 100 + count))
    for entry in range(count):
        assert reader.read(entry, "logits")["id"].tolist() == [entry] * (entry % 3)
        assert reader.read(entry, "layer1").tolist() == [[entry] * 3] * 2


def test_an_empty_store_can_be_read(folder):
    check(folder, 0)


@pytest.mark.parametrize("cuts", [(1, 2, 3, 11), (4, 8, 11), (11,), (3, 9, 11)])
def test_entries_come_back_however_they_were_appended(folder, cuts):
    writer = Writer(folder, KINDS)
    for first, last in zip((0, *cuts), cuts, strict=False):
        writer.append(*entries(first, last))
    writer.flush()
    check(folder, 11)


@pytest.mark.parametrize("flushed", [0, 2, 4, 5, 8])
def test_what_was_not_flushed_is_cut_off(folder, flushed):
    writer = Writer(folder, KINDS)
    if flushed:
        writer.append(*entries(0, flushed))
        writer.flush()
    writer.append(*entries(50, 59))
    check(folder, flushed)

    again = Writer(folder, KINDS)
    again.append(*entries(flushed, 11))
    again.flush()
    check(folder, 11)


def test_half_a_record_is_cut_off(folder):
    writer = Writer(folder, KINDS)
    writer.append(*entries(0, 3))
    writer.flush()
    for path in folder.glob("*.bin"):
        with path.open("ab") as file:
            file.write(b"x")
    writer = Writer(folder, KINDS)
    writer.append(*entries(3, 6))
    writer.flush()
    check(folder, 6)


def test_a_reader_sees_what_counted_when_it_was_opened(folder):
    writer = Writer(folder, KINDS)
    writer.append(*entries(0, 3))
    writer.flush()
    reader = Reader(folder, KINDS)
    writer.append(*entries(3, 6))
    writer.flush()
    assert len(reader) == 3 and reader.read(2, "layer1").tolist() == [[2] * 3] * 2
