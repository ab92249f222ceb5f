"""Clients that people have already work unchanged, and text-embeddings-inference's documented examples."""

import numpy as np
import openai
import pytest
from huggingface_hub import InferenceClient, constants
from langchain_openai import OpenAIEmbeddings
from serving import post

import pocketbert
from exported import exported

TEXT = "the cat saw the dog near a lovely horse"


@pytest.fixture(scope="module")
def vectors():
    texts = [TEXT, "a dog"]
    found = pocketbert.load(exported("embedding"), engine="onnxruntime", precision="fp32")(texts)
    return dict(zip(texts, (each.vector for each in found), strict=True))


def test_openai_embeddings(server, vectors):
    client = openai.OpenAI(base_url=server.url + "/v1", api_key="none")
    for form in ({}, {"encoding_format": "float"}):  # left alone, it asks for Base64
        found = client.embeddings.create(model="embedding", input=list(vectors), **form)
        assert np.array([each.embedding for each in found.data]) == pytest.approx(
            np.stack(list(vectors.values())), abs=1e-4
        )
        assert [each.index for each in found.data] == [
            0,
            1,
        ] and found.usage.prompt_tokens == found.usage.total_tokens > 4
    assert "embedding" in [model.id for model in client.models.list()]
    with pytest.raises(openai.NotFoundError, match="no such model"):
        client.embeddings.create(model="text-embedding-3-small", input="a")
    with pytest.raises(openai.UnprocessableEntityError, match="dimensions"):
        client.embeddings.create(model="embedding", input="a", dimensions=8)


def test_langchain_embeddings(server, vectors):
    embeddings = OpenAIEmbeddings(
        model="embedding", base_url=server.url + "/v1", api_key="none", check_embedding_ctx_length=False
    )
    assert np.array(embeddings.embed_query(TEXT)) == pytest.approx(vectors[TEXT], abs=1e-4)
    assert np.array(embeddings.embed_documents(list(vectors))[1]) == pytest.approx(vectors["a dog"], abs=1e-4)


@pytest.fixture
def hugging_face(monkeypatch):
    """Its client asks nobody while tests keep it from the network, not even this machine."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)


@pytest.mark.usefixtures("hugging_face")
def test_hugging_face_inference_client(server, vectors):
    client = InferenceClient(model=server.url)
    labels = client.text_classification(TEXT)
    assert {each.label for each in labels} == {"bad", "good"} and labels[0].score >= labels[1].score
    assert len(client.text_classification(TEXT, top_k=1)) == 1
    sorted_labels = client.zero_shot_classification(TEXT, ["animals", "trains"], hypothesis_template="about {}")
    assert sorted(each.label for each in sorted_labels) == ["animals", "trains"]
    similar = client.sentence_similarity(TEXT, ["a dog"])
    assert similar == pytest.approx([float(vectors[TEXT] @ vectors["a dog"])], abs=1e-4)


@pytest.mark.usefixtures("hugging_face")
def test_hugging_face_inference_client_by_route(server, vectors):
    client = InferenceClient()
    (entity, *_) = client.token_classification(TEXT, model=server.url + "/tokens", aggregation_strategy="simple")
    assert TEXT[entity.start : entity.end] == entity.word and entity.entity_group
    answer = client.question_answering(question="the cat", context=TEXT, model=server.url + "/answer")
    assert TEXT[answer.start : answer.end] == answer.answer and 0 < answer.score < 1
    several = client.question_answering(question="the cat", context=TEXT, top_k=2, model=server.url + "/answer")
    assert len(several) == 2 and several[0].answer == answer.answer
    fillings = client.fill_mask("the [MASK] saw", top_k=2, model=server.url + "/fill-mask")
    assert len(fillings) == 2 and fillings[0].sequence.endswith("saw")
    found = client.feature_extraction(TEXT, normalize=True, model=server.url + "/embed")
    assert found[0] == pytest.approx(vectors[TEXT], abs=1e-4)


def is_prediction(value):
    return value.keys() == {"label", "score"} and isinstance(value["label"], str) and isinstance(value["score"], float)


def is_vector(value):
    return isinstance(value, list) and all(isinstance(number, float) for number in value)


def is_vectors(value):
    return all(map(is_vector, value))


def is_predictions(value):
    return all(map(is_prediction, value))


def is_ranks(value):
    return all(each.keys() == {"index", "score"} for each in value)


def is_tokens(value):
    return all(each.keys() == {"id", "text", "special", "start", "stop"} for one in value for each in one)


DEEP, TWO = "What is Deep Learning?", ["I like you.", "I hate pineapples"]


@pytest.mark.parametrize(
    ("path", "body", "count", "shaped"),
    [
        ("/embed", {"inputs": DEEP}, 1, is_vectors),
        ("/embed", {"inputs": ["Today is a sunny day", "I like you"]}, 2, is_vectors),
        ("/rerank", {"query": DEEP, "texts": ["Deep Learning is not...", "Deep learning is..."]}, 2, is_ranks),
        ("/predict", {"inputs": "I like you."}, 2, is_predictions),
        ("/predict", {"inputs": TWO}, 2, is_predictions),  # a pair
        ("/predict", {"inputs": [[each] for each in TWO]}, 2, lambda value: all(map(is_predictions, value))),
        ("/similarity", {"inputs": {"source_sentence": DEEP, "sentences": TWO}}, 2, is_vector),
        ("/tokenize", {"inputs": DEEP}, 1, is_tokens),
    ],
)
def test_documented_examples_of_text_embeddings_inference(server, path, body, count, shaped):
    answer = post(server, path, body)
    assert answer.status_code == 200 and len(answer.json()) == count and shaped(answer.json()), answer.text
