"""Pairs made of plain text."""

from itertools import islice
from pathlib import Path
from statistics import fmean, pstdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pocketbert.data.altered import CHUNK, LONGEST, MOST, SHORTEST, altered_pairs
from pocketbert.data.sources import fingerprint, read_records, read_texts, resolve
from pocketbert.errors import DataError


def documents(count: int) -> list[str]:
    """Documents of three sentences each, no word of which occurs in another sentence."""
    return [" ".join(" ".join(f"w{n}.{s}.{w}x" for w in range(10)) + "." for s in range(3)) for n in range(count)]


def rows(texts):
    return [record.values for record in altered_pairs(texts, "somewhere")]


def test_the_label_is_the_share_of_the_words_that_is_left():
    for row in rows(documents(200)):
        first, second = row["text"].split(), row["pair"].split()
        # One of the two is whole; what is left is what both have.
        left = max(len(set(first) & set(second)) / len(text) for text in (first, second) if len(text) == 10)
        assert row["label"] == pytest.approx(MOST * left, abs=1e-3)


def test_labels_span_the_whole_range_and_either_text_may_be_the_copy():
    found = rows(documents(400))
    labels = [row["label"] for row in found]
    assert min(labels) == 0
    assert max(labels) == MOST
    assert fmean(labels) == pytest.approx(MOST * 0.5 * 0.85, abs=0.2)
    assert pstdev(labels) > 1
    assert sum(label == 0 for label in labels) > 0.15 * len(labels)
    originals = {sentence for text in documents(400) for sentence in text.replace("x. ", "x.\n").split("\n")}
    for side in ("text", "pair"):
        assert 0.5 < sum(row[side] in originals for row in found) / len(found) < 0.8


def test_the_same_texts_give_the_same_rows_and_only_what_was_asked_for_is_read():
    assert rows(documents(50)) == rows(documents(50))

    def endless():
        while True:
            yield from documents(10)

    assert len(list(islice(altered_pairs(endless(), "x"), 3 * CHUNK))) == 3 * CHUNK


@given(st.lists(st.text(alphabet="ab .!?\n", max_size=120), max_size=8))
def test_whatever_the_text_rows_are_whole_or_refused(texts):
    try:
        found = rows(texts)
    except DataError as error:
        assert "no two sentences" in str(error)
        return
    for row in found:
        assert row["text"]
        assert row["pair"]
        assert 0 <= row["label"] <= MOST


def test_short_and_long_sentences_are_left_out():
    short, long = " ".join("s" * (SHORTEST - 1)) + ".", " ".join("l" * (LONGEST + 1)) + "."
    good = ["one two three four five six.", "uno dos tres cuatro cinco seis!"]
    assert len(rows([" ".join([short, *good, long])])) == 2
    with pytest.raises(DataError, match="somewhere: no two sentences of 6 to 25 words"):
        rows([good[0], short, long])


def test_any_source_of_text_can_be_altered(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.txt", "b.txt"):
        Path(name).write_text("\n\n".join(documents(2)))
    found = list(read_records(["altered:*.txt"]))
    assert [record.where for record in found][5:7] == ["altered:a.txt row 6", "altered:b.txt row 1"]
    assert resolve(["altered:*.txt", "altered:a.txt"]) == ["altered:a.txt", "altered:b.txt"]
    assert next(read_records(["altered:embedded:text"])).values.keys() == {"text", "pair", "label"}
    with pytest.raises(DataError, match=r"gone\.txt: no such file"):
        read_records(["altered:gone.txt"])


@pytest.mark.parametrize("source", ["a.csv", "a.*", "hub:wiki", "embedded:areas", "altered:a.txt", ""])
def test_pairs_are_made_of_plain_text_alone(tmp_path, monkeypatch, source):
    monkeypatch.chdir(tmp_path)
    for name in ("a.txt", "a.csv"):
        Path(name).write_text("text,label\n" + "\n\n".join(documents(2)))
    with pytest.raises(DataError, match=r"pairs are made of plain text; name files that end in \.txt"):
        read_records([f"altered:{source}"])


def test_altered_pairs_are_known_by_the_text_they_are_made_of(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("one")
    before = fingerprint([f"altered:{path}"])
    assert before != fingerprint([str(path)])
    path.write_text("two")
    assert fingerprint([f"altered:{path}"]) != before


def test_pairs_are_no_corpus(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("\n\n".join(documents(2)))
    with pytest.raises(DataError, match="rows of a task, not text; leave out altered:"):
        list(read_texts([f"altered:{path}"]))
