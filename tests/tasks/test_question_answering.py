import json

import numpy as np
import pytest

from pocketbert.data.records import Record
from pocketbert.errors import DataError
from pocketbert.tasks.answers import Answer

CONTEXT = "Rex, the dog, ran away from Berlin in 1999."
ROW = {"question": "Who ran?", "context": CONTEXT, "answers": {"text": ["Rex", "the dog"], "answer_start": [0, 5]}}
NONE = {"question": "Who sat?", "context": CONTEXT, "answers": {"text": [], "answer_start": []}}
LONG = {
    "question": "where ?",
    "context": "the cat sat . " * 12 + "Rex ran to Berlin . " + "a dog ran . " * 12,
    "answers": "Berlin",
}


def pointing(encoded, window, start, end, height=5.0):
    """Logits of a window that point to two characters of the context."""
    places = encoded.places[window]
    logits = np.zeros((len(places), 2), dtype=np.float32)
    logits[np.flatnonzero(places[:, 0] == start)[:1], 0] = height
    logits[np.flatnonzero(places[:, 1] == end)[:1], 1] = height
    return logits


@pytest.mark.parametrize("name", ["wordpiece", "roberta", "byte_sequence", "classifier_last"])
def test_labels_point_to_the_first_answer(name, request, rows, make):
    tokenizer = request.getfixturevalue(name)
    task = make("question_answering")
    data = rows({**ROW, "answers": "ran away"})
    task.fit(data)
    encoded = task.encode(task.examples(data), tokenizer)
    start, end = encoded.features[0]["labels"]
    places = encoded.places[0]
    assert CONTEXT[places[start, 0] : places[end, 1]].strip() == "ran away"
    (answer,) = task.decode([pointing(encoded, 0, places[start, 0], places[end, 1])], encoded)
    assert answer == Answer("ran away", 14, 22, 10.0)


@pytest.mark.parametrize("name", ["wordpiece", "classifier_last"])
def test_windows_overlap_and_cover_the_context(name, request, rows, make):
    tokenizer = request.getfixturevalue(name)
    task = make("question_answering", max_length=24, stride=6)
    encoded = task.encode(task.examples(rows(ROW, LONG)), tokenizer)
    assert set(encoded.example_of) == {0, 1}
    assert len(encoded) > 5
    assert max(encoded.lengths) <= 24
    assert encoded.truncated == 0
    long = [places for places, number in zip(encoded.places, encoded.example_of, strict=True) if number == 1]
    covered = {int(character) for places in long for character in places[:, 0]} - {-1, -2}
    words = [
        index for index, letter in enumerate(LONG["context"]) if letter != " " and LONG["context"][index - 1] == " "
    ]
    assert covered >= set(words[1:])
    first, second = ({tuple(place) for place in places.tolist() if place[0] >= 0} for places in long[:2])
    assert len(first & second) == 6


def test_windows_without_the_answer_point_to_the_classifier(rows, make, wordpiece, classifier_last):
    for tokenizer in (wordpiece, classifier_last):
        task = make("question_answering", max_length=24, stride=6)
        encoded = task.encode(task.examples(rows(LONG)), tokenizer)
        holding = 0
        for feature, places in zip(encoded.features, encoded.places, strict=True):
            start, end = feature["labels"]
            if places[start, 0] >= 0:
                holding += 1
                assert LONG["context"][places[start, 0] : places[end, 1]].lower() == "berlin"
            else:
                assert start == end
                assert feature["input_ids"][start] == tokenizer.cls_token_id
        assert 0 < holding < len(encoded)


def test_the_best_window_wins(rows, make, wordpiece):
    task = make("question_answering", max_length=24, stride=6)
    encoded = task.encode(task.examples(rows(LONG)), wordpiece)
    place = LONG["context"].index("Berlin")
    window = next(number for number, places in enumerate(encoded.places) if place in places[:, 0])
    logits = [pointing(encoded, number, int(places[5, 0]), int(places[5, 1]), 3.0)
              for number, places in enumerate(encoded.places)]  # fmt: skip
    logits[window] = pointing(encoded, window, place, place + 6)
    assert task.decode(logits, encoded) == [Answer("Berlin", place, place + 6, 10.0)]


def test_no_answer_only_where_rows_have_none(rows, make, wordpiece):
    for data, empty in (((ROW, ROW), False), ((ROW, NONE), True)):
        task = make("question_answering")
        task.fit(rows(*data))
        encoded = task.encode(task.examples(rows(ROW)), wordpiece)
        logits = pointing(encoded, 0, 0, 3)
        logits[0] = 5.5
        (answer,) = task.decode([logits], encoded)
        assert answer == (Answer("", 0, 0, 11.0) if empty else Answer("Rex", 0, 3, 10.0))


def test_no_answer_has_to_win_in_every_window(rows, make, wordpiece):
    task = make("question_answering", max_length=24, stride=6)
    task.fit(rows(NONE))
    encoded = task.encode(task.examples(rows(LONG)), wordpiece)
    first = encoded.places[0][encoded.places[0][:, 0] >= 0][0]
    logits = [np.full((len(places), 2), -9.0, dtype=np.float32) for places in encoded.places]
    logits[0] = pointing(encoded, 0, int(first[0]), int(first[1]))
    for row in logits:
        row[0] = 20.0
    assert task.decode(logits, encoded)[0].text == ""
    logits[-1][0] = -1.0
    assert task.decode(logits, encoded)[0].text == "the"


def test_a_question_that_leaves_no_room_is_named(rows, make, wordpiece):
    data = rows(ROW, {**ROW, "question": "who ran " * 20}, file="dev.json")
    task = make("question_answering", max_length=24, stride=6)
    with pytest.raises(DataError, match=r"dev.json row 2: the question leaves 0 of max_length 24 tokens"):
        task.encode(task.examples(data), wordpiece)
    task = make("question_answering", max_length=24, stride=6, too_long="skip")
    encoded = task.encode(task.examples(data), wordpiece)
    assert (len(encoded.examples), set(encoded.example_of), task.skipped.count) == (1, {0}, 1)


@pytest.mark.parametrize("words", [14, 15])
def test_the_room_is_counted_exactly(words, rows, make, wordpiece):
    # 24 tokens less three special ones less the question must be more than the stride of 6.
    task = make("question_answering", max_length=24, stride=6)
    examples = task.examples(rows({**ROW, "question": "who " * words}))
    if words == 14:
        assert max(task.encode(examples, wordpiece).lengths) == 24
    else:
        with pytest.raises(DataError, match="leaves 6 of max_length 24"):
            task.encode(examples, wordpiece)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"question": ""}, "row 1: column 'question' is empty"),
        ({"context": None}, "row 1: column 'context' is empty"),
        ({"answers": "Rome"}, "row 1: the answer 'Rome' is not in the context"),
    ],
)
def test_a_bad_row_is_named_or_skipped(change, message, rows, make):
    with pytest.raises(DataError, match=message):
        make("question_answering").examples(rows({**ROW, **change}))
    task = make("question_answering", on_error="skip")
    assert len(task.examples(rows({**ROW, **change}, ROW))) == 1
    assert task.skipped.count == 1


def test_scores_by_hand(rows, make):
    task = make("question_answering", metric=["exact_match", "answer_f1"])
    targets = [example.target for example in task.examples(rows(ROW, NONE, {**ROW, "answers": "Berlin in 1999"}))]
    predictions = [Answer("dog", 9, 12), Answer("Rex", 0, 3), Answer("in 1999", 35, 42)]
    f1 = (1 + 0 + 2 * 2 / (2 + 3)) / 3
    assert task.score(predictions, targets) == {"exact_match": pytest.approx(1 / 3), "answer_f1": pytest.approx(f1)}
    assert task.scorer(predictions, targets)(np.array([0, 1, 2])) == pytest.approx((1 / 3 + f1) / 2)
    assert task.scorer(predictions, targets)(np.array([0, 0])) == 1.0
    assert task.correct(predictions, targets).tolist() == [True, False, False]
    assert task.agreement(predictions, [Answer("the dog", 5, 12), *predictions[:2]]) == pytest.approx(1 / 3)
    assert task.majority([*targets, []], [None])[0].text == ""
    assert task.model_fields()["num_labels"] == 2


def test_real_answers_are_found_again(shared_data, make, wordpiece):
    """Logits that point to the labels give back the answers, windows and all."""
    with (shared_data / "squad" / "dev-v1.1.json").open(encoding="utf-8") as stream:
        paragraphs = json.load(stream)["data"][0]["paragraphs"][:20]
    data = [
        Record({"question": row["question"], "context": paragraph["context"], "answers": row["answers"]}, row["id"])
        for paragraph in paragraphs
        for row in paragraph["qas"]
    ]
    task = make("question_answering", max_length=384, stride=128)
    examples = task.examples(data)
    encoded = task.encode(examples, wordpiece)
    logits = []
    for feature, places in zip(encoded.features, encoded.places, strict=True):
        row = np.zeros((len(places), 2), dtype=np.float32)
        row[feature["labels"][0], 0] = row[feature["labels"][1], 1] = 9.0
        logits.append(row)
    scores = task.score(task.decode(logits, encoded), [example.target for example in examples])
    assert len(examples) > 200
    assert scores["exact_match"] > 0.95  # the tokens of this vocabulary are letters: long answers are over the limit
