import pytest

from pocketbert.errors import DataError
from pocketbert.tasks.answers import Answer, answer_f1, exact_match, normalise_answer, read_answers

CONTEXT = "Rex ran to Berlin, then Paris."


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("The  Cat's, a hat!", "cats hat"),
        ("an-other answer", "another answer"),
        ("Theatre", "theatre"),
        ("the", ""),
        ("1,000.5 €", "10005 €"),
    ],
)
def test_normalising(text, normal):
    assert normalise_answer(text) == normal


@pytest.mark.parametrize(
    ("prediction", "answers", "match", "f1"),
    [
        ("the Berlin!", ["Berlin"], 1.0, 1.0),
        ("in Berlin today", ["Berlin"], 0.0, 2 * 1 / (3 + 1)),
        ("big big dog", ["big dog house"], 0.0, 2 * 2 / (3 + 3)),
        ("Paris", ["Berlin", "Paris, France"], 0.0, 2 * 1 / (1 + 2)),
        ("Rome", ["Berlin"], 0.0, 0.0),
        ("", [], 1.0, 1.0),
        ("Berlin", [], 0.0, 0.0),
        ("", ["Berlin"], 0.0, 0.0),
    ],
)
def test_grades_by_hand(prediction, answers, match, f1):
    assert exact_match(prediction, answers) == match
    assert answer_f1(prediction, answers) == pytest.approx(f1)


BERLIN, PARIS = Answer("Berlin", 11, 17), Answer("Paris", 24, 29)


@pytest.mark.parametrize(
    ("value", "answers"),
    [
        ({"text": ["Berlin", "Paris"], "answer_start": [11, 24]}, [BERLIN, PARIS]),
        ({"text": "Berlin", "answer_start": 11}, [BERLIN]),
        ({"text": [], "answer_start": []}, []),
        ([{"text": "Paris", "answer_start": 24}], [PARIS]),
        ([{"text": " Paris", "answer_start": 23}], [PARIS]),
        ("Paris", [PARIS]),
        ("", []),
        (None, []),
        ([], []),
    ],
)
def test_answers_are_read_from_every_form(value, answers):
    assert read_answers(value, CONTEXT, "a.json row 1", "answers") == answers


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("Rome", "a.json row 1: the answer 'Rome' is not in the context"),
        ([{"text": "Paris", "answer_start": 20}], "'Paris' is not at character 20 of the context"),
        ([{"text": "Paris"}], "column 'answers' is not a list of answers"),
        ({"text": ["Paris"], "answer_start": []}, "column 'answers' is not a list of answers"),
        (17, "column 'answers' is not a list of answers"),
        ([" "], "column 'answers' is not a list of answers"),
        ([{"text": " ", "answer_start": 3}], "column 'answers' has an empty answer"),
    ],
)
def test_what_is_no_answer_is_refused(value, message):
    with pytest.raises(DataError, match=message):
        read_answers(value, CONTEXT, "a.json row 1", "answers")
