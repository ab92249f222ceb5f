"""A page of the server in a browser as tests use it, and the models that it shows."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, Response

import pocketbert
from browsers import find_node_modules
from exported import HEADS, QUIET, make_model
from pocketbert.export.exporting import export
from pocketbert.inference.pipeline import Pipeline
from pocketbert.recipe import Data, ExportStage, Limits

MODELS = (*HEADS, "entailment")
TASKS = (*MODELS, "zero_shot")
"""Names under which a page can be opened: the models, and labels of one's own."""

PATIENCE = 15000
"""Milliseconds: a busy machine is slow to draw."""

MOST_CHARACTERS = 5000
"""Of a text; the server refuses more."""

DESK = {"width": 1280, "height": 900}
ENTAILMENT = {"num_labels": 3, "id2label": {0: "entailment", 1: "neutral", 2: "contradiction"}}


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
    model = make_model(folder / "model", task, **fields)
    export(options, str(model), folder / "exported", _pairs(folder) if task == "regression" else None, console=QUIET)
    return folder / "exported"


def _pairs(folder: Path) -> Data:
    """Rows of a model that takes two texts, so that its examples are pairs."""
    path = folder / "pairs.csv"
    path.write_text("text,pair,label\nthe cat,a dog,0.5\nthe owl,a horse,0.25\n", encoding="utf-8")
    return Data(task="regression", validation=[str(path)], text="text", pair="pair", label="label", max_length=48)


@dataclass
class Tab:
    """A page, and what it asked for and complained of.

    Attributes:
        answered: the last response to :meth:`ask`.
        complaints: in the console, and errors that nobody caught.
        asked: addresses.
    """

    page: Page
    url: str
    answered: Response | None = None
    complaints: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))

    def open(self, name: str = "") -> "Tab":
        """Open a model, and come back with the answer to its first example."""
        self.page.goto(f"{self.url}/?model={'entailment' if name == 'zero_shot' else name}")
        if name:
            self.page.locator("#answer > *").first.wait_for()
        if name == "zero_shot":
            with self.page.expect_response("**/zero-shot"):
                self.page.get_by_label("my own").check()
            self.page.locator("#answer > *").first.wait_for()
        return self

    def type(self, *values: str) -> "Tab":
        """Type into the fields and ask; come back with the answer."""
        for place, value in enumerate(values):
            self.page.locator("#fields textarea, #fields input").nth(place).fill(value)
        return self.ask()

    def ask(self) -> "Tab":
        with self.page.expect_response(lambda response: response.request.method == "POST") as asked:
            self.page.keyboard.press("Control+Enter")
        self.answered = asked.value
        self.page.locator("#server:not([aria-busy])").wait_for(state="attached")
        return self

    def values(self) -> tuple[str, ...]:
        """What stands in the fields."""
        return tuple(each.input_value() for each in self.page.locator("#fields textarea, #fields input").all())

    def bars(self, where: str = "#answer") -> list[tuple[str, str]]:
        names, values = (self.page.locator(f"{where} .bar-{part}") for part in ("name", "value"))
        return list(zip(names.all_text_contents(), values.all_text_contents(), strict=True))

    def text(self, where: str = "#answer") -> str:
        return self.page.locator(where).text_content() or ""

    def run_here(self) -> "Tab":
        self.page.locator("#browser-start").click()
        self.page.locator("#browser-answer > *").first.wait_for(timeout=60000)
        return self


@contextmanager
def opened(browser: Browser, url: str, *, failing: bool = False, **options: Any) -> Iterator[Tab]:
    """A page that is still, fits its window and asks nobody but its server, as is found when the block ends.

    Args:
        browser: to open it in.
        url: of the server.
        failing: whether the browser may say in the console that a request was not answered.
        options: of the window.
    """
    context = browser.new_context(**{"viewport": DESK, **options})
    context.set_default_timeout(PATIENCE)
    tab = Tab(context.new_page(), url)
    yield tab
    assert [each for each in tab.complaints if not (failing and each.startswith("Failed to load resource"))] == []
    assert all(asked.startswith(url) for asked in tab.asked)
    assert tab.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    context.close()


def percent(share: float) -> str:
    """A share as bars say it."""
    return f"{100 * share:.1f}\u00a0%"


def load(models: Mapping[str, Path], name: str, task: Any = None) -> Pipeline[Any, Any]:
    """The pipeline whose answers the page has to show."""
    return pocketbert.load(models[name], task, engine="onnxruntime")
