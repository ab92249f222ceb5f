"""The docs know every field, verb and exit code that there is, and their picture every room."""

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import get_args

import pytest

from pocketbert import errors, recipe
from pocketbert.cli.command import app
from pocketbert.data.sources import CONLL, DELIMITED, READERS
from pocketbert.recipe import Section, Training
from pocketbert.tasks.registry import make_task

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
SECTIONS: dict[str, type[Section]] = {
    "recipe": recipe.Recipe,
    "teacher": recipe.Teacher,
    "student": recipe.Student,
    "data": recipe.Data,
    "training": recipe.Training,
    "pretrain": recipe.PretrainStage,
    "finetune": recipe.FinetuneStage,
    "distill": recipe.DistillStage,
    "augment": recipe.Augment,
    "losses": recipe.Losses,
    "masking": recipe.Masking,
    "cache": recipe.Cache,
    "prune": recipe.PruneStage,
    "target": recipe.Target,
    "trim": recipe.TrimStage,
    "quantize": recipe.QuantizeStage,
    "export": recipe.ExportStage,
    "limits": recipe.Limits,
    "gates": recipe.Gates,
    "tune": recipe.Tune,
    "searched fields": recipe.SearchedField,
}
UNWRITTEN = {recipe.Section, recipe.Stage}
"""Sections without fields of their own, or whose fields are headings."""


def rows_of(heading: str) -> dict[str, list[str]]:
    """The table below a heading of docs/recipes.md: cells by field."""
    text = (DOCS / "recipes.md").read_text(encoding="utf-8")
    below = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in below.splitlines() if line[:3] == "| `"]
    return {row[0].strip("`"): row for row in rows}


def is_inherited(section: type[Section], name: str) -> bool:
    """Whether a stage takes a field over from all stages, default included."""
    if section is Training or not issubclass(section, Training) or name not in Training.model_fields:
        return False
    return section.model_fields[name].default == Training.model_fields[name].default


@pytest.mark.parametrize("heading", SECTIONS)
def test_every_field_of_a_section_has_a_row(heading):
    section = SECTIONS[heading]
    fields = {name for name in section.model_fields if not is_inherited(section, name)}
    assert set(rows_of(heading)) == fields


@pytest.mark.parametrize("heading", SECTIONS)
def test_a_row_says_what_the_field_takes_and_means(heading):
    for name, row in rows_of(heading).items():
        assert len(row) == 4 and all(row), name


@pytest.mark.parametrize("heading", SECTIONS)
def test_defaults_are_the_real_ones(heading):
    for name, row in rows_of(heading).items():
        field = SECTIONS[heading].model_fields[name]
        shown = row[2].strip("`")
        if field.is_required():
            assert shown == "required", name
        elif field.default is None:
            assert shown == "–", name
        elif isinstance(field.default, Section):
            assert shown == "its defaults", name
        elif isinstance(field.default, list):
            assert shown.split(", ") == [str(each) for each in field.default], name
        elif isinstance(field.default, bool):
            assert shown == str(field.default).lower(), name
        elif isinstance(field.default, int | float):
            assert float(shown) == field.default, name
        else:
            assert shown == field.default, name


def test_every_section_has_a_heading():
    found = {kind for kind in vars(recipe).values() if isinstance(kind, type) and issubclass(kind, Section)}
    assert found - UNWRITTEN == set(SECTIONS.values())


def test_choices_are_all_named():
    text = (DOCS / "recipes.md").read_text(encoding="utf-8")
    for choices in (recipe.TaskName, recipe.Layout, recipe.Init):
        assert all(f"`{choice}`" in text for choice in get_args(choices))


def test_every_verb_and_exit_code_is_described():
    text = (DOCS / "cli.md").read_text(encoding="utf-8")
    verbs = {command.name or command.callback.__name__ for command in app.registered_commands}
    codes = {kind.exit_code for kind in vars(errors).values() if isinstance(kind, type) and hasattr(kind, "exit_code")}
    assert all(f"| `{verb}` |" in text for verb in verbs)
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)} == codes | {0}


def test_the_commands_of_one_page_can_follow_one_another():
    commands = re.findall(r"^pocketbert (\w+) (.*)$", (DOCS / "cli.md").read_text(encoding="utf-8"), re.MULTILINE)
    layers = {}
    for verb, arguments in commands:
        flags = dict(re.findall(r"--([\w-]+) (\S+)", arguments))
        made = flags.get("output")
        if made is None:
            continue
        source = flags.get("start", arguments.split()[0])
        assert made not in layers and (verb == "pretrain" or source in layers)
        layers[made] = int(flags.get("layers") or layers[source])
        assert verb == "pretrain" or layers[made] <= layers[source]
    assert {verb for verb, _ in commands} >= {"pretrain", "finetune", "distill", "compare"} and len(layers) == 5


def test_every_format_is_described():
    text = (DOCS / "data.md").read_text(encoding="utf-8")
    assert all(f"`{ending}`" in text for ending in (*READERS, *DELIMITED, *CONLL, ".json", ".gz", ".zst"))


@pytest.mark.parametrize("name", [name for name in get_args(recipe.TaskName) if name != "masked_lm"])
def test_every_task_names_its_metrics_and_the_ones_that_decide(name):
    task = make_task(recipe.Data(task=name))
    text = (DOCS / "tasks.md").read_text(encoding="utf-8")
    row = next(line for line in text.splitlines() if line.startswith(f"| `{name}` |"))
    assert all(f"`{metric}`" in row for metric in task.metrics)
    assert re.findall(r"\*\*`(\w+)`\*\*", row) == list(task.deciding)


def test_the_picture_shows_every_room():
    picture = ElementTree.parse(DOCS / "architecture.svg")
    words = " ".join("".join(element.itertext()) for element in picture.iter())
    rooms = {path.parent.name for path in (ROOT / "src" / "pocketbert").glob("*/__init__.py")}
    assert rooms and all(re.search(rf"\b{room}\b", words) for room in rooms)


def test_there_is_one_picture():
    assert (DOCS / "architecture.md").read_text(encoding="utf-8").count("![") == 1
