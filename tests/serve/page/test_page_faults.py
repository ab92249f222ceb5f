"""What the page says where there is no answer."""

import pytest
from playwright.sync_api import expect


def test_a_server_that_is_gone_is_told_of(tab, server):
    tab.open("classification")
    server.stop()
    try:
        tab.page.keyboard.press("Tab")
        tab.page.get_by_role("button", name="Answer").click()
        expect(tab.page.locator("#status.wrong")).to_contain_text("The server cannot be reached")
        expect(tab.page.locator("#server")).to_be_hidden()
    finally:
        server.start()
    tab.ask()
    assert tab.page.locator("#status").is_hidden() and tab.bars()


def test_models_that_could_not_be_listed_are_asked_for_again(tab, server):
    server.refusals["models"] = (503, {}, "the models are being loaded")
    tab.open()
    expect(tab.page.locator("#status.wrong")).to_have_text("the models are being loaded")
    server.refusals.clear()
    tab.page.get_by_role("button", name="Try again").click()
    expect(tab.page.locator("#answer .bar")).to_have_count(2)


@pytest.mark.parametrize(
    ("status", "headers", "shown"),
    [
        (413, {}, "the text is too large"),
        (429, {"Retry-After": "2"}, "the text is too large Try again in 2 s."),
        (503, {}, "the text is too large"),
    ],
)
def test_a_refusal_is_shown_in_the_words_of_the_server(tab, server, status, headers, shown):
    tab.open("classification")
    server.refusals["predict"] = (status, headers, "the text is too large")
    tab.ask()
    expect(tab.page.locator("#status.wrong")).to_have_text(shown)
    assert tab.page.locator("#key").is_hidden()


def test_a_key_is_asked_for_when_the_server_wants_one(tab, server):
    assert tab.open("classification").page.locator("#key").is_hidden()
    server.key = "secret"
    tab.open()
    expect(tab.page.locator("#status")).to_have_text("The server wants an API key.")
    tab.page.keyboard.type("wrong")
    tab.page.keyboard.press("Enter")
    expect(tab.page.locator("#status")).to_have_text("The server does not take this API key.")
    tab.page.get_by_label("API key").fill("secret")
    tab.page.keyboard.press("Enter")
    expect(tab.page.locator("#answer .bar")).to_have_count(2)
    assert tab.page.locator("#key").is_hidden() and "secret" not in tab.text("#curl")
    assert "$API_KEY" in tab.text("#curl")
    tab.page.reload()
    expect(tab.page.locator("#answer .bar")).to_have_count(2)
