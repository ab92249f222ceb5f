"""What a model answers, told from its configuration."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

import tiny
from pocketbert.errors import ModelError
from pocketbert.models.describing import HEADS, as_engine, own_task


@pytest.mark.parametrize(
    ("architecture", "fields", "task"),
    [
        ("BertForSequenceClassification", {"problem_type": "single_label_classification"}, "classification"),
        ("BertForSequenceClassification", {"problem_type": "multi_label_classification"}, "multi_label"),
        ("BertForSequenceClassification", {"problem_type": "regression"}, "regression"),
        ("BertForSequenceClassification", {"num_labels": 1}, "regression"),
        ("DistilBertForSequenceClassification", {}, "classification"),
        ("RobertaForTokenClassification", {}, "token_classification"),
        ("AlbertForQuestionAnswering", {}, "question_answering"),
        ("ElectraForMaskedLM", {}, "masked_lm"),
        ("SqueezeBertModel", {}, "embedding"),
    ],
)
def test_the_head_tells_the_task(architecture, fields, task):
    config = SimpleNamespace(architectures=[architecture], **{"problem_type": None, "num_labels": 2, **fields})
    assert own_task(config, "model") == task


@pytest.mark.parametrize("architectures", [None, ["BertForMultipleChoice"]])
def test_a_head_of_no_task_is_refused(architectures):
    name = architectures[0] if architectures else "none"
    with pytest.raises(ModelError, match=rf"model: config\.json names no known head \(architectures: {name}\)"):
        own_task(SimpleNamespace(architectures=architectures), "model")


@pytest.mark.parametrize("task", ["classification", "token_classification", "question_answering", "regression"])
@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_the_engine_gives_the_models_logits_and_says_what_it_is(family, task):
    tokenizer = tiny.make_tokenizer(family)
    labels = {"num_labels": 1} if task == "regression" else {}
    model = tiny.make_model(family, HEADS[task], tokenizer, **labels)
    engine = as_engine(model, tokenizer.model_input_names, task)
    batch = tokenizer(["the cat", "a dog saw it"], padding=True, return_tensors="np")
    with torch.inference_mode():
        answer = model(**tokenizer(["the cat", "a dog saw it"], padding=True, return_tensors="pt"))
    spans = task == "question_answering"
    expected = torch.stack([answer.start_logits, answer.end_logits], -1) if spans else answer.logits
    assert np.allclose(engine.run(dict(batch)), expected.numpy(), atol=1e-6)
    told = engine.description
    assert (told.task, told.precision, told.max_length, told.pooling) == (task, "fp32", tiny.POSITIONS, None)
    assert told.labels == {"classification": tiny.LABELS, "token_classification": tiny.TAGS}.get(task)


def test_an_embedding_is_the_mean_of_the_tokens():
    tokenizer = tiny.make_tokenizer("bert")
    model = tiny.make_model("bert", "TextEncoding", tokenizer)
    engine = as_engine(model, tokenizer.model_input_names, "embedding")
    texts = ["the cat", "a dog saw the horse"]
    batch = dict(tokenizer(texts, padding=True, return_tensors="np"))
    with torch.inference_mode():
        alone = [model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(0).numpy() for text in texts]
    assert np.allclose(engine.run(batch), alone, atol=1e-5)
    assert (engine.description.task, engine.description.pooling) == ("embedding", "mean")
