import numpy as np

from pocketbert.tasks.base import collate


def test_lists_are_padded_and_labels_of_tokens_ignored():
    features = [
        {"input_ids": [5, 6, 7], "attention_mask": [1, 1, 1], "labels": [1, -100, 2]},
        {"input_ids": [8], "attention_mask": [1], "labels": [3]},
    ]
    batch = collate(features, pad_token_id=9)
    assert batch["input_ids"].tolist() == [[5, 6, 7], [8, 9, 9]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert batch["labels"].tolist() == [[1, -100, 2], [3, -100, -100]]


def test_numbers_and_arrays_are_stacked():
    numbers = collate([{"input_ids": [1], "labels": 2}, {"input_ids": [1], "labels": 0}], 0)
    assert numbers["labels"].tolist() == [2, 0]
    arrays = collate([{"input_ids": [1], "labels": np.array([0, 1], dtype=np.float32)}], 0)
    assert (arrays["labels"].tolist(), arrays["labels"].dtype) == ([[0, 1]], np.dtype("float32"))
