"""The embedded default."""

import sysconfig
import time
from collections import Counter

import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.naive_bayes import ComplementNB
from sklearn.pipeline import make_pipeline

from pocketbert.data import embedded
from pocketbert.data.embedded import AREAS, records, texts
from pocketbert.errors import DataError

SPLITS = ("train", "validation", "test")


@pytest.fixture
def library(tmp_path, monkeypatch):
    """A small library in place of Python's own."""
    monkeypatch.setattr(sysconfig, "get_paths", lambda: {"stdlib": str(tmp_path)})
    for cached in (embedded._library, embedded._areas):
        cached.cache_clear()
    yield tmp_path
    for cached in (embedded._library, embedded._areas):
        cached.cache_clear()


def rows():
    return {split: list(records(split)) for split in SPLITS}


def test_texts_are_about_half_a_million_words_of_prose():
    documents = list(texts())
    words = sum(len(document.split()) for document in documents)
    assert 250_000 < words < 1_000_000
    assert documents == list(texts())
    parts = [set(texts(split)) for split in SPLITS]
    assert sum(map(len, parts)) == len(set(documents)) == len(set.union(*parts))


def test_areas_are_balanced_and_large_enough():
    found = rows()
    counts = {split: Counter(row.values["label"] for row in found[split]) for split in SPLITS}
    assert 3_000 <= sum(map(len, found.values())) <= 9_000
    for split in SPLITS:
        assert set(counts[split]) == set(AREAS)
        assert max(counts[split].values()) < 0.35 * sum(counts[split].values())
    assert min(counts["test"].values()) >= 20


def test_no_text_occurs_twice_and_none_is_short():
    everything = [" ".join(row.values["text"].lower().split()) for part in rows().values() for row in part]
    assert len(everything) == len(set(everything))
    assert min(map(len, everything)) >= 80


def test_the_first_rows_are_a_fair_sample():
    first = Counter(row.values["label"] for row in list(records("train"))[:400])
    assert set(first) == set(AREAS)


def test_areas_can_be_learnt_but_not_perfectly():
    found = rows()
    train, test = ([tuple(row.values.values()) for row in found[split]] for split in ("train", "test"))
    model = make_pipeline(TfidfVectorizer(sublinear_tf=True, min_df=2), ComplementNB())
    accuracy = model.fit(*zip(*train, strict=True)).score(*zip(*test, strict=True))
    majority = Counter(label for _, label in test).most_common(1)[0][1] / len(test)
    assert majority + 0.3 < accuracy < 0.97


def test_reading_is_quick():
    for cached in (embedded._library, embedded._areas):
        cached.cache_clear()
    start = time.process_time()
    list(records("train"))
    assert time.process_time() - start < 10  # about 3 seconds on a slow machine


def test_docstrings_and_comments_are_found_where_they_stand(library):
    (library / "email").mkdir()
    (library / "email" / "parser.py").write_text(
        '"""The docstring of the module says what it is for, at a length that is enough to be a row."""\n'
        "x = 1  # not a comment of its own line\n"
        "# A comment over two lines that says why something is done\n"
        "# in the way it is done, and not in another way.\n"
        "class A:\n"
        "    if x:\n"
        "        async def f(self):\n"
        "            '''Short.'''\n"
    )
    (library / "other.py").write_text("'''No area.'''")
    (library / "broken.py").write_text("this is no Python")
    (library / "test").mkdir()
    (library / "test" / "test_x.py").write_text("'''A test.'''")
    comment = "A comment over two lines that says why something is done\nin the way it is done, and not in another way."
    module = "The docstring of the module says what it is for, at a length that is enough to be a row."
    assert list(texts()) == [f"{module}\n\nShort.\n\n{comment}", "No area."]
    found = [row for part in rows().values() for row in part]
    assert {(row.values["text"], row.values["label"]) for row in found} == {
        (module, "network"),
        (comment.replace("\n", " "), "network"),
    }
    assert {row.where for row in found} == {f"embedded:areas email.parser row {number}" for number in (1, 2)}


def test_the_language_reference_is_read_but_not_needed(library):
    (library / "a.py").write_text("'''A module.'''")
    assert list(texts()) == ["A module."]
    (library / "pydoc_data").mkdir()
    (library / "pydoc_data" / "topics.py").write_text("topics = {'b': 'Second.', 'a': 'First.'}\n")
    assert list(texts()) == ["A module.", "First.", "Second."]


def test_a_python_without_sources_is_told_so(library):
    with pytest.raises(DataError, match="comes without source files"):
        list(texts())
