"""What the routes answer, held against the pipelines that `pocketbert.load` makes of the same directories."""

import httpx
import numpy as np
import pytest
from serving import entailing, post

import pocketbert
from exported import exported
from pocketbert.serve.app import PAGE

TEXT, LONG = "the cat saw the dog near a lovely horse", "the cat saw the dog near a horse " * 20


def load(task, **options):
    return pocketbert.load(exported(task), engine="onnxruntime", precision="fp32", too_long="truncate", **options)


def pairs(predictions):
    return [(each["label"], pytest.approx(each["score"], abs=1e-4)) for each in predictions]


def told(scores):
    return [(each.label, each.score) for each in scores]


def test_predict_gives_every_label_the_likeliest_first(server):
    answer = post(server, "/predict", {"inputs": TEXT})
    assert answer.status_code == 200 and answer.headers["content-type"] == "application/json"
    assert pairs(answer.json()) == told(load("classification")(TEXT).scores)


def test_a_list_of_two_is_a_pair_and_a_list_of_lists_a_batch(server):
    pipeline = load("classification")
    pair = post(server, "/predict", {"inputs": ["the cat", "the dog"]}).json()
    batch = post(server, "/predict", {"inputs": [["the cat"], ["the cat", "the dog"]]}).json()
    assert pairs(pair) == told(pipeline(("the cat", "the dog")).scores) == pairs(batch[1])
    assert pairs(batch[0]) == told(pipeline("the cat").scores)


def test_raw_scores_are_logits_of_which_softmax_gives_the_others(server):
    raw = post(server, "/predict", {"inputs": TEXT, "raw_scores": True}).json()
    powers = np.exp([each["score"] for each in raw])
    assert powers / powers.sum() == pytest.approx([each["score"] for each in load_scores(server)], abs=1e-5)


def load_scores(server):
    return post(server, "/predict", {"inputs": TEXT}).json()


def test_multi_label_scores_are_independent(server):
    answer = post(server, "/predict", {"inputs": TEXT, "model": "multi_label"}).json()
    assert pairs(answer) == told(load("multi_label")(TEXT).scores)


def test_a_regression_gives_its_number_and_ranks_by_it(server):
    pipeline = load("regression")
    (number,) = post(server, "/predict", {"inputs": TEXT, "model": "regression"}).json()
    assert number["score"] == pytest.approx(pipeline(TEXT).value, abs=1e-4)
    texts = ["the cat", "a dog", "very lovely", TEXT]
    ranks = post(server, "/rerank", {"query": "the horse", "texts": texts, "return_text": True}).json()
    values = [pipeline(("the horse", text)).value for text in texts]
    assert [each["index"] for each in ranks] == sorted(range(4), key=lambda index: -values[index])
    assert all(each["text"] == texts[each["index"]] for each in ranks)
    expected = [1 / (1 + np.exp(-values[each["index"]])) for each in ranks]
    assert [each["score"] for each in ranks] == pytest.approx(expected, abs=1e-4)
    raw = post(server, "/rerank", {"query": "the horse", "texts": texts, "raw_scores": True}).json()
    assert [each["score"] for each in raw] == pytest.approx(sorted(values, reverse=True), abs=1e-4)


@pytest.mark.parametrize("normalise", [True, False])
def test_embed_gives_vectors(server, normalise):
    answer = post(server, "/embed", {"inputs": [TEXT, "a dog"], "normalize": normalise}).json()
    expected = [each.vector for each in load("embedding", normalise=normalise)([TEXT, "a dog"])]
    assert np.array(answer) == pytest.approx(np.array(expected), abs=1e-4)
    assert post(server, "/embed", {"inputs": "a dog"}).json()[0] == pytest.approx(
        post(server, "/embed", {"inputs": ["a dog"]}).json()[0]
    )


def test_similarity_is_the_cosine(server):
    sentences = ["the cat", TEXT]
    answer = post(server, "/similarity", {"inputs": {"source_sentence": TEXT, "sentences": sentences}}).json()
    source, *others = [each.vector for each in load("embedding")([TEXT, *sentences])]
    assert answer == pytest.approx([float(source @ other) for other in others], abs=1e-4) and answer[1] > 0.999


def test_tokens_give_entities_as_transformers_names_them(server):
    answer = post(server, "/tokens", {"inputs": TEXT}).json()
    found = load("token_classification")(TEXT).entities
    expected = [(each.type, each.text, each.start, each.end) for each in found]
    assert [(each["entity_group"], each["word"], each["start"], each["end"]) for each in answer] == expected
    assert found and all(TEXT[each["start"] : each["end"]] == each["word"] for each in answer)
    kinds = {each["entity_group"] for each in answer}
    without = {"inputs": TEXT, "parameters": {"aggregation_strategy": "simple", "ignore_labels": sorted(kinds)}}
    assert post(server, "/tokens", without).json() == []


def test_long_texts_are_read_in_windows_where_places_are_looked_for(server):
    answer = post(server, "/tokens", {"inputs": LONG})
    assert "x-truncated" not in answer.headers and answer.json()[-1]["end"] > 300


def test_answer_gives_the_best_spans(server):
    question, context = "the cat", TEXT
    pipeline = pocketbert.load(exported("question_answering"), engine="onnxruntime", precision="fp32")
    (best,) = pipeline((question, context)).answers
    plain = post(server, "/answer", {"question": question, "context": context}).json()
    assert plain == {
        "answer": best.text,
        "start": best.start,
        "end": best.end,
        "score": pytest.approx(best.score, abs=1e-4),
    }
    nested = {"inputs": {"question": question, "context": context}, "parameters": {"top_k": 3}}
    several = post(server, "/answer", nested).json()
    assert several[0]["answer"] == best.text and len(several) == len(pipeline((question, context), top_k=3).answers)
    none = post(server, "/answer", {"question": question, "context": "", "handle_impossible_answer": True}).json()
    assert (none["answer"], none["start"], none["end"]) == ("", 0, 0)


def test_no_answer_is_one_of_the_answers_where_it_is_asked_for(server):
    asked = {"question": "who saw it ?", "context": "the owl"}
    expected = load("question_answering", top_k=3, no_answer=True)(tuple(asked.values()))
    found = post(server, "/answer", {**asked, "top_k": 3, "handle_impossible_answer": True}).json()
    assert [each["answer"] for each in found] == [*(each.text for each in expected.answers), ""]
    assert found[-1] == {"answer": "", "start": 0, "end": 0, "score": pytest.approx(expected.no_answer, abs=1e-4)}
    assert found[0]["score"] > found[-1]["score"] > 0
    assert all(each["answer"] for each in post(server, "/answer", {**asked, "top_k": 3}).json())


def test_fill_mask_gives_the_likeliest_pieces(server):
    text = "the [MASK] saw a dog"
    answer = post(server, "/fill-mask", {"inputs": text, "top_k": 3}).json()
    (expected,) = load("masked_lm", top_k=3)(text).gaps
    assert [(each["token"], each["token_str"], each["sequence"]) for each in answer] == [
        (each.id, each.token, each.text) for each in expected
    ]
    two = post(server, "/fill-mask", {"inputs": "the [MASK] [MASK]", "parameters": {"top_k": 2}}).json()
    assert [len(gap) for gap in two] == [2, 2]


def test_zero_shot_sorts_under_labels_of_ones_own(server):
    body = {"inputs": TEXT, "candidate_labels": ["animals", "trains"], "hypothesis_template": "about {}"}
    answer = post(server, "/zero-shot", body).json()
    pipeline = pocketbert.load(entailing(), "zero_shot", engine="onnxruntime", hypothesis="about {}")
    expected = pipeline(TEXT, labels=["animals", "trains"]).scores
    assert answer["sequence"] == TEXT and answer["labels"] == [each.label for each in expected]
    assert answer["scores"] == pytest.approx([each.score for each in expected], abs=1e-4)
    assert sum(answer["scores"]) == pytest.approx(1)
    several = post(server, "/zero-shot", {**body, "inputs": [TEXT, "a dog"], "multi_label": True}).json()
    assert [each["sequence"] for each in several] == [TEXT, "a dog"]
    assert post(server, "/zero-shot", {**body, "hypothesis_template": "none"}).status_code == 422


def test_tokenize_tells_ids_and_places(server):
    (tokens,) = post(server, "/tokenize", {"inputs": "the cat"}).json()
    assert [each["text"] for each in tokens] == ["[CLS]", "the", "cat", "[SEP]"]
    assert [(each["start"], each["stop"], each["special"]) for each in tokens] == [
        (None, None, True),
        (0, 3, False),
        (4, 7, False),
        (None, None, True),
    ]
    (plain,) = post(server, "/tokenize", {"inputs": "the cat", "add_special_tokens": False}).json()
    assert plain == tokens[1:-1]
    (long,) = post(server, "/tokenize", {"inputs": LONG}).json()
    assert len(long) == 162


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"inputs": TEXT}, "/predict"),
        ({"inputs": TEXT, "model": "embedding"}, "/embed"),
        ({"inputs": TEXT, "model": "token_classification"}, "/tokens"),
        ({"inputs": {"question": "the", "context": TEXT}}, "/answer"),
        ({"inputs": [{"question": "the", "context": TEXT}]}, "/answer"),
        ({"question": "the", "context": TEXT, "top_k": 2}, "/answer"),
        ({"inputs": "the [MASK]", "model": "masked_lm"}, "/fill-mask"),
        ({"inputs": {"source_sentence": TEXT, "sentences": ["a"]}}, "/similarity"),
        ({"query": TEXT, "texts": ["a", "b"]}, "/rerank"),
        ({"inputs": TEXT, "parameters": {"candidate_labels": ["a", "b"]}}, "/zero-shot"),
    ],
)
def test_the_root_answers_as_the_route_that_is_meant(server, body, path):
    answer = post(server, "/", body)
    assert answer.status_code == 200 and answer.json() == post(server, path, body).json()


def test_texts_that_are_too_long_are_cut_and_told_or_refused(server):
    cut = post(server, "/predict", {"inputs": [["a dog"], [LONG], [TEXT], [LONG]]})
    assert cut.status_code == 200 and cut.headers["x-truncated"] == "1,3"
    refused = post(server, "/predict", {"inputs": LONG, "truncate": False})
    assert refused.status_code == 413 and refused.json()["error_type"] == "Validation"
    assert "48 tokens" in refused.json()["error"]
    assert post(server, "/embed", {"inputs": LONG, "truncate": True}).status_code == 200
    labels = {"inputs": LONG, "candidate_labels": ["a", "b"]}
    assert post(server, "/zero-shot", labels).headers["x-truncated"] == "0"
    assert post(server, "/zero-shot", {**labels, "truncate": False}).status_code == 413


def test_headers_tell_what_it_took(server):
    headers = post(server, "/predict", {"inputs": [["the cat"], ["a dog"]]}).headers
    assert (headers["x-compute-characters"], headers["x-compute-tokens"], headers["x-compute-type"]) == (
        "12",
        "8",
        "cpu",
    )
    assert {
        "x-compute-time",
        "x-total-time",
        "x-tokenization-time",
        "x-queue-time",
        "x-inference-time",
    } <= headers.keys()


@pytest.mark.parametrize(
    ("path", "body", "status", "kind"),
    [
        ("/predict", {"inputs": "a", "model": "nobody"}, 404, "NotFound"),
        ("/embed", {"inputs": "a", "model": "classification"}, 424, "Backend"),
        ("/predict", {"inputs": [["a"]] * 41}, 413, "Validation"),
        ("/predict", {"inputs": "a" * 5001}, 413, "Validation"),
        ("/predict", {"inputs": []}, 422, "Validation"),
        ("/predict", {"inputs": ["a", "b", "c"]}, 422, "Validation"),
        ("/predict", {"inputs": "a", "truncation_direction": "Left"}, 422, "Validation"),
        ("/predict", {"inputs": "a", "top": 1}, 422, "Validation"),
        ("/fill-mask", {"inputs": "no gap"}, 422, "Tokenizer"),
        ("/fill-mask", {"inputs": "[MASK] " * 700}, 413, "Validation"),
        ("/fill-mask", {"inputs": "[MASK] " + "a" * 4900, "top_k": 1100}, 413, "Validation"),
        ("/answer", {"question": " ", "context": "a"}, 422, "Tokenizer"),
        ("/answer", {"question": "the cat " * 30, "context": "a"}, 422, "Tokenizer"),
        ("/zero-shot", {"inputs": "a", "candidate_labels": ["b", "b"]}, 422, "Validation"),
    ],
)
def test_mistakes_have_their_status_and_kind(server, path, body, status, kind):
    answer = post(server, path, body)
    assert (answer.status_code, answer.json()["error_type"]) == (status, kind) and answer.json()["error"]


def test_openai_errors_look_as_openais(server):
    answer = post(server, "/v1/embeddings", {"input": "a", "dimensions": 8})
    assert answer.status_code == 422 and "dimensions" in answer.json()["error"]["message"]


def test_info_and_models_tell_what_is_served(server):
    info = httpx.get(server.url + "/info").json()
    assert info["model_id"] == "classification" and info["max_input_length"] == 48
    assert info["model_type"]["classifier"]["id2label"] == {"0": "bad", "1": "good"}
    cards = {card["name"]: card for card in httpx.get(server.url + "/models").json()}
    assert [card["task"] for card in cards.values()][:7] == list(cards)[:7]
    assert cards["entailing"]["zero_shot"] and not cards["classification"]["zero_shot"]
    assert cards["masked_lm"]["mask_token"] == "[MASK]" and cards["embedding"]["mask_token"] is None
    assert all(1 <= len(card["examples"]) <= 4 and card["browser"] is None for card in cards.values())
    assert all(len(example) == 2 for example in cards["question_answering"]["examples"])
    assert all(" " in text for card in cards.values() for example in card["examples"] for text in example)
    names = [model["id"] for model in httpx.get(server.url + "/v1/models").json()["data"]]
    assert names == list(cards)
    page = httpx.get(server.url + "/")
    assert page.status_code == 200 and page.headers["content-type"].startswith("text/html")
    assert httpx.get(server.url + "/predict").status_code == 405 and httpx.get(server.url + "/no").status_code == 404


def test_the_page_and_all_its_files_are_served(server):
    kinds = {".js": "text/javascript", ".css": "text/css", ".html": "text/html", ".svg": "image/svg+xml"}
    files = sorted(PAGE.iterdir())
    assert len(files) > 5
    for file in files:
        answer = httpx.get(f"{server.url}/{file.name}")
        assert answer.status_code == 200 and answer.content == file.read_bytes()
        assert answer.headers["content-type"].startswith(kinds[file.suffix])
    assert httpx.get(server.url + "/").content == (PAGE / "index.html").read_bytes()
    for outside in ("/..%2fapp.py", "/../app.py", "/page/../../app.py", "/%2e%2e/app.py"):
        assert httpx.get(server.url + outside).status_code == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "GET", "HEAD"])
@pytest.mark.parametrize("path", ["/nope", "/v1/nope", "/models/nope", "/models/classification/browser/nope"])
def test_a_path_that_is_not_there_is_not_found_by_any_method(server, method, path):
    answer = httpx.request(method, server.url + path, json={})
    assert answer.status_code == 404
    if method != "HEAD":
        error = answer.json()
        assert path == "/v1/nope" or error["error_type"] == "NotFound"


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/models"), ("POST", "/page.css"), ("PUT", "/"), ("DELETE", "/predict"), ("HEAD", "/predict")],
)
def test_a_path_has_its_methods(server, method, path):
    answer = httpx.request(method, server.url + path, json={})
    assert answer.status_code == 405 and answer.headers["allow"]


@pytest.mark.parametrize("path", ["/", "/models", "/v1/models", "/info", "/info?model=nope", "/health", "/page.css"])
def test_head_is_answered_as_get_is_without_a_body(server, path):
    with httpx.Client(base_url=server.url) as client:  # one connection: a body would be taken for the next answer
        given, head, after = client.get(path), client.head(path), client.get(path)
    assert (head.status_code, head.content) == (given.status_code, b"") and after.content == given.content
    for name in ("content-length", "content-type"):
        assert head.headers[name] == given.headers[name]
