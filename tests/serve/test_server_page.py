"""The page of the server in a real browser, against what `pocketbert.load` answers."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from browsers import find_chromium, find_node_modules, need_node_modules
from fake_server import TIMES, FakeServer, Model

import pocketbert
from exported import HEADS, QUIET, make_model
from pocketbert.export.exporting import export
from pocketbert.recipe import ExportStage, Limits

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: it comes with `dev`")

EXAMPLES = {
    "classification": [["a warm and lovely owl"], ["cold " * 200]],
    "multi_label": [["the horse was bright"]],
    "regression": [["the owl saw a dog", "a cat in the house"]],
    "token_classification": [["The 🦉 owl saw 😀 a dog"]],
    "question_answering": [["who saw it ?", "The Ówl saw 😀 a dog near the barn."]],
    "masked_lm": [["the [MASK] saw a dog near the [MASK]"], ["a [MASK] dog"]],
    "embedding": [["the cat", "a very cold river"]],
    "entailment": [["the cat saw a horse", "a cat saw it"]],
}
ENTAILMENT = {"num_labels": 3, "id2label": {0: "entailment", 1: "neutral", 2: "contradiction"}}
PHONE, DESKTOP = {"width": 390, "height": 844}, {"width": 1280, "height": 900}


def make_exported(folder: Path, name: str) -> Path:
    """A tiny model as the server gets it, with its browser export where the packages for that are."""
    task, fields = (name, {}) if name in HEADS else ("classification", ENTAILMENT)
    packages = find_node_modules()
    options = ExportStage(
        formats=["onnx", "browser"] if packages else ["onnx"],
        packages=packages and str(packages),
        pooling="mean" if task == "embedding" else None,
        limits=Limits(label_flips=0.1),  # random weights leave many answers on the edge
    )
    export(options, str(make_model(folder / "model", task, **fields)), folder / "exported", console=QUIET)
    return folder / "exported"


@pytest.fixture(scope="module")
def chromium():
    program = find_chromium()
    arguments = ["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def models(chromium, tmp_path_factory) -> dict[str, Model]:
    return {
        name: Model(make_exported(tmp_path_factory.mktemp(name), name), examples, name == "entailment")
        for name, examples in EXAMPLES.items()
    }


@pytest.fixture(scope="module")
def running(models) -> Iterator[FakeServer]:
    server = FakeServer(models)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def server(running) -> FakeServer:
    running.key = None
    running.refusals.clear()
    running.asked.clear()
    return running


@dataclass
class Tab:
    """A page, and what it asked for and complained of."""

    page: "playwright.Page"
    url: str
    complaints: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))

    def open(self, name: str = "") -> "Tab":
        self.page.goto(f"{self.url}?model={name}")
        if name:
            self.page.locator("#answer > *").first.wait_for()
        return self

    def type(self, *values: str) -> "Tab":
        """Type into the fields and ask; come back with the answer."""
        for place, value in enumerate(values):
            self.page.locator("#fields textarea, #fields input").nth(place).fill(value)
        return self.ask()

    def ask(self) -> "Tab":
        with self.page.expect_response(lambda response: response.request.method == "POST"):
            self.page.keyboard.press("Control+Enter")
        self.page.locator("#server:not([aria-busy])").wait_for(state="attached")
        return self

    def bars(self, where: str = "#answer") -> list[tuple[str, str]]:
        names, values = (self.page.locator(f"{where} .bar-{part}") for part in ("name", "value"))
        return list(zip(names.all_text_contents(), values.all_text_contents(), strict=True))

    def text(self, where: str = "#answer") -> str:
        return self.page.locator(where).text_content() or ""

    def run_here(self) -> "Tab":
        self.page.locator("#browser-start").click()
        self.page.locator("#browser-answer > *").first.wait_for(timeout=60000)
        return self


@pytest.fixture
def tab(chromium, server) -> Iterator[Tab]:
    context = chromium.new_context(viewport=DESKTOP)
    context.set_default_timeout(15000)
    yield Tab(context.new_page(), server.url)
    context.close()


def percent(share: float) -> str:
    return f"{100 * share:.1f}\u00a0%"


def load(models, name: str, task=None):
    return pocketbert.load(models[name].folder, task, engine="onnxruntime")


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
    playwright.expect(tab.page.locator("#answer .found")).to_have_text("The text has no answer.")
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
    playwright.expect(tab.page.locator("#answer h3")).to_have_count(0)
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


def test_times_and_engine_are_told(tab):
    tab.open("classification")
    shown = dict(
        zip(*(tab.page.locator(f"#timing {part}").all_text_contents() for part in ("dt", "dd")), strict=True)
    )
    assert float(shown.pop("Round trip").removesuffix("\u00a0ms")) > 0
    names = ["In the server", "Queue", "Tokenising", "Inference"]
    assert shown == {name: f"{value}\u00a0ms" for name, value in zip(names, TIMES.values(), strict=True)}
    assert tab.text("#engine").startswith("ONNX Runtime · fp32 · onnx/model.onnx · ")


def test_a_cut_text_is_told(tab):
    assert tab.open("classification").page.locator(".cut").count() == 0
    tab.page.get_by_role("button", name="cold cold").click()
    playwright.expect(tab.page.locator("#answer .cut")).to_contain_text("48 tokens")


def test_the_request_as_curl_gives_the_same_answer(tab, models):
    import json
    import subprocess

    tab.open("classification").type("it's \"lovely\" 😀 \\ owl")
    command = tab.text("#curl")
    done = subprocess.run(["bash", "-c", f"{command} -s"], capture_output=True, text=True, check=True)
    expected = load(models, "classification")("it's \"lovely\" 😀 \\ owl")
    assert json.loads(done.stdout)[0] == {"label": expected.label, "score": pytest.approx(expected.score)}


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_in_both_colours(chromium, server, name, scheme):
    context = chromium.new_context(viewport=PHONE, color_scheme=scheme, reduced_motion="reduce")
    tab = Tab(context.new_page(), server.url).open(name)
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    background = tab.page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert (sum(background) < 3 * 64) == (scheme == "dark")
    assert tab.page.evaluate("getComputedStyle(document.querySelector('#answer')).transitionDuration") == "0s"
    assert tab.complaints == [] and all(url.startswith(server.url) for url in tab.asked)
    context.close()


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
    playwright.expect(tab.page).to_have_url(f"{tab.url}?model=multi_label")
    playwright.expect(tab.page.locator("#answer .bar")).to_have_count(3)


def test_an_answer_comes_while_one_types(tab, models):
    tab.open("classification").page.locator("#fields textarea").fill("")
    playwright.expect(tab.page.locator("#status")).to_have_text("Type a text.")
    tab.page.keyboard.type("lovely")
    expected = load(models, "classification")("lovely").scores
    playwright.expect(tab.page.locator("#answer .bar-value").first).to_have_text(percent(expected[0].score))


def test_a_server_that_is_gone_is_told_of(tab, server):
    tab.open("classification")
    server.stop()
    try:
        tab.page.keyboard.press("Tab")
        tab.page.get_by_role("button", name="Answer").click()
        playwright.expect(tab.page.locator("#status.wrong")).to_contain_text("The server cannot be reached")
        playwright.expect(tab.page.locator("#server")).to_be_hidden()
    finally:
        server.start()
    tab.ask()
    assert tab.page.locator("#status").is_hidden() and tab.bars()


def test_models_that_could_not_be_listed_are_asked_for_again(tab, server):
    server.refusals["models"] = (503, {}, "the models are being loaded")
    tab.open()
    playwright.expect(tab.page.locator("#status.wrong")).to_have_text("the models are being loaded")
    server.refusals.clear()
    tab.page.get_by_role("button", name="Try again").click()
    playwright.expect(tab.page.locator("#answer .bar")).to_have_count(2)


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
    playwright.expect(tab.page.locator("#status.wrong")).to_have_text(shown)
    assert tab.page.locator("#key").is_hidden()


def test_a_key_is_asked_for_when_the_server_wants_one(tab, server):
    assert tab.open("classification").page.locator("#key").is_hidden()
    server.key = "secret"
    tab.open()
    playwright.expect(tab.page.locator("#status")).to_have_text("The server wants an API key.")
    tab.page.keyboard.type("wrong")
    tab.page.keyboard.press("Enter")
    playwright.expect(tab.page.locator("#status")).to_have_text("The server does not take this API key.")
    tab.page.get_by_label("API key").fill("secret")
    tab.page.keyboard.press("Enter")
    playwright.expect(tab.page.locator("#answer .bar")).to_have_count(2)
    assert tab.page.locator("#key").is_hidden() and "secret" not in tab.text("#curl")
    assert "$API_KEY" in tab.text("#curl")
    tab.page.reload()
    playwright.expect(tab.page.locator("#answer .bar")).to_have_count(2)


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
        playwright.expect(tab.page.locator("#browser-answer .bar-value").first).to_have_text(percent(expected[0].score))
        playwright.expect(tab.page.locator("#status.wrong")).to_contain_text("cannot be reached")
    finally:
        server.start()


def test_a_cut_text_is_told_by_the_browser_too(tab):
    need_node_modules()
    tab.open("classification").run_here().page.get_by_role("button", name="cold cold").click()
    playwright.expect(tab.page.locator("#browser-answer .cut")).to_contain_text("48 of ")


def test_another_model_ends_what_ran_in_the_browser(tab):
    need_node_modules()
    tab.open("classification").run_here().page.get_by_label("Model").select_option("regression")
    playwright.expect(tab.page.locator("iframe")).to_have_count(0)
    playwright.expect(tab.page.locator("#browser-start")).to_contain_text("MB, once")
    tab.page.get_by_label("Model").select_option("entailment")
    tab.page.get_by_label("my own").check()
    playwright.expect(tab.page.locator("#browser")).to_be_hidden()
