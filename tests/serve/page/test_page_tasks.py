"""Each task of the page, against what `pocketbert.load` answers."""

import numpy as np
import pytest
from playwright.sync_api import expect
from tabs import load, percent


@pytest.mark.parametrize("name", ["classification", "multi_label", "entailment"])
def test_labels_are_ranked(tab, models, name):
    (text,) = tab.open(name).values()
    expected = load(models, name)(text, too_long="truncate").scores
    assert len(expected) > 1 and tab.bars() == [(each.label, percent(each.score)) for each in expected]


def test_a_number_is_shown_for_a_pair(tab, models):
    pair = tab.open("regression").values()
    assert len(pair) == 2 and tab.text().startswith(f"{load(models, 'regression')(pair).value:.3f}")
    tab.type("a cold dog", "the barn")
    assert tab.text().startswith(f"{load(models, 'regression')(('a cold dog', 'the barn')).value:.3f}")


def test_a_second_text_can_be_added(tab, models):
    tab.open("classification").page.get_by_role("button", name="Add a second text").click()
    tab.page.keyboard.type("a house")
    expected = load(models, "classification")(tab.ask().values()).scores
    assert tab.bars() == [(each.label, percent(each.score)) for each in expected]


def test_entities_stand_where_they_are_behind_emoji(tab, models):
    text = "The 🦉 owl saw 😀 a dog"
    entities = load(models, "token_classification")(text).entities
    marks = tab.open("token_classification").type(text).page.locator("#answer mark").all_text_contents()
    assert entities and marks == [text[each.start : each.end] + each.type for each in entities]
    assert tab.bars() == [(f"{each.text} · {each.type}", percent(each.score)) for each in entities]
    assert entities[-1].start > text.index("😀")


def test_answers_stand_in_their_context(tab, models):
    question, context = "who saw it ?", "The Ówl saw 😀 a dog near the barn."
    expected = load(models, "question_answering")((question, context), top_k=3).answers
    tab.open("question_answering").type(question, context)
    marked = tab.page.locator("#answer mark").all_text_contents()
    in_order = sorted(expected, key=lambda each: each.start)
    assert len(expected) > 1 and marked == [context[each.start : each.end] for each in in_order]
    assert tab.text(".found") == tab.text("#answer mark:not(.second)") == expected[0].text
    assert tab.bars() == [(each.text, percent(each.score)) for each in expected]


@pytest.mark.parametrize(("question", "answered"), [("who saw it ?", True), ("the cat", False)])
def test_there_may_be_no_answer(tab, models, question, answered):
    expected = load(models, "question_answering")((question, "the owl"), top_k=3, no_answer=True)
    tab.open("question_answering").page.get_by_label("There may be none").check()
    tab.type(question, "the owl")
    bars = [(each.text, percent(each.score)) for each in expected.answers]
    assert bool(bars) == answered and tab.bars() == [*bars, ("no answer", percent(expected.no_answer))]
    assert tab.text("#answer .found") == (expected.answers[0].text if answered else "The text has no answer.")


def test_the_number_of_answers_can_be_chosen(tab):
    tab.open("question_answering").page.get_by_label("Answers").fill("1")
    assert len(tab.ask().bars()) == 1
    tab.page.get_by_label("Answers").fill("2")
    assert len(tab.ask().bars()) == 2


def test_every_hidden_word_is_guessed(tab, models):
    text = "the [MASK] saw a dog near the [MASK]"
    gaps = load(models, "masked_lm")(text, top_k=8).gaps
    bars = tab.open("masked_lm").type(text).bars()
    assert bars == [(each.token, percent(each.score)) for gap in gaps for each in gap]
    expect(tab.page.locator("#answer h3")).to_have_text(["Hidden word 1", "Hidden word 2"])
    tab.page.get_by_role("group", name="Examples").get_by_role("button").first.click()
    expect(tab.page.locator("#answer h3")).to_have_count(0)
    assert len(tab.bars()) == 8


def test_a_word_is_hidden_by_a_button(tab):
    tab.open("masked_lm").type("the [MASK] dog")
    tab.page.locator("#fields textarea").select_text()
    with tab.page.expect_response("**/fill-mask"):
        tab.page.get_by_role("button", name="Hide a word here").click()
    assert tab.values() == ("[MASK]",)


def test_texts_are_compared(tab, models):
    texts = ["the cat", "a very cold river", "the cat saw"]
    vectors = np.stack([each.vector for each in load(models, "embedding")(texts)])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = vectors @ vectors.T
    assert tab.open("embedding").type(*texts[:2]).text().startswith(f"{cosines[0, 1]:.3f}")
    tab.page.get_by_role("button", name="Add a text").click()
    tab.page.keyboard.type(texts[2])
    tab.ask()
    shown = tab.page.locator("#answer td[style]").all_text_contents()
    assert np.allclose(np.array(shown, float), cosines.ravel(), atol=6e-4)


@pytest.mark.parametrize("several", [False, True])
def test_labels_of_ones_own(tab, models, several):
    tab.open("zero_shot").page.get_by_label("Several may fit").set_checked(several)
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
def test_single_texts_become_examples_of_the_task(tab, name, given, shown):
    def exchange(route):
        answer = route.fetch()
        examples = [[text] for text in given]
        route.fulfill(response=answer, json=[{**card, "examples": examples} for card in answer.json()])

    tab.page.route("**/models", exchange)
    tab.open(name)
    assert tab.page.get_by_role("group", name="Examples").get_by_role("button").all_text_contents() == shown
