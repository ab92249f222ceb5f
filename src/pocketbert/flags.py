"""Command-line flags made from the sections of a recipe, so that every option is defined once."""

import functools
import inspect
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, get_args, get_origin

import typer
from pydantic.fields import FieldInfo
from rich.markup import escape

from pocketbert.errors import PocketBertError
from pocketbert.recipe import Section, parse_section, parse_value

PANELS = {
    "options": "How it is done",
    "student": "The student",
    "data": "The rows",
    "prediction": "How it predicts",
    "server": "The server",
}


@dataclass(frozen=True)
class Group:
    """A section whose fields become flags.

    Attributes:
        section: the section.
        name: under which the command receives it.
        optional: a required field without which the whole section is absent.
        rename: field name to flag name, where they differ.
        without: fields that the command does not read, and that have no flag.
    """

    section: type[Section]
    name: str
    optional: str | None = None
    rename: Mapping[str, str] = field(default_factory=dict)
    without: Collection[str] = ()


@dataclass(frozen=True)
class _Flag:
    group: str
    path: tuple[str, ...]
    name: str
    info: FieldInfo

    @property
    def variable(self) -> str:
        return f"{self.group}__{'__'.join(self.path)}"


def with_flags(*groups: Group) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the flags of some sections; it receives them validated, in ``sections`` by group name."""
    flags = [flag for group in groups for flag in _flags(group)]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(command, eval_str=True)
        own = [value for name, value in signature.parameters.items() if name != "sections"]

        @functools.wraps(command)
        def called(**values: Any) -> None:
            given = {flag: values.pop(flag.variable) for flag in flags}
            command(**values, sections={group.name: _section(group, given) for group in groups})

        parameters = [value.replace(kind=inspect.Parameter.KEYWORD_ONLY) for value in own]
        called.__signature__ = signature.replace(parameters=parameters + [_parameter(flag) for flag in flags])  # type: ignore[attr-defined]
        return called

    return decorate


def _flags(group: Group, section: type[Section] | None = None, path: tuple[str, ...] = ()) -> Iterator[_Flag]:
    for name, info in (section or group.section).model_fields.items():
        if name in ("data", *group.without):
            continue
        inner = _section_type(info.annotation)
        if inner is None:
            flag = "-".join([*path[:1], group.rename.get(name, name)]).replace("_", "-")
            yield _Flag(group.name, (*path, name), f"--{flag}", info)
        else:
            yield from _flags(group, inner, (*path, name))


def _parameter(flag: _Flag) -> inspect.Parameter:
    several = get_origin(_plain(flag.info.annotation)) is list
    default = None if flag.info.is_required() or flag.info.default is None else str(flag.info.default)
    text = flag.info.description or ""
    if _metavar(flag.info) == "TEXT":
        text += _words(flag.info.annotation)
    option = typer.Option(
        flag.name,
        help=escape(f"{text} [default: {default}]" if default else text),
        metavar=_metavar(flag.info),
        show_default=False,
        rich_help_panel=PANELS[flag.group],
    )
    kind = list[str] | None if several else str | None
    return inspect.Parameter(
        flag.variable, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind, option]
    )


def _section(group: Group, given: dict[_Flag, Any]) -> Section | None:
    tree: dict[str, Any] = {}
    for flag, value in given.items():
        if flag.group != group.name or value is None or value == []:
            continue
        node = tree
        for key in flag.path[:-1]:
            node = node.setdefault(key, {})
        node[flag.path[-1]] = value if isinstance(value, list) else _value(flag, value)
    if group.optional and group.optional not in tree:
        if tree:
            raise PocketBertError(f"--{group.optional} is missing: it tells what the rows are for")
        return None
    missing = [name for name, info in group.section.model_fields.items() if info.is_required() and name not in tree]
    if missing:
        raise PocketBertError(f"--{missing[0].replace('_', '-')} is missing: {_describe(group, missing[0])}")
    return parse_section(group.section, tree, "command line")


def _describe(group: Group, name: str) -> str:
    return group.section.model_fields[name].description or "it has no default"


def _value(flag: _Flag, text: str) -> Any:
    kind = _plain(flag.info.annotation)
    return text if kind is str else parse_value(text, flag.name)


def _plain(annotation: Any) -> Any:
    """The type without ``| None`` and without its validators."""
    if get_origin(annotation) is Annotated:
        return _plain(get_args(annotation)[0])
    options = [option for option in get_args(annotation) if option is not type(None)]
    return _plain(options[0]) if len(options) == 1 and type(None) in get_args(annotation) else annotation


def _section_type(annotation: Any) -> type[Section] | None:
    plain = _plain(annotation)
    return plain if isinstance(plain, type) and issubclass(plain, Section) else None


def _metavar(info: FieldInfo) -> str:
    plain = _plain(info.annotation)
    if isinstance(plain, type):
        return {int: "N", float: "X", bool: "yes|no"}.get(plain, "TEXT")
    choices = [choice for choice in get_args(plain) if isinstance(choice, str)]
    return "|".join(choices) if choices and len(choices) < 8 else "TEXT"


def _words(annotation: Any) -> str:
    """What a type takes, for the help, where it names words and they do not fit before it."""
    words = _choices(annotation)
    several = any(get_origin(part) is list for part in get_args(_plain(annotation)))
    return f" [{', '.join(words)}{' or a list' if several else ''}]" if words else ""


def _choices(annotation: Any) -> list[str]:
    """The words that a type names, wherever in it they stand."""
    parts = [[part] if isinstance(part, str) else _choices(part) for part in get_args(annotation)]
    return [choice for part in parts for choice in part]
