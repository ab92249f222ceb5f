"""From the values of a row to what a pipeline is asked."""

from collections.abc import Mapping, Sequence
from typing import Any

from pocketbert.data.columns import USUAL_NAMES, Guess, guess_columns
from pocketbert.data.records import Record
from pocketbert.errors import PocketBertError
from pocketbert.predict.blocks import Misfit
from pocketbert.predict.options import PredictOptions

ROLES: dict[str, tuple[str, ...]] = {
    "classification": ("text", "pair"),
    "multi_label": ("text", "pair"),
    "regression": ("text", "pair"),
    "token_classification": ("tokens", "text"),
    "question_answering": ("question", "context"),
    "masked_lm": ("text",),
    "embedding": ("text",),
    "zero_shot": ("text",),
}
"""By task: what a column can be. Words or a text are enough for tokens."""


def choose_columns(
    source: str, task: str, options: PredictOptions, names: Sequence[str], sample: Sequence[Record]
) -> Guess:
    """Decide which column holds what; see :func:`~pocketbert.data.columns.guess_columns`.

    Args:
        source: whose columns they are, for messages.
        task: of the pipeline.
        options: name columns.
        names: of all columns.
        sample: some rows.

    Raises:
        DataError: a named column does not exist, or one cannot be guessed.
        PocketBertError: a column is named for what the task does not read.
    """
    named = {role: name for role in USUAL_NAMES if (name := getattr(options, role, None))}
    if unread := [role for role in named if role not in ROLES[task]]:
        raise PocketBertError(f"--{unread[0]}: {task} does not read it; it reads {' and '.join(ROLES[task])}")
    roles = ROLES[task]
    if roles == ("tokens", "text"):
        roles = ("tokens",) if "tokens" in named or _words(named, names, sample) else ("text",)
    return guess_columns(names, sample, {role: named.get(role) for role in roles}, option="--{}", source=source)


def _words(named: Mapping[str, str], names: Sequence[str], sample: Sequence[Record]) -> bool:
    """Whether a column that is usual for words holds lists."""
    usual = [name for name in names if name.strip().lower() in USUAL_NAMES["tokens"]]
    first = sample[0].values.get(usual[0]) if usual and sample else None
    return "text" not in named and isinstance(first, list)


def make_input(columns: Mapping[str, str], values: Mapping[str, Any]) -> Any:
    """What a pipeline is asked for a row: a text, its words, or two texts.

    Args:
        columns: role to column name.
        values: role to the row's value.

    Raises:
        Misfit: a value is missing or none that can be asked.
    """
    if "tokens" in columns:
        return _checked_words(columns["tokens"], values["tokens"])
    texts = tuple(_checked_text(name, values[role]) for role, name in columns.items())
    return texts if len(texts) > 1 else texts[0]


def order_columns(columns: Mapping[str, str]) -> dict[str, str]:
    """Columns in the order in which a pipeline takes them."""
    order = ("tokens", "text", "pair", "question", "context")
    return {role: columns[role] for role in order if role in columns}


def _checked_text(name: str, value: Any) -> str:
    if value is None:
        raise Misfit(name, "is missing")
    if isinstance(value, bytes):
        raise Misfit(name, "is not UTF-8 text")
    if not isinstance(value, str):
        raise Misfit(name, f"holds {type(value).__name__}, not text")
    if not value.strip():
        raise Misfit(name, "is empty")
    return value


def _checked_words(name: str, value: Any) -> list[str]:
    if value is None:
        raise Misfit(name, "is missing")
    if not isinstance(value, list) or not all(isinstance(word, str) and word for word in value):
        raise Misfit(name, "is no list of words, each a text")
    if not value:
        raise Misfit(name, "is empty")
    return value
