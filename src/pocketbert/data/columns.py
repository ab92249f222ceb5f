"""Which column holds what: named ones are checked, the others are guessed by name, then by content."""

import difflib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from pocketbert.data.records import Record
from pocketbert.errors import DataError

USUAL_NAMES: dict[str, tuple[str, ...]] = {
    "text": (
        "text", "sentence", "review", "content", "document", "body", "comment", "message", "utterance",
        "tweet", "article", "abstract", "description", "question", "query", "sentence1", "title",
    ),
    "pair": ("pair", "text_pair", "sentence2"),
    "label": (
        "label", "labels", "gold_label", "class", "category", "sentiment", "intent", "target", "score",
        "rating", "stars", "topic", "emotion", "emotions", "similarity", "is_duplicate", "quality", "y",
    ),
    "tokens": ("tokens", "words"),
    "tags": ("tags", "ner_tags", "slots", "labels"),
    "question": ("question", "query"),
    "context": ("context", "passage", "paragraph", "document", "text"),
    "answers": ("answers", "answer"),
}  # fmt: skip
"""Column names of each role in lower case; the first that a source has is taken."""
USUAL_NAMES["text_column"] = USUAL_NAMES["text"]

USUAL_PAIRS = (
    ("text", "pair"), ("sentence1", "sentence2"), ("premise", "hypothesis"), ("question1", "question2"),
    ("text1", "text2"), ("text_a", "text_b"), ("sentence_a", "sentence_b"), ("text", "text_pair"),
    ("question", "sentence"), ("question", "passage"), ("question", "context"), ("query", "passage"),
    ("#1 string", "#2 string"),
)  # fmt: skip
"""Two columns that are text and pair wherever both are there."""

MOST_DISTINCT = 0.5
"""Share of distinct values in the sample from which a column cannot be guessed to be the label."""
LONGEST_NAME = 40
"""Characters of a column name; a longer one is data of a file that has no header."""


@dataclass(frozen=True, slots=True)
class Guess:
    """Which column holds what.

    Attributes:
        columns: role to column name; optional roles that no column holds are left out.
        note: a sentence about what was guessed, to be shown to the user; empty when nothing was.
    """

    columns: dict[str, str]
    note: str


def guess_columns(
    names: Sequence[str],
    sample: Sequence[Record],
    wanted: Mapping[str, str | None],
    optional: Collection[str] = ("pair",),
    option: str = "{}:",
    source: str | None = None,
) -> Guess:
    """Decide which column holds each role.

    A pair is guessed together with the text only: who names the text alone has rows of a single text.

    Args:
        names: the columns there are.
        sample: some rows, for guesses by content; one at least where no source is named.
        wanted: for each role (a key of :data:`USUAL_NAMES`) the column that the recipe names, or None.
        optional: roles that may stay without a column; they are guessed by name only.
        option: how messages spell the option that names the column of a role.
        source: what messages name; what the first row comes from when absent.

    Raises:
        DataError: a named column does not exist, or one cannot be guessed; the message lists the columns.
    """
    place = source or sample[0].where.rpartition(" row ")[0]
    columns = {role: named_column(name, option.format(role), names, place) for role, name in wanted.items() if name}
    single = "text" in columns
    open_roles = [role for role in wanted if role not in columns and not (single and role == "pair")]
    guessed = _by_name(open_roles, _free(names, columns))
    for role in open_roles:
        if role not in guessed and role not in optional:
            _require_header(names, place)
            found = _by_content(role, _free(names, columns | guessed), sample)
            if found is None:
                choices = _choices(option.format(role), names)
                raise DataError(f"{place}: cannot tell which column is the {role.removesuffix('_column')}; {choices}")
            guessed[role] = found
    note = ", ".join(f"{role}={guessed[role]!r}" for role in wanted if role in guessed)
    return Guess(columns | guessed, f"guessed columns: {note}" if note else "")


def named_column(name: str, option: str, names: Sequence[str], place: str) -> str:
    """The column that a recipe names, if it is there.

    Raises:
        DataError: it is not; the message names the most similar one and lists all.
    """
    if name in names:
        return name
    lower = {other.lower(): other for other in names}
    close = difflib.get_close_matches(name.lower(), lower, n=1)
    hint = f" (did you mean {lower[close[0]]!r}?)" if close else ""
    raise DataError(f"{place}: there is no column {name!r}{hint}; {_choices(option, names)}")


def _choices(option: str, names: Sequence[str]) -> str:
    return f"set {option} to one of the columns {', '.join(repr(name) for name in names)}"


def _free(names: Sequence[str], taken: Mapping[str, str]) -> list[str]:
    return [name for name in names if name not in taken.values()]


def _by_name(roles: Sequence[str], free: Sequence[str]) -> dict[str, str]:
    lower = {name.strip().lower(): name for name in reversed(free)}
    found: dict[str, str] = {}
    if "text" in roles and "pair" in roles:
        for text, pair in USUAL_PAIRS:
            if text in lower and pair in lower:
                found = {"text": lower[text], "pair": lower[pair]}
                break
    for role in roles:
        usual = [lower[name] for name in USUAL_NAMES[role] if name in lower]
        unused = [name for name in usual if name not in found.values()]
        if unused:
            found.setdefault(role, unused[0])
    return found


def _require_header(names: Sequence[str], place: str) -> None:
    if any(len(name) > LONGEST_NAME for name in names):
        shown = ", ".join(repr(name[:LONGEST_NAME]) for name in names)
        raise DataError(
            f"{place}: the first row is no header ({shown}); add one, or name the columns by number: 0, 1, …"
        )


def _by_content(role: str, free: Sequence[str], sample: Sequence[Record]) -> str | None:
    values = {name: [record.values.get(name) for record in sample] for name in free}
    if role in ("text", "text_column", "context"):
        return _best({name: _mean_length(column) for name, column in values.items()}, max)
    if role == "label":
        return _best({name: _distinct(column) for name, column in values.items()}, min)
    return None


def _best(scores: Mapping[str, float | None], choose: Callable[..., Any]) -> str | None:
    known = {name: score for name, score in scores.items() if score is not None}
    return choose(known, key=known.__getitem__) if known else None


def _mean_length(column: Sequence[Any]) -> float | None:
    """Mean characters of a column of strings that are not numbers."""
    texts = [value for value in column if isinstance(value, str)]
    if len(texts) < len(column) or not texts or all(text.replace(".", "", 1).isdigit() for text in texts):
        return None
    return fmean(len(text) for text in texts)


def _distinct(column: Sequence[Any]) -> float | None:
    """Distinct values of a column of few; a column with a single one tells nothing."""
    if not column or not all(isinstance(value, str | int | float) for value in column):
        return None
    distinct = len(set(column))
    return distinct if 1 < distinct <= MOST_DISTINCT * len(column) else None
