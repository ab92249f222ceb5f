import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import pocketbert
from exported import QUIET, exported, make_model
from pocketbert.errors import ModelError, PocketBertError
from pocketbert.export.exporting import export
from pocketbert.recipe import ExportStage, Limits

NAMES = ["contradiction", "neutral", "entailment"]
TEXT = "the cat saw a bright house"


@pytest.fixture(scope="module")
def entailing(tmp_path_factory):
    folder = tmp_path_factory.mktemp("entailing")
    fields = {"num_labels": 3, "id2label": dict(enumerate(NAMES))}
    model = make_model(folder / "model", "classification", **fields)
    export(ExportStage(limits=Limits(label_flips=0.1)), str(model), folder / "exported", console=QUIET)
    return folder / "exported"


def test_labels_share_the_probability_that_they_follow(entailing):
    pairs = pocketbert.load(entailing)
    zero_shot = pocketbert.load(entailing, "zero_shot")
    labels = ["cat", "dog", "park"]
    hypotheses = [(TEXT, f"it was {label}") for label in labels]
    model = AutoModelForSequenceClassification.from_pretrained(entailing).eval()
    tokenizer = AutoTokenizer.from_pretrained(entailing)
    with torch.inference_mode():
        inputs = tokenizer([TEXT] * 3, [pair[1] for pair in hypotheses], return_tensors="pt", padding=True)
        expected = model(**inputs).logits[:, NAMES.index("entailment")].softmax(dim=0).tolist()
    found = zero_shot(TEXT, labels=labels, hypothesis="it was {}", multi_label=False)
    assert {each.label: each.score for each in found.scores} == pytest.approx(
        dict(zip(labels, expected, strict=True)), abs=1e-5
    )
    assert found.label == found.scores[0].label == labels[expected.index(max(expected))]
    alone = zero_shot(TEXT, labels=labels, hypothesis="it was {}", multi_label=True)
    for label, pair in zip(labels, hypotheses, strict=True):
        shares = {each.label: each.score for each in pairs(pair).scores}
        against = shares["entailment"] / (shares["entailment"] + shares["contradiction"])
        assert {each.label: each.score for each in alone.scores}[label] == pytest.approx(against, abs=1e-5)


def test_many_texts_and_options_at_load(entailing):
    zero_shot = pocketbert.load(entailing, "zero_shot", labels=["cat", "dog"])
    texts = [TEXT, "a dull park", TEXT]
    found = zero_shot(texts)
    assert [each.label for each in found] == [zero_shot(text).label for text in texts]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "labels: name some"),
        ({"labels": "cat"}, "labels: a list of names"),
        ({"labels": ["cat", " "]}, "labels: a list of names"),
        ({"labels": ["cat", "cat"]}, "labels: one is there twice"),
        ({"labels": ["cat"], "hypothesis": "about it"}, r"has no \{\} for the label"),
    ],
)
def test_wrong_options_are_told(entailing, options, told):
    with pytest.raises(PocketBertError, match=told):
        pocketbert.load(entailing, "zero_shot")(TEXT, **options)


def test_a_model_that_tells_no_entailment_is_refused():
    with pytest.raises(ModelError, match="a label 'entailment'; it has bad, good"):
        pocketbert.load(exported("classification"), "zero_shot")
    with pytest.raises(PocketBertError, match="answers embedding; zero_shot needs"):
        pocketbert.load(exported("embedding"), "zero_shot")
    with pytest.raises(PocketBertError, match="answers embedding; leave it out"):
        pocketbert.load(exported("embedding"), "classification")
