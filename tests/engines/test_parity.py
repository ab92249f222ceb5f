from pathlib import Path

import numpy as np
import pytest

from exported import exported
from pocketbert.engines.description import Description
from pocketbert.engines.golden import Golden, GoldenText
from pocketbert.engines.parity import Parity, check_parity, check_tokenizer, measure_parity
from pocketbert.recipe import Limits

LENGTHS = [3, 5, 4, 9, 2, 6, 7, 8]


class Sums:
    """An engine whose logits are the sum of ids and its negative, with a fault of choice."""

    name = "sums"
    inputs = frozenset({"input_ids", "attention_mask"})

    def __init__(self, task="classification", fault=None):
        self.description = Description(task=task, max_length=16)
        self.fault = fault

    def run(self, inputs):
        ids, mask = inputs["input_ids"], inputs["attention_mask"]
        if self.description.task == "token_classification":
            logits = np.stack([ids, -ids], axis=-1).astype(np.float32)
        else:
            total = (ids * mask).sum(axis=1).astype(np.float32)
            logits = np.stack([total, -total], axis=-1)
        return self.fault(logits, inputs) if self.fault else logits


def golden_of(engine):
    rows = [np.stack([np.arange(1, length + 1), np.zeros(length, dtype=int)]) for length in LENGTHS]
    texts = [GoldenText(text=f"text {length}", what=f"of {length}") for length in LENGTHS]
    logits = [engine.run({"input_ids": row[:1], "attention_mask": np.ones_like(row[:1])})[0] for row in rows]
    return Golden(texts, rows, logits)


def far_apart(logits, inputs):
    return logits + 100.0 * (inputs["input_ids"].shape[1] == 9)


def turned(logits, inputs):
    return -logits if inputs["input_ids"].shape == (1, 4) else logits


def mates(logits, inputs):
    return logits * (1 + 0.1 * (len(logits) > 1))


@pytest.mark.parametrize("task", ["classification", "token_classification"])
def test_the_same_engine_has_nothing_to_report(task):
    engine = Sums(task)
    found = measure_parity(engine, golden_of(engine))
    assert (found.difference, found.flips, found.batch_mates) == (0, 0, 0)
    assert found.texts == len(LENGTHS)
    assert found.answers == (len(LENGTHS) if task == "classification" else sum(LENGTHS))
    assert found.scale == (45 if task == "classification" else 9)
    assert check_parity(found, Limits(), "fp32") == []


def test_the_largest_difference_and_its_text_are_found():
    found = measure_parity(Sums(fault=far_apart), golden_of(Sums()))
    assert found.difference == 100 and found.worst[0].what == "of 9" and found.worst[0].text == "text 9"
    assert "a logit is off by 222.22% of the largest, the limit is 25.00%" in check_parity(found, Limits(), "int8")


def test_an_answer_that_turned_is_counted():
    found = measure_parity(Sums(fault=turned), golden_of(Sums()))
    assert (found.flips, found.answers) == (1, 8)
    assert found.worst[0].flipped and found.worst[0].what == "of 4"
    for precision, limit in (("fp32", "1.00%"), ("int8", "5.00%")):
        problems = check_parity(found, Limits(), precision)
        assert f"1 of 8 answers changed (12.50%), the limit is {limit}" in problems


def test_what_batch_mates_change_is_found():
    found = measure_parity(Sums(fault=mates), golden_of(Sums()))
    assert found.difference == 0 and found.batch_mates == pytest.approx(4.5)
    assert check_parity(found, Limits(), "fp32") == [
        "in a batch a logit is off by 10.00% of the largest, the limit is 2.00%"
    ]


def test_not_a_number_is_a_breach():
    found = measure_parity(Sums(fault=lambda logits, _: logits * np.nan), golden_of(Sums()))
    assert len(check_parity(found, Limits(), "int8")) >= 2


def test_another_shape_is_a_breach():
    found = measure_parity(Sums(fault=lambda logits, _: logits[:, :1]), golden_of(Sums()))
    assert found.flips == 8 and check_parity(found, Limits(), "int8")


@pytest.mark.parametrize(
    ("task", "found", "true", "flips"),
    [
        ("multi_label", [1.0, -1.0, 2.0], [1.0, 1.0, -2.0], (2, 3)),
        ("regression", [1.0], [-1.0], (0, 0)),
        ("embedding", [1.0, 0.0], [0.0, 1.0], (0, 0)),
        ("question_answering", [[5.0, 0.0], [0.0, 1.0]], [[0.0, 0.0], [1.0, 1.0]], (1, 2)),
        ("token_classification", [[5.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [0.0, 1.0]], (1, 2)),
        ("classification", [5.0, 0.0], [0.0, 1.0], (1, 1)),
    ],
)
def test_what_counts_as_another_answer(task, found, true, flips):
    engine = Sums(task, fault=lambda logits, inputs: np.array([found], dtype=np.float32))
    ids = np.array([[1, 2], [0, 0]])
    golden = Golden([GoldenText(text="x", what="x")], [ids], [np.array(true, dtype=np.float32)])
    parity = measure_parity(engine, golden)
    assert (parity.flips, parity.answers) == flips


@pytest.mark.parametrize(("precision", "limit"), [("fp32", 0.001), ("fp16", 0.05), ("bf16", 0.05), ("int8", 0.25)])
def test_each_precision_has_its_limit(precision, limit):
    def parity(difference):
        return Parity(texts=1, scale=2, difference=difference, answers=1, flips=0, batch_mates=0, worst=[])

    assert check_parity(parity(2 * limit * 0.99), Limits(), precision) == []
    assert check_parity(parity(2 * limit * 1.01), Limits(), precision)


def test_a_changed_tokenizer_is_found(tmp_path):
    folder = exported("classification")
    golden = Golden.read(folder / "golden")
    assert check_tokenizer(golden, folder, 48, False) == []
    changed = (folder / "tokenizer.json").read_text(encoding="utf-8").replace('"lowercase":true', '"lowercase":false')
    changed = changed.replace('"lowercase": true', '"lowercase": false')
    Path(tmp_path / "tokenizer.json").write_text(changed, encoding="utf-8")
    (problem,) = check_tokenizer(golden, tmp_path, 48, False)
    assert "differently, such as: " in problem
