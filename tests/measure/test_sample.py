"""The texts that models are timed on."""

import pytest

import tiny
from pocketbert.data.embedded import records
from pocketbert.distill.rows import read_test_rows
from pocketbert.errors import DataError
from pocketbert.measure.evaluation import answer
from pocketbert.measure.opening import open_model
from pocketbert.measure.sample import TEXTS, rows_of_length, sample_embedded, sample_rows
from pocketbert.recipe import Data


@pytest.fixture(scope="module", params=["bert", "roberta", "albert"])
def model(request, tmp_path_factory):
    folder = tiny.make_checkpoint(tmp_path_factory.mktemp("model") / "m", request.param, "SequenceClassification")
    return open_model(str(folder))


@pytest.mark.parametrize("tokens", [8, 31, 48])
@pytest.mark.parametrize("texts", [["the cat"], ["the cat saw a dog", "it was very cold"] * 50])
def test_rows_have_the_length_that_is_asked(model, texts, tokens):
    rows = rows_of_length(model, texts, tokens, 12)
    assert [len(row["input_ids"]) for row in rows] == [tokens] * 12
    assert all(sum(row["attention_mask"]) == tokens for row in rows)
    ends = {(row["input_ids"][0], row["input_ids"][-1]) for row in rows}
    assert ends == {(model.tokenizer.cls_token_id, model.tokenizer.sep_token_id)}
    assert len({tuple(row["input_ids"]) for row in rows}) > 1


@pytest.mark.parametrize("texts", [[""], [" \n "]])
def test_texts_without_tokens_are_refused(tmp_path, texts):
    model = open_model(str(tiny.make_checkpoint(tmp_path / "m", "bert", "SequenceClassification")))
    with pytest.raises(DataError, match="have too few tokens for a row of 8"):
        rows_of_length(model, texts, 8, 2)


def test_embedded_text_is_cut_at_what_all_models_take(model):
    sample = sample_embedded({"a": model, "b": model}, 24)
    paragraphs = [record.values["text"] for record in records("test")]
    assert len(sample.texts) == len(sample.features["a"]) == TEXTS and set(sample.texts) <= set(paragraphs)
    lengths = [len(row["input_ids"]) for row in sample.features["a"]]
    assert max(lengths) == 24 and sample.features["a"] == sample.features["b"]


@pytest.mark.parametrize(("rows", "expected"), [(40, 40), (300, TEXTS)])
def test_rows_of_a_task_are_spread_over_all(tmp_path, rows, expected):
    model = open_model(str(tiny.make_checkpoint(tmp_path / "m", "bert", "SequenceClassification")))
    path = tiny.write_reviews(tmp_path / "test.csv", rows, pairs=True)
    data = Data(task="classification", test=[str(path)], text="text", pair="pair", max_length=24)
    found = read_test_rows(data, tiny.LABELS)
    answers = answer(model, found)
    sample = sample_rows({"m": answers}, found)
    assert len(sample.texts) == len(sample.features["m"]) == expected
    whole = answers.encoded.features
    places = [whole.index(feature) for feature in sample.features["m"]]
    assert places[-1] >= rows * 0.9 and places == sorted(places)
    example = found.test[places[1]]
    assert sample.texts[1] == f"{example.text} {example.pair}"
