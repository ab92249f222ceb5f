"""Reading recipes: YAML with overrides, validated, with errors for the person who wrote it."""

import re
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import Field, ValidationError

from pocketbert.errors import PocketBertError
from pocketbert.recipe.sections import Data, Section, Student, Teacher
from pocketbert.recipe.stages import Stage
from pocketbert.recipe.tuning import Tune

_KIND = re.compile(r"[\[(]")
"""In the place of an error: one of the kinds that a field may have, not a field."""

S = TypeVar("S", bound=Section)


class _RepeatedKey(yaml.YAMLError):
    """A key that stands twice in a mapping; the message says where."""


class _Loader(yaml.SafeLoader):
    """YAML of which each key of a mapping counts: the plain loader silently takes the last of two."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """A mapping as it is written, before others are merged into it.

        Raises:
            _RepeatedKey: a key stands in it twice.
        """
        node = super().compose_mapping_node(anchor)
        first: dict[tuple[str, str], int] = {}
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            line, name = key.start_mark.line + 1, (key.tag, key.value)
            if name in first:
                raise _RepeatedKey(f"line {line}: {key.value!r} stands there twice, first in line {first[name]}")
            first[name] = line
        return node


class Gates(Section):
    """Limits that a run has to hold."""

    kept: float | None = Field(None, gt=0, lt=2, description="least share of the teacher's score, such as 0.97")
    smaller: float | None = Field(None, ge=0, lt=1, description="least share of the teacher's bytes saved")
    faster: float | None = Field(None, gt=0, description="least throughput, as a multiple of the teacher's")


class Recipe(Section):
    """A whole run, as written in YAML."""

    name: str = Field(pattern=r"^[A-Za-z0-9._-]+$")
    output: str | None = Field(None, description="folder of the run; runs/NAME when absent")
    teacher: Teacher | None = None
    student: Student = Student()
    data: Data | None = None
    stages: list[Stage] = Field(min_length=1)
    gates: Gates = Gates()
    tune: Tune | None = None
    threads: int | None = Field(None, gt=0, description="CPU threads; all that the machine grants when absent")


def load_recipe(path: Path, overrides: list[str] | None = None) -> Recipe:
    """Read a recipe and apply ``key.path=value`` overrides.

    Args:
        path: the YAML file.
        overrides: assignments such as ``stages.1.distill.epochs=1``; values are YAML.

    Raises:
        PocketBertError: the file is missing, not YAML, names a field twice, or a field is wrong; the message says
            which.
    """
    if not path.is_file():
        raise PocketBertError(f"{path}: no such recipe; `ls recipes/` shows those that come with PocketBERT")
    try:
        tree = yaml.load(path.read_bytes(), _Loader)  # noqa: S506 - a safe loader
    except _RepeatedKey as error:
        raise PocketBertError(f"{path} {error}; leave one of them out") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise PocketBertError(f"{path}: not valid YAML: {error}") from None
    if not isinstance(tree, dict):
        raise PocketBertError(f"{path}: a recipe is a mapping with name, stages, …")
    for override in overrides or []:
        _assign(tree, override)
    return parse_section(Recipe, tree, str(path))


def parse_section(kind: type[S], tree: Any, where: str) -> S:
    """Validate a tree of plain values, with errors that name each field on a line of its own.

    Raises:
        PocketBertError: what was wrong, and in which field.
    """
    try:
        return kind.model_validate(tree)
    except ValidationError as error:
        lines = list(dict.fromkeys(_describe(problem) for problem in error.errors()))
        raise PocketBertError(f"{where}: {len(lines)} wrong field(s)\n" + "\n".join(lines)) from None


def _describe(problem: Any) -> str:
    """A line of plain words: which field, and what is wrong with it."""
    parts = [str(part) for part in problem["loc"]]
    fields = [part for part in parts if not _KIND.search(part)]
    path = ".".join(fields)
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        message = "there is no such field; docs/recipes.md lists them"
    elif len(fields) < len(parts):
        message = f"{problem['input']!r} is none of the values it can have; docs/recipes.md lists them"
    return f"  {path}: {message}" if path else f"  {message}"


def parse_value(text: str, where: str) -> Any:
    """A value in YAML, as overrides and flags give it.

    Raises:
        PocketBertError: it is not YAML.
    """
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise PocketBertError(f"{where}: {text!r} is not a YAML value; mind its brackets and quotes") from None


def _assign(tree: Any, override: str) -> None:
    path, found, text = override.partition("=")
    if not found or not all(path.strip().split(".")):
        raise PocketBertError(f"override {override!r}: write key.path=value, for example data.train=my.csv")
    assign(tree, path.strip(), parse_value(text, f"override {path}"), f"override {override!r}")


def assign(tree: Any, path: str, value: Any, where: str) -> None:
    """Put a value into a recipe's tree of plain values.

    Args:
        tree: changed.
        path: of the field: ``stages.1.distill.epochs``.
        value: plain.
        where: what named the path, for the message.

    Raises:
        PocketBertError: the path leads to nothing that could hold a value.
    """
    node: Any = [tree]
    place: int | str = 0  # node[place] is what the next key looks into
    for key in path.split("."):
        if isinstance(node, dict):
            node.setdefault(place)
        if node[place] is None:  # a stage may be its name alone
            node[place] = {}
        node, place = node[place], key
        if isinstance(node, list) and key.isdecimal() and int(key) < len(node):
            place = int(key)
        elif not isinstance(node, dict):
            raise PocketBertError(f"{where}: the recipe has nothing at {key!r}")
    node[place] = value
