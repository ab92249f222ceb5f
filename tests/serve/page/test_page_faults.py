"""What the page says where there is no answer."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect
from serving import Running, connect, serving
from tabs import MOST_CHARACTERS, Tab, load, opened, percent

from browsers import need_node_modules

KEY = "secret"


@pytest.fixture
def tab(chromium, server) -> Iterator[Tab]:
    with opened(chromium, server.url, failing=True) as tab:
        yield tab


@pytest.fixture(scope="module")
def one_model(models):
    return {"classification": models["classification"]}


@pytest.fixture(scope="module")
def strict(one_model) -> Iterator[Running]:
    """A server that wants a key, and answers one request at once."""
    with serving(one_model, api_key=[KEY], max_requests=1) as running:
        yield running


def test_a_server_that_is_gone_is_told_of(chromium, one_model):
    with serving(one_model) as running, opened(chromium, running.url, failing=True) as tab:
        tab.open("classification")
        running.stop()
        tab.page.get_by_role("button", name="Answer").click()
        expect(tab.page.locator("#status.wrong")).to_contain_text("The server cannot be reached")
        expect(tab.page.locator("#server")).to_be_hidden()
        with serving(one_model, port=int(running.url.rpartition(":")[2])):
            tab.ask()
            assert tab.page.locator("#status").is_hidden() and tab.bars()


def test_the_browser_goes_on_without_the_server(chromium, one_model):
    need_node_modules()
    with serving(one_model) as running, opened(chromium, running.url, failing=True) as tab:
        tab.open("classification").run_here()
        running.process.kill()
        tab.page.locator("#fields textarea").fill("lovely")
        expected = load(one_model, "classification")("lovely").scores
        expect(tab.page.locator("#browser-answer .bar-value").first).to_have_text(percent(expected[0].score))
        expect(tab.page.locator("#status.wrong")).to_contain_text("cannot be reached")


def test_a_slow_answer_is_waited_for(tab):
    held = []
    tab.open("classification").page.route("**/predict", lambda route: held.append(route))
    with tab.page.expect_request("**/predict"):
        tab.page.keyboard.press("Control+Enter")
    expect(tab.page.locator("#server")).to_have_attribute("aria-busy", "true")
    held[0].continue_()
    expect(tab.page.locator("#server:not([aria-busy]) .bar")).to_have_count(2)


def test_models_that_could_not_be_listed_are_asked_for_again(tab):
    words = {"error": "the models are being loaded", "error_type": "Unhealthy"}
    tab.page.route("**/models", lambda route: route.fulfill(status=503, json=words))
    tab.open()
    expect(tab.page.locator("#status.wrong")).to_have_text(words["error"])
    tab.page.unroute("**/models")
    tab.page.get_by_role("button", name="Try again").click()
    expect(tab.page.locator("#answer .bar")).to_have_count(2)


def test_a_refusal_is_shown_in_the_words_of_the_server(tab):
    tab.open("classification").type("a" * (MOST_CHARACTERS + 1))
    assert tab.answered.status == 413
    expect(tab.page.locator("#status.wrong")).to_have_text(tab.answered.json()["error"])
    assert tab.page.locator("#key").is_hidden() and tab.page.locator("#server").is_hidden()


def test_a_key_is_asked_for_when_the_server_wants_one(chromium, strict):
    with opened(chromium, strict.url, failing=True) as tab:
        tab.open()
        expect(tab.page.locator("#status")).to_have_text("The server wants an API key.")
        tab.page.keyboard.type("wrong")
        tab.page.keyboard.press("Enter")
        expect(tab.page.locator("#status")).to_have_text("The server does not take this API key.")
        tab.page.get_by_label("API key").fill(KEY)
        tab.page.keyboard.press("Enter")
        expect(tab.page.locator("#answer .bar")).to_have_count(2)
        assert tab.page.locator("#key").is_hidden() and KEY not in tab.text("#curl")
        assert "$API_KEY" in tab.text("#curl") and tab.page.locator("#browser").is_hidden()
        tab.page.reload()
        expect(tab.page.locator("#answer .bar")).to_have_count(2)


def test_a_server_that_has_too_much_to_do_is_asked_again_later(chromium, strict):
    with opened(chromium, strict.url, failing=True) as tab:
        tab.open()
        tab.page.get_by_label("API key").fill(KEY)
        tab.page.keyboard.press("Enter")
        expect(tab.page.locator("#answer .bar")).to_have_count(2)
        with connect(strict) as connection:
            head = f"POST /predict HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\n"
            connection.sendall(f"{head}content-type: application/json\r\ncontent-length: 9\r\n\r\n".encode())
            tab.page.wait_for_timeout(300)
            tab.ask()
            assert tab.answered.status == 429
            words = f"{tab.answered.json()['error']} Try again in 1 s."
            expect(tab.page.locator("#status.wrong")).to_have_text(words)
        tab.page.wait_for_timeout(300)
        tab.ask()
        assert tab.page.locator("#status").is_hidden() and tab.bars()


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


@pytest.mark.parametrize("wrong", ["0", "-3", "", "2.5", "999999"])
def test_a_number_that_is_out_of_bounds_is_told_of_and_not_sent(tab, wrong):
    field = tab.open("question_answering").page.get_by_label("Answers")
    tab.asked.clear()
    field.fill(wrong)
    expect(tab.page.locator("#status.wrong")).to_contain_text("Answers: ")
    expect(tab.page.locator("#server")).to_be_hidden()
    tab.page.locator("#fields textarea").focus()
    tab.page.keyboard.press("Control+Enter")
    expect(field).to_be_focused()
    assert tab.asked == [] and not field.evaluate("field => field.validity.valid")
    field.fill("2")
    expect(tab.page.locator("#answer .bar")).to_have_count(2)
    assert tab.page.locator("#status").is_hidden()


def test_a_model_that_is_not_there_is_told_of(tab):
    tab.page.goto(f"{tab.url}/?model=<b>nope</b>")
    expect(tab.page.locator("#answer .bar")).to_have_count(2)
    expect(tab.page.locator("#status")).to_have_text("There is no model <b>nope</b> here. This is classification.")
    expect(tab.page).to_have_url(f"{tab.url}/?model=classification")
    tab.ask()
    expect(tab.page.locator("#status")).to_be_hidden()
