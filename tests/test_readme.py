"""What README and docs tell people to type is accepted as it stands, and every file they name is there."""

import ast
import inspect
import re
import shlex
from pathlib import Path
from unittest.mock import create_autospec

import pytest
from typer.testing import CliRunner

import pocketbert
from exported import exported
from pocketbert import pipeline, predict
from pocketbert.cli.command import app
from pocketbert.export import verification
from pocketbert.serve import server

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md")),
    *(page for folder in ("docs", "recipes") for page in sorted((ROOT / folder).rglob("*.md"))),
]
VERBS = (
    "run", "tune", "pretrain", "finetune", "distill", "prune", "trim", "quantize", "export", "verify",
    "bench", "evaluate", "compare",
)  # fmt: skip
RUNNING = ("predict", "serve")
"""Verbs that the command line takes from rooms of their own, for pipeline needs torch."""
FOLDERS = ("benchmarks", "deploy", "docs", "recipes", "src", "tests")


class AcceptedError(Exception):
    """The call got as far as the work itself."""


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a language in a page."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def commands(page: Path) -> list[str]:
    """Every command of a page's shell blocks; lines that end in a backslash are joined."""
    lines = "\n".join(blocks(page, "bash")).replace("\\\n", " ").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def of_program(program: str) -> list[tuple[str, str]]:
    """Page and arguments of every call of a program, however it is started."""
    found = []
    for page in PAGES:
        for command in commands(page):
            launched = rf"(?:\w+=\S+ )*(?:torchrun|accelerate launch) .* -m {program}\.cli\s+(.*)"
            start = re.match(rf"(?:\S*bin/)?{program}\s+(.*)|{launched}", command)
            if start:
                found.append((page.name, start[1] or start[2]))
    return found


@pytest.fixture
def no_work(monkeypatch):
    """Every verb raises instead of working, once its call is known to be right."""

    def accept(name, room=pipeline):
        signature = inspect.signature(getattr(room, name))

        def called(*args, **kwargs):
            signature.bind(*args, **kwargs)
            raise AcceptedError

        return called

    for name in VERBS:
        monkeypatch.setattr(pipeline, name, accept(name))
    monkeypatch.setattr(predict, "predict", accept("predict", predict))
    monkeypatch.setattr(server, "serve", accept("serve", server))
    # The command line takes it from its own file, for pipeline needs torch.
    monkeypatch.setattr(verification, "verify", accept("verify"))
    monkeypatch.chdir(ROOT)


def test_the_readme_opens_with_two_commands():
    top = (ROOT / "README.md").read_text(encoding="utf-8").partition("\n## ")[0]
    assert re.findall(r"^    (make \w+)", top, re.MULTILINE) == ["make demo", "make test"]


@pytest.mark.parametrize(("page", "arguments"), of_program("pocketbert"))
def test_a_command_is_accepted(page, arguments, no_work):
    result = CliRunner().invoke(app, shlex.split(arguments))
    assert isinstance(result.exception, AcceptedError), f"{page}: {result.output} {result.exception!r}"


def test_a_wrong_command_is_not_accepted(no_work):
    result = CliRunner().invoke(app, shlex.split("distill teacher --layers six --task classification --output student"))
    assert not isinstance(result.exception, AcceptedError)


def test_every_verb_is_shown():
    shown = {arguments.split()[0] for _, arguments in of_program("pocketbert")}
    assert shown == {*VERBS, *RUNNING}


@pytest.mark.parametrize(("page", "arguments"), of_program("make"))
def test_a_target_is_in_the_makefile(page, arguments):
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert arguments.split()[0] in targets, page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)", page.read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_heading_finds_it(page):
    links = re.findall(r"\]\(([^)#\s]*)#([^)\s]+)\)", page.read_text(encoding="utf-8"))
    for link, anchor in links:
        if "://" not in link:
            target = page.parent / link if link else page
            assert anchor in anchors(target), f"{link}#{anchor}"


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as they are made on GitHub."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_of_the_project_that_is_named_exists(page):
    named = re.findall(rf"(?<![\w./-])((?:{'|'.join(FOLDERS)})/[\w./-]+\w)", page.read_text(encoding="utf-8"))
    missing = [name for name in named if not (ROOT / name).exists() and not (page.parent / name).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_page_names_a_place_of_one_machine(page):
    assert not re.search(r"(?<![\w.])/(?:root|home|tmp|work|Users)\b", page.read_text(encoding="utf-8"))


@pytest.mark.parametrize("code", blocks(ROOT / "README.md", "python"))
def test_the_python_example_calls_what_there_is(code, monkeypatch):
    for name in VERBS:
        monkeypatch.setattr(pipeline, name, create_autospec(getattr(pipeline, name)))
    load = pocketbert.load
    monkeypatch.setattr(pocketbert, "load", lambda _folder: load(exported("classification")), raising=False)
    printed: list[object] = []
    exec(compile(ast.parse(code), "README.md", "exec"), {"print": lambda *values: printed.extend(values)})
    assert printed in (["good"], ["bad"]) or (pipeline.distill.called and pipeline.compare.called)
