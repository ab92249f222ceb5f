from dataclasses import replace

import numpy as np
import pytest

from pocketbert.errors import DataError, PocketBertError

GOOD = [{"text": "the cat", "label": "b"}, {"text": "a dog", "label": "a"}] * 2


def test_labels_are_ordered_by_value_when_whole_numbers(rows, make):
    task = make("classification")
    task.fit(rows(*[{"text": "x y", "label": label} for label in ("10", "9", "-1")] * 2))
    assert task.labels == ["-1", "9", "10"]


def test_labels_are_ordered_by_alphabet_otherwise(rows, make):
    task = make("classification")
    task.fit(rows(*GOOD))
    assert task.labels == ["a", "b"]
    assert task.notes == ["guessed columns: text='text', label='label'"]
    assert task.model_fields() == {
        "num_labels": 2,
        "id2label": {0: "a", 1: "b"},
        "label2id": {"a": 0, "b": 1},
        "problem_type": "single_label_classification",
    }


def test_named_labels_keep_their_order(rows, make):
    task = make("classification", labels=["b", "c", "a"])
    task.fit(rows(*GOOD))
    assert task.labels == ["b", "c", "a"]
    assert [example.target for example in task.examples(rows(*GOOD))] == [0, 2, 0, 2]


@pytest.mark.parametrize("values", [(1, 0), (1.0, 0.0), ("1", "0"), (np.int64(1), np.int64(0))])
def test_numbers_of_any_format_are_the_same_labels(values, rows, make):
    task = make("classification", labels=["0", "1"])
    examples = task.examples(rows(*[{"text": "a b", "label": value} for value in values]))
    assert [example.target for example in examples] == [1, 0]


def test_truth_values_are_labels(rows, make):
    task = make("classification")
    task.fit(rows(*[{"text": "a b", "label": value} for value in (True, False)] * 2))
    assert task.labels == ["False", "True"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"text": "x", "label": ""}, r"dev.csv row 1: column 'label' is empty"),
        ({"text": "x", "label": None}, r"dev.csv row 1: column 'label' is empty"),
        ({"text": "x", "label": float("nan")}, r"dev.csv row 1: column 'label' is empty"),
        ({"text": " ", "label": "negative"}, r"dev.csv row 1: column 'text' is empty"),
        ({"text": 7, "label": "negative"}, r"dev.csv row 1: column 'text' has 7, not a text"),
        ({"text": "x"}, r"dev.csv row 1: no column 'label'; the row has text"),
        ({"text": "x", "label": "positiv"}, r"row 1: column 'label' has 'positiv'.*did you mean 'positive'\?"),
        ({"text": "x", "label": "zzz"}, r"none of the task's 2 labels; they are negative, positive; mend"),
    ],
)
def test_a_bad_row_is_named_or_skipped(row, message, rows, make):
    good = {"text": "x", "label": "negative"}
    for policy in ("fail", "skip"):
        task = make("classification", text="text", label="label", labels=["negative", "positive"], on_error=policy)
        task.fit(rows(good))
        if policy == "fail":
            with pytest.raises(DataError, match=message):
                task.examples(rows(row, good, file="dev.csv"))
        else:
            assert [example.where for example in task.examples(rows(row, good, file="dev.csv"))] == ["dev.csv row 2"]
            assert task.skipped.count == 1


def test_a_column_that_is_not_there_is_refused(rows, make):
    with pytest.raises(DataError, match=r"no column 'sentense'.*did you mean 'sentence'"):
        make("classification", text="sentense").fit(rows({"sentence": "x", "label": "a"}))


def test_a_label_with_one_example_is_refused(rows, make):
    lonely = [*GOOD, {"text": "x", "label": "c"}]
    with pytest.raises(DataError, match=r"train.csv row 5: the label 'c' has a single example"):
        make("classification").fit(rows(*lonely))


def test_a_label_with_one_example_is_left_out_when_skipping(rows, make):
    lonely = [*GOOD, {"text": "x", "label": "c"}]
    task = make("classification", on_error="skip")
    task.fit(rows(*lonely))
    assert task.labels == ["a", "b"]
    assert len(task.examples(rows(*lonely))) == 4
    assert task.skipped.count == 1
    assert any("'c' has a single example" in note for note in task.notes)


def test_no_row_left_is_an_error(rows, make):
    task = make("classification", on_error="skip", labels=["a", "b"])
    with pytest.raises(DataError, match=r"every row was left out; the first because of train.csv row 1"):
        task.examples(rows({"text": "x", "label": "c"}))


def test_unknown_labels_need_training_rows(rows, make):
    with pytest.raises(DataError, match="the labels are not known"):
        make("classification").examples(rows(*GOOD))


def test_f1_of_one_class_needs_two(rows, make):
    task = make("classification", metric="f1")
    with pytest.raises(PocketBertError, match="set macro_f1"):
        task.fit(rows(*[{"text": "x y", "label": label} for label in "abc"] * 2))


def test_declared_classes_come_in_their_order_whichever_the_rows_have(rows, make):
    task = make("classification")
    task.fit([replace(row, classes={"label": ["z", "a", "m"]}) for row in rows({"text": "x", "label": "m"})])
    assert task.labels == ["z", "a", "m"]
    assert [example.target for example in task.examples(rows({"text": "y", "label": "a"}))] == [1]


def test_pairs_are_encoded_as_pairs(rows, make, wordpiece):
    task = make("classification", layout="mrpc")
    examples = task.examples(rows({"text": "the cat", "pair": "a dog ran", "label": "1"}))
    encoded = task.encode(examples, wordpiece)
    tokens = wordpiece.convert_ids_to_tokens(encoded.features[0]["input_ids"])
    assert tokens == ["[CLS]", "the", "cat", "[SEP]", "a", "dog", "ran", "[SEP]"]
    assert encoded.features[0]["token_type_ids"] == [0, 0, 0, 0, 1, 1, 1, 1]
    assert encoded.features[0]["labels"] == 1
    assert task.notes == []


def test_only_the_models_own_inputs_are_features(rows, make, roberta):
    task = make("classification", labels=["a", "b"])
    encoded = task.encode(task.examples(rows(*GOOD)), roberta)
    assert set(encoded.features[0]) == {"input_ids", "attention_mask", "labels"}
    assert encoded.lengths.tolist() == [len(feature["input_ids"]) for feature in encoded.features]


@pytest.mark.parametrize("words", [6, 7])
def test_truncated_rows_are_counted_exactly(words, rows, make, wordpiece):
    task = make("classification", labels=["a", "b"], max_length=8)
    encoded = task.encode(task.examples(rows({"text": "cat " * words, "label": "a"}, GOOD[0])), wordpiece)
    assert encoded.truncated == (words > 6)
    assert len(encoded.features[0]["input_ids"]) == 8


def test_a_long_text_can_fail_or_be_skipped(rows, make, wordpiece):
    data = rows({"text": "cat " * 7, "label": "a"}, GOOD[0])
    task = make("classification", labels=["a", "b"], max_length=8, too_long="fail")
    with pytest.raises(DataError, match=r"train.csv row 1: the text is longer than max_length, 8 tokens"):
        task.encode(task.examples(data), wordpiece)
    task = make("classification", labels=["a", "b"], max_length=8, too_long="skip")
    encoded = task.encode(task.examples(data), wordpiece)
    assert [example.where for example in encoded.examples] == ["train.csv row 2"]
    assert (encoded.example_of, encoded.truncated, task.skipped.count) == ([0], 0, 1)


def test_more_tokens_than_the_model_takes_are_refused(rows, make, wordpiece, monkeypatch):
    monkeypatch.setattr(wordpiece, "model_max_length", 64)
    task = make("classification", labels=["a", "b"])
    with pytest.raises(DataError, match="128 is more than the 64 tokens the model takes"):
        task.encode(task.examples(rows(*GOOD)), wordpiece)


def test_predictions_and_scores(rows, make, wordpiece):
    task = make("classification", labels=["a", "b"])
    encoded = task.encode(task.examples(rows(*GOOD)), wordpiece)
    logits = [np.array(row, dtype=np.float32) for row in ([0, 1], [2, 1], [3, 1], [0, 1])]
    predictions = task.decode(logits, encoded)
    targets = [example.target for example in encoded.examples]
    assert (predictions, targets) == ([1, 0, 0, 1], [1, 0, 1, 0])
    # b: right once, predicted twice, true twice; the same for a.
    assert task.score(predictions, targets) == {"accuracy": 0.5, "f1": 0.5, "macro_f1": 0.5, "matthews": 0.0}
    assert task.correct(predictions, targets).tolist() == [True, True, False, False]
    assert task.agreement(predictions, targets) == 0.5
    assert task.majority([1, 1, 0], encoded.examples) == [1, 1, 1, 1]
