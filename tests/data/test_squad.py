"""The layouts of SQuAD 1.1 and 2.0."""

import copy

import pytest

from pocketbert.data.lines import RowPolicy
from pocketbert.data.records import Record
from pocketbert.data.sources import read_records
from pocketbert.data.squad import is_squad, read_flat, read_squad
from pocketbert.errors import DataError

CONTEXT = "Jane went to Rome in 1990."
VALUE = {
    "version": "v2.0",
    "data": [
        {
            "title": "Jane",
            "paragraphs": [
                {
                    "context": CONTEXT,
                    "qas": [
                        {
                            "id": "q1",
                            "question": "Where did she go?",
                            "answers": [{"text": "Rome", "answer_start": 13}, {"text": "to Rome", "answer_start": 10}],
                        },
                        {
                            "id": "q2",
                            "question": "Who came back?",
                            "is_impossible": True,
                            "answers": [],
                            "plausible_answers": [{"text": "Jane", "answer_start": 0}],
                        },
                        {"id": "q3", "question": "When?", "answers": [{"text": "1990", "answer_start": 21}]},
                    ],
                }
            ],
        }
    ],
}


def spoiled(change):
    value = copy.deepcopy(VALUE)
    change(value["data"][0]["paragraphs"][0]["qas"][0])
    return value


def test_rows_of_both_versions():
    records = list(read_squad("a.json", VALUE, RowPolicy()))
    assert [record.values["id"] for record in records] == ["q1", "q2", "q3"]
    assert records[0].values == {
        "id": "q1",
        "question": "Where did she go?",
        "context": CONTEXT,
        "answers": {"text": ["Rome", "to Rome"], "answer_start": [13, 10]},
        "impossible": False,
    }
    assert records[1].values["answers"] == {"text": [], "answer_start": []}
    assert [record.values["impossible"] for record in records] == [False, True, False]
    assert records[2].where == "a.json title 'Jane' paragraph 1 question q3"


BAD_QUESTIONS = {
    "moved": (
        lambda q: q["answers"][0].update(answer_start=12),
        r"the answer 'Rome' is not at answer_start 12; ' Rom'",
    ),
    "negative": (lambda q: q["answers"][0].update(answer_start=-5), "answer_start -5 is not a position"),
    "no number": (lambda q: q["answers"][0].update(answer_start="13"), "answer_start '13' is not a position"),
    "outside": (lambda q: q["answers"][0].update(answer_start=999), "is not at answer_start 999; '' stands there"),
    "empty": (lambda q: q["answers"][0].update(text=""), "an answer is empty"),
    "no place": (lambda q: q["answers"][0].pop("answer_start"), "answers of 'text' and 'answer_start'"),
    "no question": (lambda q: q.pop("question"), "a question needs 'id', 'question'"),
    "question of no text": (lambda q: q.update(question=5), "question and context must be strings"),
}


@pytest.mark.parametrize("case", BAD_QUESTIONS)
def test_bad_questions_fail_or_are_skipped(case):
    change, message = BAD_QUESTIONS[case]
    value = spoiled(change)
    with pytest.raises(DataError, match=rf"a\.json title 'Jane' paragraph 1 question q1: .*{message}"):
        list(read_squad("a.json", value, RowPolicy()))
    policy = RowPolicy("skip")
    assert [record.values["id"] for record in read_squad("a.json", value, policy)] == ["q2", "q3"]
    assert policy.skipped.count == 1


def test_a_paragraph_without_context_is_named():
    value = {"data": [{"title": "T", "paragraphs": [{"qas": []}]}]}
    with pytest.raises(DataError, match="title 'T' paragraph 1: a paragraph needs 'context'"):
        list(read_squad("a.json", value, RowPolicy()))


@pytest.mark.parametrize("paragraphs", [None, 5, {"context": CONTEXT}, "text"])
def test_paragraphs_that_are_no_list_are_named(paragraphs):
    value = {"data": [{"title": "T", "paragraphs": paragraphs}, *VALUE["data"]]}
    with pytest.raises(DataError, match=r"a\.json title 'T': 'paragraphs' must be a list"):
        list(read_squad("a.json", value, RowPolicy()))
    policy = RowPolicy("skip")
    assert len(list(read_squad("a.json", value, policy))) == 3 and policy.skipped.count == 1


@pytest.mark.parametrize("value", [[], {}, {"data": {}}, {"data": [{"title": "x"}]}, {"data": ["x"]}])
def test_other_nestings_are_told_apart(value):
    assert not is_squad(value)


def test_flat_rows_are_checked_as_strictly():
    good = {"question": "Where?", "context": CONTEXT, "answers": {"text": ["Rome"], "answer_start": [13]}}
    rows = [
        Record(good, "r1"),
        Record({**good, "id": "x", "answers": {"text": [], "answer_start": []}}, "r2"),
        Record({**good, "answers": {"text": ["Rome"], "answer_start": [1]}}, "r3"),
        Record({**good, "answers": {"text": ["Rome"], "answer_start": []}}, "r4"),
        Record({"question": "no context"}, "r5"),
    ]
    policy = RowPolicy("skip")
    records = list(read_flat(iter(rows), policy))
    assert [(r.values["id"], r.values["impossible"]) for r in records] == [("r1", False), ("x", True)]
    assert [reason[:2] for reason in policy.skipped.reasons] == ["r3", "r4", "r5"]


def test_an_unanswered_row_of_nested_data_does_not_become_impossible():
    value = spoiled(lambda question: question.update(answers=[]))
    records = read_flat(read_squad("a.json", value, RowPolicy()), RowPolicy())
    assert [record.values["impossible"] for record in records] == [False, True, False]


@pytest.mark.parametrize(
    ("name", "count", "impossible"),
    [
        ("dev-v1.1.json", 10_570, 0),
        ("train-sample-8k.json", 7_783, 0),
        ("squad2-train-first10articles.json", 4_719, 348),
    ],
)
def test_real_files(shared_data, name, count, impossible):
    records = list(read_records([str(shared_data / "squad" / name)], layout="squad"))
    assert len(records) == count
    assert sum(record.values["impossible"] for record in records) == impossible
    assert len({record.values["id"] for record in records}) == count
