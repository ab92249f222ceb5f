"""Hub data sets, with a stand-in for the optional library, or the library itself without a network."""

import sys
from dataclasses import replace
from types import SimpleNamespace
from typing import ClassVar

import pytest

from pocketbert.data.hub import read_hub
from pocketbert.errors import DataError
from pocketbert.recipe import Data
from pocketbert.tasks.registry import make_task


class Rows(list):
    """Rows that know their features, as the library gives them."""

    features: ClassVar = {}


SPLITS = {"train": Rows([{"text": "a"}]), "validation_matched": Rows([{"text": "b"}, {"text": "c"}])}


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


@pytest.fixture
def classes(monkeypatch):
    """A data set of the library whose features name its classes."""
    datasets = pytest.importorskip("datasets", reason="the extra `hub` is not installed")
    label = datasets.ClassLabel(names=["sad", "glad"])
    tags = datasets.ClassLabel(names=["O", "B-PER", "I-PER"])
    features = datasets.Features(
        {
            "text": datasets.Value("string"),
            "stars": datasets.Value("int64"),
            "label": label,
            "topics": datasets.Sequence(label),
            "tags": datasets.Sequence(tags),
            "nested": datasets.Sequence(datasets.Sequence(tags)),
        }
    )
    columns = {
        "text": ["a", "b"],
        "stars": [1, 0],
        "label": [1, -1],
        "topics": [[0, 1], []],
        "tags": [[1, 2, 0], [0]],
        "nested": [[[1], [2, 0]], []],
    }
    split = datasets.Dataset.from_dict(columns, features=features)
    monkeypatch.setattr(datasets, "load_dataset", lambda name, configuration: datasets.DatasetDict(train=split))


def test_classes_have_their_names(classes):
    first, second = read_hub("name", "train")
    assert first.values == {
        "text": "a",
        "stars": 1,
        "label": "glad",
        "topics": ["sad", "glad"],
        "tags": ["B-PER", "I-PER", "O"],
        "nested": [["B-PER"], ["I-PER", "O"]],
    }
    assert second.values["label"] is None and second.values["topics"] == []
    assert first.classes["label"] == ["sad", "glad"] and first.classes["tags"] == ["O", "B-PER", "I-PER"]
    assert set(first.classes) == {"label", "topics", "tags", "nested"}


def test_classes_stay_numbers_where_asked(classes):
    first, second = read_hub("name", "train", numbers=True)
    assert (first.values["label"], second.values["label"], first.classes) == (1, -1, None)


def test_a_task_has_the_labels_that_the_features_name_in_their_order(classes):
    labels = make_task(Data(task="classification", text="text", label="label"))
    labels.fit(list(read_hub("name", "train"))[:1])
    assert labels.labels == ["sad", "glad"]
    topics = make_task(Data(task="multi_label", text="text", label="topics"))
    topics.fit(list(read_hub("name", "train")))
    assert topics.labels == ["sad", "glad"]
    records = [replace(record, values={**record.values, "tokens": ["x"] * 3}) for record in read_hub("name", "train")]
    entities = make_task(Data(task="token_classification"))
    entities.fit(records[:1])
    assert (entities.labels, entities.scheme) == (["O", "B-PER", "I-PER"], "iob2")
    assert entities.deciding == ["span_f1"]
