"""Hub data sets, with a stand-in for the optional library."""

import sys
from types import SimpleNamespace

import pytest

from pocketbert.data.hub import read_hub
from pocketbert.errors import DataError

SPLITS = {"train": [{"text": "a"}], "validation_matched": [{"text": "b"}, {"text": "c"}]}


@pytest.fixture
def asked(monkeypatch):
    calls = []

    def load_dataset(name, configuration):
        calls.append((name, configuration))
        return SPLITS

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    return calls


def test_the_role_chooses_the_split(asked):
    assert [record.values for record in read_hub("org/name:part", "train")] == [{"text": "a"}]
    records = list(read_hub("name", "validation"))
    assert [record.values["text"] for record in records] == ["b", "c"]
    assert records[1].where == "hub:name validation_matched row 2"
    assert asked == [("org/name", "part"), ("name", None)]


def test_a_missing_split_lists_those_there_are(asked):
    with pytest.raises(DataError, match=r"hub:name: there is no split for test; it has train, validation_matched"):
        list(read_hub("name", "test"))


def test_without_the_library_the_message_tells_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataError, match=r"pip install 'pocketbert\[hub\]'"):
        list(read_hub("name", "train"))


def test_whatever_the_library_raises_becomes_one_message(monkeypatch):
    def fail(name, configuration):
        raise ConnectionError("Couldn't reach the Hub\nsecond line")

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=fail))
    with pytest.raises(DataError, match=r"hub:name: cannot be loaded \(Couldn't reach the Hub\)"):
        list(read_hub("name", "train"))
