"""docs/losses: a page for each loss, whose example runs as it stands, and every method in table and picture."""

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import yaml

from pocketbert.distill.methods import METHODS
from pocketbert.recipe import Losses, Stage

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


@pytest.mark.parametrize("name", METHODS)
def test_a_method_is_in_the_table_with_all_its_losses(name):
    row = re.search(rf"^\| `{name}` \|(.*)\|(.*)\|(.*)\|.*\|$", README, re.MULTILINE)
    method = METHODS[name]
    text, rows, layers = (cell.strip() for cell in row.groups())
    # "The same" is what stands in the cell for text.
    for cell, phases in ((text, method.text), (text + rows, method.rows)):
        for phase in phases:
            weighed = {loss for loss, weight in phase.losses.model_dump().items() if weight}
            assert all(f"`{loss}`" in cell for loss in weighed) or "*answers*" in cell
    assert layers in ("", f"`{method.layer_map}`")
    shares = [f"{phase.share:.0%}".replace("%", " %") for phase in method.rows if phase.share < 1]
    assert all(share in rows for share in shares)
    assert f"**{name}**" in README


def test_the_picture_shows_every_method():
    picture = ElementTree.parse(FOLDER / "methods.svg")
    words = " ".join("".join(element.itertext()) for element in picture.iter())
    assert all(re.search(rf"\b{name}\b", words) for name in METHODS)
