"""The same model in the browser, beside the answer of the server."""

import pytest
from playwright.sync_api import expect

from browsers import need_node_modules

BESIDE = ["classification", "multi_label", "regression", "token_classification", "masked_lm", "embedding"]


@pytest.mark.parametrize("name", BESIDE)
def test_the_browser_answers_beside_the_server(tab, name):
    need_node_modules()
    tab.open(name).run_here()
    assert tab.text("#browser-timing").startswith("Tokenising and inference")
    assert tab.text("#browser-engine").startswith("ONNX Runtime Web · fp32 · onnx/model.onnx · ")
    marks = [tab.page.locator(f"{where} mark").all_text_contents() for where in ("#answer", "#browser-answer")]
    assert marks[0] == marks[1]
    if name != "token_classification":
        parts = [tab.page.locator(f"{where} > :not(.cut)") for where in ("#answer", "#browser-answer")]
        assert parts[0].all_text_contents() == parts[1].all_text_contents() != []


def test_the_browser_finds_the_best_answer_of_the_server(tab):
    need_node_modules()
    tab.open("question_answering").type("who saw it ?", "The Ówl saw 😀 a dog near the barn.").run_here()
    assert tab.text("#browser-answer .found") == tab.text("#answer .found")
    assert tab.text("#browser-answer mark") == tab.text("#answer mark:not(.second)")


def test_a_cut_text_is_told_by_the_browser_too(tab):
    need_node_modules()
    tab.open("classification").run_here().type("cold " * 200)
    expect(tab.page.locator("#browser-answer .cut")).to_contain_text("48 of ")


def test_another_model_ends_what_ran_in_the_browser(tab):
    need_node_modules()
    tab.open("classification").run_here().page.get_by_label("Model").select_option("regression")
    expect(tab.page.locator("iframe")).to_have_count(0)
    expect(tab.page.locator("#browser-start")).to_contain_text("MB, once")
    tab.page.get_by_label("Model").select_option("entailment")
    tab.page.get_by_label("my own").check()
    expect(tab.page.locator("#browser")).to_be_hidden()
