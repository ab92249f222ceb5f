"""Each task of the page, against what `pocketbert.load` answers."""

from dataclasses import replace

import numpy as np
import pytest
from playwright.sync_api import expect
from tabs import EXAMPLES, load, percent


@pytest.mark.parametrize("name", ["classification", "multi_label", "entailment"])
def test_labels_are_ranked(tab, models, name):
    given = EXAMPLES[name][0]
    expected = load(models, name)(tuple(given) if len(given) > 1 else given[0]).scores
    assert tab.open(name).bars() == [(each.label, percent(each.score)) for each in expected]
    assert tab.complaints == []


def test_a_number_is_shown_for_a_pair(tab, models):
    tab.open("regression").type("a cold dog", "the barn")
    assert tab.text().startswith(f"{load(models, 'regression')(('a cold dog', 'the barn')).value:.3f}")


def test_a_second_text_can_be_added(tab, models):
    tab.open("classification").page.get_by_role("button", name="Add a second text").click()
    tab.page.keyboard.type("a house")
    expected = load(models, "classification")((EXAMPLES["classification"][0][0], "a house")).scores
    tab.ask()
    assert tab.bars() == [(each.label, percent(each.score)) for each in expected]


def test_entities_stand_where_they_are_behind_emoji(tab, models):
    [[text]] = EXAMPLES["token_classification"]
    entities = load(models, "token_classification")(text).entities
    marks = tab.open("token_classification").page.locator("#answer mark").all_text_contents()
    assert entities and marks == [text[each.start : each.end] + each.type for each in entities]
    assert tab.bars() == [(f"{each.text} · {each.type}", percent(each.score)) for each in entities]
    assert text.startswith("The 🦉") and entities[-1].start > 6


def test_answers_stand_in_their_context(tab, models):
    [[question, context]] = EXAMPLES["question_answering"]
    expected = load(models, "question_answering")((question, context), top_k=3).answers
    tab.open("question_answering")
    marked = tab.page.locator("#answer mark").all_text_contents()
    in_order = sorted(expected, key=lambda each: each.start)
    assert len(expected) > 1 and marked == [context[each.start : each.end] for each in in_order]
    assert tab.text(".found") == tab.text("#answer mark:not(.second)") == expected[0].text
    assert tab.bars() == [(each.text, percent(each.score)) for each in expected]


def test_there_may_be_no_answer(tab, server):
    [[_, context]] = EXAMPLES["question_answering"]
    answers = [
        {"score": 0.75, "start": 0, "end": 0, "answer": ""},
        {"score": 0.125, "start": 4, "end": 7, "answer": context[4:7]},
    ]
    tab.open("question_answering").page.route("**/answer", lambda route: route.fulfill(json=answers))
    with tab.page.expect_request("**/answer") as asked:
        tab.page.get_by_label("There may be none").check()
    assert asked.value.post_data_json["handle_impossible_answer"] is True
    expect(tab.page.locator("#answer .found")).to_have_text("The text has no answer.")
    assert tab.bars() == [("no answer", percent(0.75)), (context[4:7], percent(0.125))]
    assert tab.text("#answer mark.second") == context[4:7]


def test_the_number_of_answers_can_be_chosen(tab, server):
    tab.open("question_answering").page.get_by_label("Answers").fill("1")
    tab.ask()
    assert server.asked[-1]["top_k"] == 1 and len(tab.bars()) == 1


def test_every_hidden_word_is_guessed(tab, models):
    gaps = load(models, "masked_lm")(EXAMPLES["masked_lm"][0][0], top_k=8).gaps
    assert tab.open("masked_lm").bars() == [(each.token, percent(each.score)) for gap in gaps for each in gap]
    tab.page.get_by_role("button", name="a [MASK] dog", exact=True).click()
    expect(tab.page.locator("#answer h3")).to_have_count(0)
    assert len(tab.bars()) == 8


def test_a_word_is_hidden_by_a_button(tab):
    tab.open("masked_lm").type("the [MASK] dog")
    tab.page.locator("#fields textarea").select_text()
    with tab.page.expect_response("**/fill-mask"):
        tab.page.get_by_role("button", name="Hide a word here").click()
    assert tab.page.locator("#fields textarea").input_value() == "[MASK]"


def test_texts_are_compared(tab, models):
    texts = ["the cat", "a very cold river", "the cat saw"]
    vectors = np.stack([each.vector for each in load(models, "embedding")(texts)])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = vectors @ vectors.T
    assert tab.open("embedding").text().startswith(f"{cosines[0, 1]:.3f}")
    tab.page.get_by_role("button", name="Add a text").click()
    tab.page.keyboard.type(texts[2])
    tab.ask()
    shown = tab.page.locator("#answer td[style]").all_text_contents()
    assert np.allclose(np.array(shown, float), cosines.ravel(), atol=6e-4)


@pytest.mark.parametrize("several", [False, True])
def test_labels_of_ones_own(tab, models, several):
    tab.open("entailment").page.get_by_label("my own").check()
    tab.page.get_by_label("Several may fit").set_checked(several)
    tab.page.get_by_label("Sentence for a label").fill("It is {}.")
    tab.type("the horse", "warm, very cold")
    options = {"labels": ["warm", "very cold"], "hypothesis": "It is {}.", "multi_label": several}
    expected = load(models, "entailment", "zero_shot")("the horse", **options).scores
    assert tab.bars() == [(each.label, percent(each.score)) for each in expected]


@pytest.mark.parametrize(
    ("name", "given", "shown"),
    [
        ("embedding", ["the cat", "a dog", "an owl"], ["the cat · a dog", "a dog · an owl"]),
        ("masked_lm", ["the owl saw it.", "a [MASK] dog"], ["the owl [MASK] it.", "a [MASK] dog"]),
    ],
)
def test_single_texts_become_examples_of_the_task(tab, models, monkeypatch, name, given, shown):
    monkeypatch.setitem(models, name, replace(models[name], examples=[[text] for text in given]))
    tab.open(name)
    assert tab.page.get_by_role("group", name="Examples").get_by_role("button").all_text_contents() == shown
