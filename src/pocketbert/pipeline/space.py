"""What a search varies: the fields of ``tune.space``, each held against the recipe before anything is run."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pocketbert.errors import PocketBertError
from pocketbert.files import hash_text
from pocketbert.recipe import (
    DistillStage,
    PretrainStage,
    PruneStage,
    Recipe,
    SearchedField,
    Training,
    assign,
    parse_section,
)

PARTS = ("teacher", "student", "data", "stages")
"""Parts of a recipe that bear on the score."""
SAME_ROWS = ("max_length", "stride")
"""Fields of data that leave the rows, and what is right about them, as they are."""
SAME_TEXT = ("corpus", "held_out", "text_column", "block", "masking", "tokenizer", "vocabulary", "lowercase")
"""Fields of a stage on text that decide what it has to predict, so that scores cannot be compared across them."""
OF_TOKENIZER = ("corpus", "text_column", "tokenizer", "vocabulary", "lowercase")
"""Fields of a pretraining stage that its tokenizer is made of, by which later stages on text are scored."""


@dataclass(frozen=True)
class Axis:
    """A searched field.

    Attributes:
        path: of the field in the recipe.
        field: its values.
        whole: whether it takes whole numbers only.
        stage: number of the first stage that it bears on, from 1.
    """

    path: str
    field: SearchedField
    whole: bool
    stage: int


def read_space(recipe: Recipe, space: Mapping[str, SearchedField]) -> list[Axis]:
    """The searched fields of a recipe.

    Raises:
        PocketBertError: a field cannot have one of its values, or bears not on the score; the message names it.
    """
    scored = scored_stage(recipe)
    return [
        Axis(path, field, _check_values(recipe, path, field), _first_stage(recipe, path, scored))
        for path, field in space.items()
    ]


def scored_stage(recipe: Recipe) -> int:
    """Number of the last stage that trains, from 1: its validation score is the score of a trial.

    Raises:
        PocketBertError: no stage trains.
    """
    training = [
        number for number, stage in enumerate(recipe.stages, 1) if isinstance(stage.options, Training | PruneStage)
    ]
    if not training:
        raise PocketBertError("tune: no stage of the recipe trains, so there is no score to search by")
    return training[-1]


def plain_values(recipe: Recipe) -> dict[str, Any]:
    """The recipe as a tree of plain values, without its search and without what it leaves to the defaults."""
    return recipe.model_dump(mode="json", exclude_unset=True, exclude={"tune"})


def with_values(recipe: Recipe, values: Mapping[str, Any]) -> Recipe:
    """The recipe with other values, by path, and without its search.

    Raises:
        PocketBertError: it cannot have them together.
    """
    tree = plain_values(recipe)
    for path, value in values.items():
        assign(tree, path, value, f"tune.space.{path}")
    return parse_section(Recipe, tree, ", ".join(f"{path} = {value}" for path, value in values.items()))


def marks(axes: list[Axis], values: Mapping[str, Any], stages: int) -> dict[int, str]:
    """What sets the folder of each stage apart from the same stage with other values of the fields that bear on it.

    Args:
        axes: the searched fields.
        values: of a trial, by path.
        stages: how many there are.

    Returns:
        Mark by number of the stage; stages that no searched field bears on have none, for all trials share them.
    """
    found = {}
    for number in range(1, stages + 1):
        bearing = [f"{axis.path}={values[axis.path]!r}" for axis in axes if axis.stage <= number]
        if bearing:
            found[number] = hash_text(*bearing)[:10]
    return found


def _check_values(recipe: Recipe, path: str, field: SearchedField) -> bool:
    """Whether the field takes whole numbers only; each end, or each choice, is put into the recipe to see."""
    ends = _ends(field) if field.choices is None else field.choices
    read = [_reach(with_values(recipe, {path: value}), path) for value in ends]
    if field.choices is not None:
        return False
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in read):
        raise PocketBertError(f"tune.space.{path}: takes no numbers; name its values as choices")
    whole = all(isinstance(value, int) for value in read)
    if whole and field.step is not None and not field.step.is_integer():
        raise PocketBertError(f"tune.space.{path}: takes whole numbers, but the step is {field.step:g}")
    return whole


def _reach(recipe: Recipe, path: str) -> Any:
    node: Any = recipe
    for key in path.split("."):
        node = node[int(key)] if isinstance(node, list | tuple) else getattr(node, key)
    return node


def _ends(field: SearchedField) -> list[Any]:
    """The least and the greatest value; whole numbers as such, for some fields take no other kind."""
    ends = [end for end in (field.low, field.high) if end is not None]
    return [int(end) for end in ends] if all(end.is_integer() for end in ends) else [*ends]


def _first_stage(recipe: Recipe, path: str, scored: int) -> int:
    """Number of the first stage that a field bears on."""
    part, *rest = path.split(".")
    if part not in PARTS:
        raise PocketBertError(f"tune.space.{path}: bears not on the score; search fields of {', '.join(PARTS)}")
    if len(rest) < (3 if part == "stages" else 1) or rest[-1] == "data":
        raise PocketBertError(f"tune.space.{path}: is a whole section; search fields of it, each by its own path")
    if part == "stages":
        return _own_stage(recipe, path, int(rest[0]), rest[2:], scored)
    if part == "data":
        _check_rows(path, rest)
    kinds = {"student": lambda options: isinstance(options, DistillStage), "data": _reads_rows}
    bears = kinds.get(part, lambda _options: True)
    found = [number for number, stage in enumerate(recipe.stages[:scored], 1) if bears(stage.options)]
    if not found:
        raise PocketBertError(f"tune.space.{path}: no stage up to the last that trains looks at it")
    return found[0]


def _own_stage(recipe: Recipe, path: str, index: int, fields: list[str], scored: int) -> int:
    if index >= scored:
        raise PocketBertError(
            f"tune.space.{path}: comes after the last stage that trains (stages.{scored - 1}), so it bears not on "
            "the score"
        )
    if fields[0] == "data":
        _check_rows(path, fields[1:])
    if not _reads_rows(recipe.stages[scored - 1].options):
        _check_text(recipe, path, index, fields[0], scored)
    return index + 1


def _check_text(recipe: Recipe, path: str, index: int, field: str, scored: int) -> None:
    """Refuse what would have trials guess other tokens of the text that they are scored by."""
    options = recipe.stages[index].options
    is_scored = index + 1 == scored
    makes_tokens = isinstance(options, PretrainStage) and field in OF_TOKENIZER
    if makes_tokens or (is_scored and field in SAME_TEXT):
        raise PocketBertError(f"tune.space.{path}: scores on other text, or of other tokens, cannot be compared")
    masks = isinstance(options, PretrainStage | DistillStage) and options.masking.seed is None
    if is_scored and field == "seed" and masks:
        raise PocketBertError(
            f"tune.space.{path}: hides other tokens of the text that trials are scored by; set masking.seed, so that "
            "all guess the same"
        )


def _check_rows(path: str, fields: list[str]) -> None:
    if fields[0] not in SAME_ROWS:
        raise PocketBertError(
            f"tune.space.{path}: scores on other rows cannot be compared; of data search {' and '.join(SAME_ROWS)} only"
        )


def _reads_rows(options: Any) -> bool:
    return not isinstance(options, PretrainStage) and not getattr(options, "corpus", None)
