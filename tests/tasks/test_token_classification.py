from dataclasses import replace

import numpy as np
import pytest

from pocketbert.data.records import IGNORED
from pocketbert.errors import DataError

ROW = {"tokens": ["Rex", "ran", "from", "Berlin"], "tags": ["B-PER", "O", "O", "B-LOC"]}


def one_hot(task, tags):
    logits = np.zeros((len(tags), len(task.labels)), dtype=np.float32)
    for position, tag in enumerate(tags):
        logits[position, task.labels.index(tag)] = 1
    return logits


def test_labels_stand_on_the_first_piece_of_each_word(rows, make, wordpiece):
    task = make("token_classification")
    data = rows({"tokens": ["Rexa", "U.S.", "ran"], "tags": ["B-PER", "B-LOC", "O"]})
    task.fit(data)
    assert task.labels == ["O", "B-LOC", "B-PER"]
    encoded = task.encode(task.examples(data), wordpiece)
    (feature,) = encoded.features
    tokens = wordpiece.convert_ids_to_tokens(feature["input_ids"])
    assert tokens == ["[CLS]", "rex", "##a", "u", ".", "s", ".", "ran", "[SEP]"]
    assert feature["labels"] == [IGNORED, 2, IGNORED, 1, IGNORED, IGNORED, IGNORED, 0, IGNORED]


def test_words_without_pieces_do_not_shift_the_others(rows, make, wordpiece):
    task = make("token_classification")
    data = rows({"tokens": ["\u200b", "rex", "", "\x00", "berlin"], "tags": ["O", "B-PER", "O", "O", "B-LOC"]})
    task.fit(data)
    encoded = task.encode(task.examples(data), wordpiece)
    assert encoded.places[0].tolist() == [-1, 1, -1, -1, 2]
    (prediction,) = task.decode([one_hot(task, ["B-LOC", "B-PER", "B-LOC", "B-PER"])], encoded)
    assert prediction == ["O", "B-PER", "O", "O", "B-LOC"]


def test_words_cut_off_are_predicted_as_outside_and_scored(rows, make, wordpiece):
    task = make("token_classification", max_length=8)
    data = rows({"tokens": ["rex"] * 9, "tags": ["B-PER"] * 9}, {"tokens": ["rex"] * 6, "tags": ["B-PER"] * 6})
    task.fit(data)
    task.labels = ["O", "B-PER"]
    encoded = task.encode(task.examples(data), wordpiece)
    assert encoded.truncated == 1
    predictions = task.decode([one_hot(task, ["B-PER"] * 8)] * 2, encoded)
    assert predictions == [["B-PER"] * 6 + ["O"] * 3, ["B-PER"] * 6]
    targets = [example.target for example in encoded.examples]
    assert task.score(predictions, targets)["recall"] == pytest.approx(12 / 15)


def test_long_rows_can_be_skipped(rows, make, wordpiece):
    task = make("token_classification", max_length=8, too_long="skip")
    data = rows({"tokens": ["rex"] * 9, "tags": ["O"] * 9}, ROW)
    task.fit(data)
    encoded = task.encode(task.examples(data), wordpiece)
    assert (len(encoded.examples), len(encoded.places), task.skipped.count) == (1, 1, 1)


def test_byte_level_words_carry_their_space(rows, make, roberta):
    task = make("token_classification")
    task.fit(rows(ROW))
    encoded = task.encode(task.examples(rows(ROW)), roberta)
    tokens = roberta.convert_ids_to_tokens(encoded.features[0]["input_ids"])
    assert [tokens[place][0] for place in encoded.places[0]] == ["Ġ"] * 4
    labels = [label for label in encoded.features[0]["labels"] if label != IGNORED]
    assert [task.labels[label] for label in labels] == ROW["tags"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"tokens": ["a", "b"], "tags": ["O"]}, "dev.jsonl row 2: 2 words but 1 tags"),
        ({"tokens": [], "tags": []}, "dev.jsonl row 2: column 'tokens' is empty"),
        ({"tokens": ["a"], "tags": []}, "dev.jsonl row 2: column 'tags' is empty"),
        ({"tokens": ["a", 3], "tags": ["O", "O"]}, "dev.jsonl row 2: column 'tokens' has 3, which is no word"),
        ({"tokens": 3, "tags": ["O"]}, "dev.jsonl row 2: column 'tokens' has 3, not a list"),
        ({"tokens": ["a"], "tags": ["B-LOK"]}, "row 2: column 'tags' has 'B-LOK'.*did you mean 'B-LOC'"),
        ({"tokens": ["a"], "tags": ["PER"]}, "row 2: column 'tags' has 'PER'"),
    ],
)
def test_a_bad_row_is_named_or_skipped(row, message, rows, make):
    task = make("token_classification")
    task.fit(rows(ROW))
    with pytest.raises(DataError, match=message):
        task.examples(rows(ROW, row, file="dev.jsonl"))
    task = make("token_classification", on_error="skip")
    task.fit(rows(ROW))
    assert len(task.examples(rows(ROW, row, file="dev.jsonl"))) == 1
    assert task.skipped.count == 1


def test_words_and_tags_may_be_parted_by_spaces(rows, make):
    task = make("token_classification")
    data = rows({"words": "Rex ran", "tags": "B-PER O"})
    task.fit(data)
    assert task.examples(data)[0].text == ["Rex", "ran"]
    assert task.labels == ["O", "B-PER"]


def test_a_known_type_with_a_new_prefix_is_scored_but_not_learnt(rows, make, wordpiece):
    task = make("token_classification")
    task.fit(rows(ROW))
    (example,) = task.examples(rows({"tokens": ["a", "dog"], "tags": ["B-PER", "I-PER"]}))
    assert example.target == ["B-PER", "I-PER"]
    assert task.encode([example], wordpiece).features[0]["labels"] == [IGNORED, 2, IGNORED, IGNORED]


def test_iob1_becomes_iob2_with_a_note(rows, make):
    task = make("token_classification")
    data = rows({"tokens": ["a", "b", "c"], "tags": ["I-PER", "B-PER", "O"]}, {"tokens": ["d"], "tags": ["I-PER"]})
    task.fit(data)
    assert task.labels == ["O", "B-PER"]
    assert [example.target for example in task.examples(data)] == [["B-PER", "B-PER", "O"], ["B-PER"]]
    assert "the tags follow IOB1; they are turned into IOB2" in task.notes


def test_bilou_is_scored_strictly(rows, make):
    task = make("token_classification")
    task.fit(rows({"tokens": ["a", "b", "c"], "tags": ["B-PER", "L-PER", "U-LOC"]}))
    assert task.labels == ["S-LOC", "B-PER", "E-PER"]
    assert task.score([["B-PER", "O", "S-LOC"]], [["B-PER", "E-PER", "S-LOC"]])["precision"] == 1.0


def test_parts_of_speech_are_decided_by_accuracy(rows, make):
    task = make("token_classification")
    task.fit(rows({"tokens": ["a", "dog"], "tags": ["DET", "NOUN"]}))
    assert task.deciding == ["accuracy"]
    assert task.scorer([["DET", "DET"], ["NOUN"]], [["DET", "NOUN"], ["NOUN"]])(np.array([0, 0, 1])) == 3 / 5


def test_numbered_tags_are_places_in_the_named_labels(rows, make):
    task = make("token_classification", labels=["O", "B-PER", "B-LOC"])
    (example,) = task.examples(rows({"tokens": ["a", "b"], "tags": [2, 0]}))
    assert example.target == ["B-LOC", "O"]


@pytest.mark.parametrize(
    ("declared", "labels"),
    [
        (["O", "I-PER", "B-PER"], ["O", "I-PER", "B-PER"]),
        (["O", "I-PER"], ["O", "B-PER"]),  # IOB1 declares no tag that starts every span
    ],
)
def test_declared_tags_count_where_they_are_those_that_are_learnt(declared, labels, rows, make):
    task = make("token_classification")
    row = {"tokens": ["rex", "ran"], "tags": ["I-PER", "O"]}
    task.fit([replace(record, classes={"tags": declared}) for record in rows(row)])
    assert task.labels == labels


def test_the_quick_score_is_the_score(rows, make):
    task = make("token_classification", metric=["span_f1", "accuracy"])
    task.fit(rows(ROW))
    true = [["B-PER", "O"], ["B-LOC", "I-LOC", "O"], ["O"]]
    found = [["B-PER", "B-LOC"], ["B-LOC", "I-LOC", "O"], ["B-PER"]]
    for index in ([0, 1, 2], [1, 1, 0], [2]):
        scores = task.score([found[i] for i in index], [true[i] for i in index])
        expected = (scores["span_f1"] + scores["accuracy"]) / 2
        assert task.scorer(found, true)(np.array(index)) == pytest.approx(expected)


def test_baseline_and_agreement(rows, make):
    task = make("token_classification")
    task.fit(rows(ROW))
    examples = task.examples(rows(ROW))
    assert task.majority([["O", "O", "B-PER"]], examples) == [["O"] * 4]
    first, second = [["O", "O"], ["B-PER", "O"]], [["O", "O"], ["O", "O"]]
    assert task.agreement(first, second) == 3 / 4
    assert task.correct(first, second).tolist() == [True, False]


def test_real_slots_are_read(shared_data, make, wordpiece):
    import json

    from pocketbert.data.records import Record

    def read(name):
        lines = (shared_data / "ner" / "snips" / name).read_text(encoding="utf-8").splitlines()
        return [Record(json.loads(line), f"{name} row {number}") for number, line in enumerate(lines, start=1)]

    task = make("token_classification")
    task.fit(read("train.jsonl"))
    test = task.examples(read("test.jsonl"))
    assert len({tag[2:] for tag in task.labels if tag != "O"}) == 39
    assert len(test) == 700
    targets = [example.target for example in test]
    assert task.score(targets, targets)["span_f1"] == 1.0
    encoded = task.encode(test, wordpiece)
    assert len(encoded) == 700
