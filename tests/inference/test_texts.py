import numpy as np
import pytest
import torch

import pocketbert
from exported import exported
from pocketbert.errors import DataError, PocketBertError
from pocketbert.inference.texts import softmax

TEXT = "the cat saw a bright house"
LONG = "the cat saw a bright house near the park and it was very cold " * 6
"""Of more tokens than the tiny models take, 48."""


@pytest.mark.parametrize("given", [TEXT, (TEXT, "it was warm")], ids=["text", "pair"])
@pytest.mark.parametrize("family", ["bert", "roberta", "albert"])
def test_a_label_is_torchs_softmax(pipeline, torch_logits, given, family):
    text, pair = given if isinstance(given, tuple) else (given, None)
    expected = torch_logits("classification", text, pair, family)[0].logits[0].softmax(dim=-1).tolist()
    found = pipeline("classification", family)(given)
    assert {each.label: each.score for each in found.scores} == pytest.approx(
        dict(zip(["bad", "good"], expected, strict=True)), abs=1e-5
    )
    assert found.label == found.scores[0].label == ["bad", "good"][int(np.argmax(expected))]
    assert found.score == found.scores[0].score >= found.scores[1].score
    assert not found.truncated


def test_labels_of_their_own_are_torchs_sigmoids(pipeline, torch_logits):
    expected = torch_logits("multi_label", TEXT)[0].logits[0].sigmoid().tolist()
    found = pipeline("multi_label")(TEXT)
    assert {each.label: each.score for each in found.scores} == pytest.approx(
        dict(zip("abc", expected, strict=True)), abs=1e-5
    )
    assert found.labels == [each.label for each in found.scores if each.score >= 0.5]
    least = min(each.score for each in found.scores)
    assert len(pipeline("multi_label")(TEXT, threshold=least).labels) == 3


def test_a_number_is_the_logit(pipeline, torch_logits):
    expected = torch_logits("regression", TEXT)[0].logits.item()
    assert pipeline("regression")(TEXT).value == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("normalise", [True, False])
def test_a_vector_is_the_mean_of_the_tokens(pipeline, torch_logits, normalise):
    expected = torch_logits("embedding", TEXT)[0].last_hidden_state[0].mean(dim=0)
    if normalise:
        expected = torch.nn.functional.normalize(expected, dim=0)
    found = pipeline("embedding")(TEXT, normalise=normalise)
    np.testing.assert_allclose(found.vector, expected, atol=1e-5)


def test_a_long_text_is_cut_as_in_training_on_request(pipeline, torch_logits):
    expected = torch_logits("classification", LONG, truncation=True)[0].logits[0].softmax(dim=-1).tolist()
    found = pipeline("classification")(LONG, too_long="truncate")
    assert found.truncated and found.tokens == 48
    assert {each.label: each.score for each in found.scores} == pytest.approx(
        dict(zip(["bad", "good"], expected, strict=True)), abs=1e-5
    )


def test_a_long_text_is_read_whole_in_windows_each_counted_by_its_tokens(pipeline, torch_logits):
    _, inputs = torch_logits("classification", LONG, truncation=True, return_overflowing_tokens=True, padding="longest")
    sizes = inputs["attention_mask"].sum(dim=1).tolist()
    assert len(sizes) > 1
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(exported("classification")).eval()
    inputs.pop("overflow_to_sample_mapping")
    with torch.inference_mode():
        logits = model(**inputs).logits.numpy()
    expected = softmax(np.average(logits, axis=0, weights=sizes))
    found = pipeline("classification")(LONG)
    assert not found.truncated and found.tokens == sum(sizes)
    assert found.score == pytest.approx(float(expected.max()), abs=1e-5)


def test_a_long_pair_is_cut_and_says_so(pipeline):
    assert pipeline("classification")((LONG, TEXT)).truncated
    assert not pipeline("classification")((TEXT, TEXT)).truncated


@pytest.mark.parametrize("text", ["", "   ", "\x00", "😍", "é́", "\ud7ff\ufffe"])
def test_any_text_has_an_answer(pipeline, text):
    assert pipeline("classification")(text) == pipeline("classification")([text])[0]


@pytest.mark.parametrize("given", [3, None, b"text", ("a",), ("a", 3), {"text": "a"}])
def test_what_is_no_text_is_told_with_its_place(pipeline, given):
    with pytest.raises(DataError, match="is expected"):
        pipeline("classification")(given)
    with pytest.raises(DataError, match=r"^input 2: "):
        pipeline("classification")([TEXT, given])


def test_an_embedding_has_no_pair(pipeline):
    with pytest.raises(DataError, match=r"a text \(a string\) is expected"):
        pipeline("embedding")((TEXT, TEXT))


def test_top_k_leaves_out_the_others(pipeline):
    assert len(pipeline("classification")(TEXT, top_k=1).scores) == 1
    assert len(pipeline("multi_label")([TEXT], top_k=2)[0].scores) == 2


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"top_k": 0}, "top_k: 0: a whole number from 1 on"),
        ({"too_long": "skip"}, "too_long: 'skip': choose windows or truncate"),
        ({"threshold": 0.3}, "there is no option 'threshold'; there are too_long, top_k"),
    ],
)
def test_a_wrong_option_is_told(pipeline, options, told):
    with pytest.raises(PocketBertError, match=told.replace("(", r"\(")):
        pipeline("classification")(TEXT, **options)
    with pytest.raises(PocketBertError):
        pocketbert.load(exported("classification"), **options)
    with pytest.raises(PocketBertError, match="threshold: 2"):
        pipeline("multi_label")(TEXT, threshold=2)
