"""Guessing columns, and refusing wrong ones."""

import pytest

from pocketbert.data.columns import guess_columns
from pocketbert.data.records import Record
from pocketbert.errors import DataError

SINGLE = {"text": None, "pair": None, "label": None}


def records(*rows):
    return [Record(row, f"a.csv row {number}") for number, row in enumerate(rows, start=1)]


def guess(names, wanted=SINGLE, rows=None, **options):
    return guess_columns(names, rows or records(dict.fromkeys(names, "")), wanted, **options)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["text", "label"], {"text": "text", "label": "label"}),
        (["id", "review", "sentiment"], {"text": "review", "label": "sentiment"}),
        (["Title", "Content", "Category"], {"text": "Content", "label": "Category"}),
        (["utterance", "intent"], {"text": "utterance", "label": "intent"}),
        (["sentence1", "sentence2", "score"], {"text": "sentence1", "pair": "sentence2", "label": "score"}),
        (["premise", "hypothesis", "label"], {"text": "premise", "pair": "hypothesis", "label": "label"}),
        (["question", "sentence", "label"], {"text": "question", "pair": "sentence", "label": "label"}),
        (["question", "label"], {"text": "question", "label": "label"}),
        (["text", "pair", "label"], {"text": "text", "pair": "pair", "label": "label"}),
    ],
)
def test_usual_names(names, expected):
    assert guess(names).columns == expected


@pytest.mark.parametrize(
    ("names", "wanted", "expected"),
    [
        (["tokens", "tags", "intent"], ("tokens", "tags"), {"tokens": "tokens", "tags": "tags"}),
        (["id", "tokens", "pos_tags", "ner_tags"], ("tokens", "tags"), {"tokens": "tokens", "tags": "ner_tags"}),
        (["words", "labels"], ("tokens", "tags"), {"tokens": "words", "tags": "labels"}),
        (
            ["id", "title", "context", "question", "answers"],
            ("question", "context", "answers"),
            {"question": "question", "context": "context", "answers": "answers"},
        ),
    ],
)
def test_usual_names_of_other_tasks(names, wanted, expected):
    assert guess(names, dict.fromkeys(wanted)).columns == expected


def test_the_guess_is_told_in_a_sentence_and_only_the_guess():
    assert guess(["review", "stars"]).note == "guessed columns: text='review', label='stars'"
    assert guess(["review", "stars"], {"text": "review", "label": None}).note == "guessed columns: label='stars'"
    assert guess(["a", "b"], {"text": "b", "pair": None, "label": "a"}).note == ""


def test_naming_the_text_alone_means_a_single_text():
    names = ["sentence1", "sentence2", "label"]
    found = guess(names, {"text": "sentence1", "pair": None, "label": None})
    assert found.columns == {"text": "sentence1", "label": "label"}
    both = guess(names, {"text": None, "pair": "sentence1", "label": None}, rows=records(dict.fromkeys(names, "x")))
    assert both.columns["pair"] == "sentence1"
    assert both.columns["text"] != "sentence1"


def test_content_decides_where_names_do_not():
    rows = records(*({"k": f"id{n}", "words of it": f"a longer text, number {n}", "m": "ab"[n % 2]} for n in range(20)))
    found = guess(["k", "words of it", "m"], rows=rows)
    assert found.columns == {"text": "words of it", "label": "m"}
    assert found.note == "guessed columns: text='words of it', label='m'"


def test_numbers_are_no_text():
    rows = records(*({"n": f"{n * 1_000_000}.5", "w": f"word {n}"} for n in range(9)))
    assert guess(["n", "w"], {"text": None}, rows=rows).columns == {"text": "w"}


def test_a_label_that_cannot_be_told_is_an_error_listing_the_columns():
    rows = records(*({"text": f"text {n}", "u": n, "same": 1} for n in range(20)))
    with pytest.raises(
        DataError, match=r"a\.csv: cannot tell which column is the label; set label: .*'text', 'u', 'same'"
    ):
        guess(["text", "u", "same"], rows=rows)


def test_optional_roles_may_be_missing():
    rows = records(*({"text": f"text {n}", "m": "ab"[n % 2]} for n in range(20)))
    assert guess(["text", "m"], rows=rows, optional=("pair", "label")).columns == {"text": "text"}


def test_a_wrong_name_is_refused_with_the_most_similar_one():
    with pytest.raises(
        DataError, match=r"a\.csv: there is no column 'labl' \(did you mean 'Label'\?\); set label: to one"
    ):
        guess(["text", "Label"], {"text": "text", "label": "labl"})
    with pytest.raises(DataError, match=r"there is no column 'zzz'; set text: to one of the columns 'text', 'label'"):
        guess(["text", "label"], {"text": "zzz", "label": None})


def test_data_in_place_of_a_header_is_noticed():
    names = ["3", "Unions representing workers say they are disappointed after talks"]
    with pytest.raises(DataError, match=r"the first row is no header \('3', 'Unions rep.*name the columns by number"):
        guess(names)
