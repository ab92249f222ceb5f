"""The same model in the browser, beside the answer of the server."""

import pytest
from playwright.sync_api import expect
from tabs import load, percent

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
        assert tab.text("#browser-answer") == tab.text("#answer")
    assert tab.complaints == [] and all(url.startswith(tab.url) for url in tab.asked)


def test_the_browser_finds_the_best_answer_of_the_server(tab):
    need_node_modules()
    tab.open("question_answering").run_here()
    assert tab.text("#browser-answer .found") == tab.text("#answer .found")
    assert tab.text("#browser-answer mark") == tab.text("#answer mark:not(.second)")


def test_the_browser_goes_on_without_the_server(tab, server, models):
    need_node_modules()
    tab.open("classification").run_here()
    server.stop()
    try:
        tab.page.locator("#fields textarea").fill("lovely")
        expected = load(models, "classification")("lovely").scores
        expect(tab.page.locator("#browser-answer .bar-value").first).to_have_text(percent(expected[0].score))
        expect(tab.page.locator("#status.wrong")).to_contain_text("cannot be reached")
    finally:
        server.start()


def test_a_cut_text_is_told_by_the_browser_too(tab):
    need_node_modules()
    tab.open("classification").run_here().page.get_by_role("button", name="cold cold").click()
    expect(tab.page.locator("#browser-answer .cut")).to_contain_text("48 of ")


def test_another_model_ends_what_ran_in_the_browser(tab):
    need_node_modules()
    tab.open("classification").run_here().page.get_by_label("Model").select_option("regression")
    expect(tab.page.locator("iframe")).to_have_count(0)
    expect(tab.page.locator("#browser-start")).to_contain_text("MB, once")
    tab.page.get_by_label("Model").select_option("entailment")
    tab.page.get_by_label("my own").check()
    expect(tab.page.locator("#browser")).to_be_hidden()


def test_an_export_that_does_not_answer_is_told_of(tab):
    need_node_modules()
    tab.page.clock.install()
    tab.page.route("**/embedded.js", lambda route: route.abort())
    tab.open("classification").page.locator("#browser-start").click()
    expect(tab.page.locator("#browser-status")).to_have_text("Loading.")
    tab.page.clock.fast_forward(20000)
    expect(tab.page.locator("#browser-status")).to_contain_text("export it again")


def test_an_export_that_is_not_handed_out_is_told_of(tab):
    need_node_modules()
    tab.page.route("**/pocketbert.json", lambda route: route.fulfill(status=403))
    tab.open("classification")
    expect(tab.page.locator("#browser-status")).to_contain_text("does not give the files")
    assert tab.page.locator("#browser-start").is_hidden()
