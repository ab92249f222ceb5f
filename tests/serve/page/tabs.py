"""A page of the server in a browser as tests use it, and the models that it shows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fake_server import Model
from playwright.sync_api import Page

import pocketbert
from browsers import find_node_modules
from exported import HEADS, QUIET, make_model
from pocketbert.export.exporting import export
from pocketbert.inference.pipeline import Pipeline
from pocketbert.recipe import ExportStage, Limits

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


@dataclass
class Tab:
    """A page, and what it asked for and complained of."""

    page: Page
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


def percent(share: float) -> str:
    """A share as bars say it."""
    return f"{100 * share:.1f}\u00a0%"


def load(models: Mapping[str, Model], name: str, task: Any = None) -> Pipeline[Any, Any]:
    """The pipeline whose answers the page has to show."""
    return pocketbert.load(models[name].folder, task, engine="onnxruntime")
