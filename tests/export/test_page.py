"""The page in a real browser, without a network, against numpy and the tokenizers of Python."""

import json
import re
from pathlib import Path

import chromium
import numpy as np
import pytest
from browser_folders import FAMILIES, LABELS, MAX_LENGTH, TEXTS, encode, load_tokenizer, make_graph, write_folder

from browsers import find_chromium, need_node_modules
from pocketbert.export.packages import WASM, find_runtime
from pocketbert.tasks.windows import best_span, context_places

TYPED = {
    "classification": [["the horse was bright"], ["warm " * 200]],
    "multi_label": [["the horse was bright"]],
    "regression": [["the owl", "a house"]],
    "token_classification": [["The owl saw a dog, twice."]],
    "question_answering": [["who saw it ?", "The Ówl saw — a dog 😀 near the barn."]],
    "masked_lm": [["the [MASK] saw a dog"]],
    "embedding": [["the cat", "a very cold river"]],
}


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    find_chromium()
    node_modules = need_node_modules()
    site = tmp_path_factory.mktemp("site")
    for task in FAMILIES:
        folder = write_folder(site / task, task, node_modules)
        (folder / "runtime" / WASM).unlink()
        (folder / "runtime" / WASM).symlink_to(find_runtime(node_modules).files[WASM].resolve())
    return site


@pytest.fixture(scope="module")
def walk(site, tmp_path_factory) -> chromium.Walk:
    answer = {"wait": "#answer:not([hidden])"}
    steps = [{"open": f"{task}/?check=1", "wait": "#result"} for task in FAMILIES]
    steps += [{"open": f"{task}/?precision=fp32", "type": TYPED[task], **answer} for task in FAMILIES]
    steps.append({"open": "classification/?precision=fp32", "cut": True, **answer})
    return chromium.take_walk(site, tmp_path_factory.mktemp("profile"), steps)


@pytest.fixture(params=FAMILIES)
def checked(request, walk):
    """What the page of a task says of its files."""
    result = walk.results[list(FAMILIES).index(request.param)]
    assert "error" not in result, result
    return json.loads(result["seen"][0])


def test_the_page_answers_as_python_does(checked):
    files = {file["precision"]: file for file in checked["files"]}
    assert files["fp32"]["same_ids"] == files["fp32"]["texts"] >= len(TEXTS) - 3, files["fp32"]["worst"]
    assert files["fp32"]["difference"] < 1e-5 and files["fp32"]["within"]
    assert files["int8"]["difference"] == pytest.approx(0.01, rel=1e-3) and files["int8"]["within"]
    assert files["fp16"]["difference"] > 0.5 and not files["fp16"]["within"]


def test_the_page_asks_no_other_host(checked):
    assert checked["other_hosts"] == [] and checked["offline"] is True


@pytest.fixture
def typed(walk):
    """What the page shows for what is typed: texts of the answer, the last one's marks."""

    def find(task):
        result = walk.results[len(FAMILIES) + list(FAMILIES).index(task)]
        assert "error" not in result, result
        return result["seen"][1:], result["marks"]

    return find


def ask_python(site, task, *texts):
    """The outputs of the right file for typed texts, by numpy."""
    tokenizer = load_tokenizer(site / f"{task}-model", task)
    batch = encode(tokenizer, task, *texts, *([] if len(texts) > 1 else [None]))
    inputs = {name: values[0] for name, values in batch.items()}
    return tokenizer, batch, make_graph(task, tokenizer).run(inputs)


def shown_bars(text):
    return re.findall(r"(\S+?)(\d+\.\d)\u00a0%", text)


def softmax(logits):
    weights = np.exp(logits - logits.max())
    return weights / weights.sum()


def test_labels_are_ranked(site, typed):
    [short, long], _ = typed("classification")
    for text, shown in zip(TYPED["classification"], (short, long), strict=True):
        *_, outputs = ask_python(site, "classification", text[0])
        shares = dict(zip(LABELS["classification"], softmax(outputs["logits"][0]), strict=True))
        ranked = sorted(shares, key=shares.get, reverse=True)
        assert shown_bars(shown) == [(label, f"{100 * shares[label]:.1f}") for label in ranked]
    every = len(
        load_tokenizer(site / "classification-model", "classification")(TYPED["classification"][1][0])["input_ids"]
    )
    assert f"{MAX_LENGTH} of {every} tokens were read" in long and "tokens" not in short


def test_each_of_several_labels_has_its_own_share(site, typed):
    [shown], _ = typed("multi_label")
    *_, outputs = ask_python(site, "multi_label", *TYPED["multi_label"][0])
    shares = 1 / (1 + np.exp(-outputs["logits"][0]))
    assert dict(shown_bars(shown)) == {
        label: f"{100 * share:.1f}" for label, share in zip(LABELS["multi_label"], shares, strict=True)
    }


def test_a_number_is_shown(site, typed):
    [shown], _ = typed("regression")
    *_, outputs = ask_python(site, "regression", *TYPED["regression"][0])
    assert shown.startswith(f"{outputs['logits'][0, 0]:.3f}")


def test_words_are_marked(site, typed):
    [shown], marks = typed("token_classification")
    words = ["The", "owl", "saw", "a", "dog", ",", "twice", "."]
    _, batch, outputs = ask_python(site, "token_classification", words)
    best = outputs["logits"][0].argmax(axis=-1)
    tokens = [batch.word_to_tokens(0, place) for place in range(len(words))]
    assert None not in tokens
    tags = [LABELS["token_classification"][best[token.start]] for token in tokens]
    spans = []
    for place, tag in enumerate(tags):
        if tag.startswith("I-") and place and tags[place - 1].endswith(tag[2:]):
            spans[-1][0].append(words[place])
        elif tag != "O":
            spans.append(([words[place]], tag[2:]))
    assert spans
    assert [mark.replace(" ", "") for mark in marks] == ["".join(found) + kind for found, kind in spans]
    assert "twice" in shown


def test_a_question_is_answered_with_words_of_the_text(site, typed):
    [shown], marks = typed("question_answering")
    question, context = TYPED["question_answering"][0]
    tokenizer, batch, outputs = ask_python(site, "question_answering", question, context)
    logits = np.stack([outputs["start_logits"][0], outputs["end_logits"][0]], axis=-1)
    _, start, end = best_span(logits, context_places(batch.encodings[0], tokenizer.cls_token_id))
    assert marks == [context[start:end]] and shown.startswith(context[start:end])


def test_a_hidden_word_is_guessed(site, typed):
    [shown], _ = typed("masked_lm")
    tokenizer, batch, outputs = ask_python(site, "masked_lm", *TYPED["masked_lm"][0])
    shares = softmax(outputs["logits"][0, batch["input_ids"][0].index(tokenizer.mask_token_id)])
    ranked = np.argsort(-shares)[:8]
    assert shown_bars(shown) == [(tokenizer.decode([place]), f"{100 * shares[place]:.1f}") for place in ranked]


def test_texts_are_compared(site, typed):
    [shown], _ = typed("embedding")
    first, second = (ask_python(site, "embedding", text)[2]["sentence_embedding"][0] for text in TYPED["embedding"][0])
    cosine = first @ second / np.linalg.norm(first) / np.linalg.norm(second)
    assert shown.startswith(f"{cosine:.3f}")


def test_a_page_that_was_open_once_needs_no_network(walk):
    online, offline = walk.results[len(FAMILIES)], walk.results[-1]
    assert "error" not in offline, offline
    assert offline["seen"][0] == online["seen"][0]


def test_large_files_are_fetched_once(walk):
    fetched = [path for path in walk.asked if path.startswith("/classification/") and path.endswith((".wasm", ".onnx"))]
    assert sorted(fetched) == sorted(set(fetched)) and len(fetched) == 4
