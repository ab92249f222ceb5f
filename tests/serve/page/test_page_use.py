"""How the page is used: by keyboard, on a phone, in the dark, while one types; and what it tells beside the answer."""

import shlex

import httpx
import pytest
from playwright.sync_api import expect
from tabs import TASKS, load, opened, percent

PHONE = {"width": 390, "height": 844}


def test_times_and_engine_are_told(tab):
    headers = tab.open("classification").ask().answered.headers
    shown = dict(zip(*(tab.page.locator(f"#timing {part}").all_text_contents() for part in ("dt", "dd")), strict=True))
    assert float(shown.pop("Round trip").removesuffix("\u00a0ms")) > 0
    names = {"In the server": "total", "Queue": "queue", "Tokenising": "tokenization", "Inference": "inference"}
    below = "<\u00a01"
    told = {name: int(headers[f"x-{part}-time"]) or below for name, part in names.items()}
    assert shown == {name: f"{time}\u00a0ms" for name, time in told.items()}
    assert tab.text("#engine") == f"ONNX Runtime · fp32 · onnx/model.onnx · {headers['x-compute-tokens']} tokens"


def test_a_cut_text_is_told(tab):
    assert tab.open("classification").type("a cold owl").page.locator(".cut").count() == 0
    tab.type("cold " * 200)
    expect(tab.page.locator("#answer .cut")).to_contain_text("48 tokens")


def test_the_request_as_curl_gives_the_same_answer(tab, models):
    text = 'it\'s "lovely" 😀 \\ owl'
    tab.open("classification").type(text)
    program, url, *options = shlex.split(tab.text("#curl").replace("\\\n", ""))
    assert program == "curl" and options[::2] == ["-H", "-d"]
    name, value = options[1].split(": ")
    reply = httpx.post(url, headers={name: value}, content=options[3].encode()).json()
    expected = load(models, "classification")(text)
    assert reply[0] == {"label": expected.label, "score": pytest.approx(expected.score)}


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_in_both_colours(chromium, server, name, scheme):
    with opened(chromium, server.url, viewport=PHONE, color_scheme=scheme, reduced_motion="reduce") as tab:
        page = tab.open(name).page
        background = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
        assert (sum(background) < 3 * 64) == (scheme == "dark")
        assert page.evaluate("getComputedStyle(document.querySelector('#answer')).transitionDuration") == "0s"


FOCUSED = """() => {
  const element = document.activeElement;
  const name = element.labels?.[0]?.textContent ?? element.getAttribute("aria-label") ?? element.textContent;
  return [element.id || element.textContent, name.trim(), getComputedStyle(element).outlineStyle];
}"""


def test_it_works_by_keyboard_alone(tab, models):
    tab.open("classification")
    keys = tab.page.keyboard
    seen = []
    for _ in range(20):
        keys.press("Tab")
        seen.append(tab.page.evaluate(FOCUSED))
        if seen[-1][0].startswith("Answer"):
            break
    assert seen[0][0] == "model" and seen[-1][0].startswith("Answer"), seen
    assert all(name and outline != "none" for _, name, outline in seen), seen
    for _ in range(len(seen) - 2):
        keys.press("Shift+Tab")
    keys.press("Control+a")
    keys.type("the bright horse")
    tab.ask()
    expected = load(models, "classification")("the bright horse").scores
    assert tab.bars() == [(each.label, percent(each.score)) for each in expected]
    keys.press("Shift+Tab")
    keys.press("ArrowDown")
    expect(tab.page).to_have_url(f"{tab.url}/?model=multi_label")
    expect(tab.page.locator("#answer .bar")).to_have_count(3)


def test_an_answer_comes_while_one_types(tab, models):
    tab.open("classification").page.locator("#fields textarea").fill("")
    expect(tab.page.locator("#status")).to_have_text("Type a text.")
    tab.page.keyboard.type("lovely")
    expected = load(models, "classification")("lovely").scores
    expect(tab.page.locator("#answer .bar-value").first).to_have_text(percent(expected[0].score))
