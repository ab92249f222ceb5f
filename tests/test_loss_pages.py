"""docs/losses: a page for each loss, whose example runs as it stands, and every method in table and picture."""

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import yaml

from pocketbert.distill.learning import EMBEDDING_LOSSES, MASKED_LM_LOSSES, OTHER_WIDTH_LOSSES, TASK_LOSSES
from pocketbert.distill.methods import METHODS, choose_course
from pocketbert.recipe import DistillStage, Losses, Stage

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "losses"
README = (FOLDER / "README.md").read_text(encoding="utf-8")
PAGES = {path.stem: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.md")) if path.stem != "README"}
FACTS = ("reduction", "teacher", "shapes", "default weight")


def blocks(text, language):
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def test_every_loss_has_a_page_and_a_row():
    assert {name.replace("-", "_") for name in PAGES} == set(Losses.model_fields)
    linked = re.findall(r"^\| \[`(\w+)`\]\(([\w-]+)\.md\)", README, re.MULTILINE)
    assert [name for name, _ in linked] == list(Losses.model_fields)
    assert all(page == name.replace("_", "-") for name, page in linked)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_formula_facts_and_example(name):
    text = PAGES[name]
    assert text.startswith(f"# {name.replace('-', '_')}\n") and text.count("$$") == 2
    facts = dict(re.findall(r"^\| ([^|]+) \| (.+) \|$", text, re.MULTILINE))
    assert all(facts.get(fact) for fact in FACTS)
    assert "\n## When\n" in text and len(blocks(text, "python")) == 1


@pytest.mark.parametrize("name", PAGES)
def test_an_example_prints_what_it_says(name, capsys):
    for code in blocks(PAGES[name], "python"):
        exec(compile(code, f"{name}.md", "exec"), {})
        assert capsys.readouterr().out.split() == re.findall(r"print\(.*# ([\d.]+)$", code, re.MULTILINE)


@pytest.mark.parametrize("name", ["README", *PAGES])
def test_a_stage_is_accepted_and_has_the_loss(name):
    (text,) = blocks(PAGES.get(name, README), "yaml")
    example = yaml.safe_load(text)
    # A page whose loss is for rows of a kind names them too.
    stages = [
        Stage.model_validate(stage).distill for stage in (example if isinstance(example, list) else example["stages"])
    ]
    assert all(stages)
    if name != "README":
        assert getattr(stages[0].losses, name.replace("-", "_")) > 0


def read_losses(text):
    """Weights by loss, as in "5 `soft_targets` + `cosine`"."""
    terms = [re.fullmatch(r"(?:([\d.]+) )?`(\w+)`", term) for term in text.split(" + ")]
    return {term[2]: float(term[1] or 1) for term in terms}


def read_phases(cell, same=None):
    """Share, weights and temperature of each phase in a cell of the table; ``same`` is the first one on text."""
    phases = []
    for part in [] if cell == "–" else cell.split("; "):
        share, what, temperature = re.fullmatch(r"(?:(\d+) % )?(.*?)(?:, T = (\d+))?", part).groups()
        if what.startswith("the same"):
            _, losses, temperature = same
        elif what == "*answers*":
            losses, temperature = ANSWERS
        else:
            losses, temperature = read_losses(what), float(temperature) if temperature else None
        phases.append((float(share or 100) / 100, losses, temperature))
    return phases


def weights_of(losses):
    return {loss: weight for loss, weight in losses.model_dump().items() if weight}


def phases_of(phases):
    """The same of a method; the temperature is one of soft targets."""
    return [
        (pytest.approx(phase.share), weights_of(phase.losses), phase.temperature if phase.losses.soft_targets else None)
        for phase in phases
    ]


ANSWERS = read_losses(re.search(r"^\*answers\*: (.*), T = 2\.", README, re.MULTILINE)[1]), 2.0


@pytest.mark.parametrize("name", METHODS)
def test_a_method_is_what_the_table_says(name):
    """The weights, temperatures and shares of the papers stand there, and nowhere else outside the code."""
    row = re.search(rf"^\| `{name}` \|(.*)\|(.*)\|(.*)\|.*\|$", README, re.MULTILINE)
    method = METHODS[name]
    text, rows, layers = (cell.strip() for cell in row.groups())
    on_text = read_phases(text)
    assert phases_of(method.text) == on_text
    assert phases_of(method.rows) == read_phases(rows, on_text[0] if on_text else None)
    assert layers in ("", f"`{method.layer_map}`")
    assert f"**{name}**" in README


def test_the_defaults_are_those_that_the_page_says():
    (default,) = choose_course(DistillStage(), "rows", TASK_LOSSES).phases
    rows = re.search(r"that of `distilbert` on text, and\n(.*) at T = 2 on rows\.", README)[1]
    assert weights_of(TASK_LOSSES) == read_losses(rows)
    ((_, on_text, temperature),) = phases_of(METHODS["distilbert"].text)
    assert weights_of(MASKED_LM_LOSSES) == on_text and temperature == default.temperature == 2
    embeddings = re.search(r"the default is (.*), or (`\w+`) for a student of another width", README)
    assert weights_of(EMBEDDING_LOSSES) == read_losses(embeddings[1])
    assert weights_of(OTHER_WIDTH_LOSSES) == read_losses(embeddings[2])


def test_the_picture_shows_every_method():
    picture = ElementTree.parse(FOLDER / "methods.svg")
    words = " ".join("".join(element.itertext()) for element in picture.iter())
    assert all(re.search(rf"\b{name}\b", words) for name in METHODS)
