"""The texts that models are timed on: a mixed sample as it comes, and rows of an exact length."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pocketbert.data.embedded import records
from pocketbert.distill.rows import TaskRows
from pocketbert.errors import DataError
from pocketbert.measure.evaluation import Answers
from pocketbert.measure.opening import OpenModel
from pocketbert.tasks.base import Example, Feature

TEXTS = 128
"""Of the mixed sample: enough for lengths to mix, few enough for a large teacher to run it several times."""

EMBEDDED = "paragraphs of the documentation that comes with Python"

_CHARACTERS = (12, 100)
"""Of text for each token that is wanted: more than a token has, first of English, then of anything."""


@dataclass(frozen=True)
class MixedSample:
    """The same rows for every model.

    Attributes:
        source: where they come from.
        texts: as strings, for rows of an exact length.
        features: by reference of the model, as its tokenizer gives them.
    """

    source: str
    texts: list[str]
    features: dict[str, list[Feature]]


def sample_rows(answers: Mapping[str, Answers], rows: TaskRows) -> MixedSample:
    """Test rows of a task, spread evenly over all; of a text in several windows the first."""
    first = next(iter(answers.values()))
    chosen = _spread(len(first.encoded.examples))
    windows = {reference: each.first_windows for reference, each in answers.items()}
    return MixedSample(
        source=f"test rows of {rows.task.name}",
        texts=[_as_text(first.encoded.examples[row]) for row in chosen],
        features={reference: [own[row] for row in chosen] for reference, own in windows.items()},
    )


def sample_embedded(models: Mapping[str, OpenModel], max_length: int) -> MixedSample:
    """Real English that is always at hand, with the lengths that it has, cut at the longest text all models take."""
    paragraphs = [record.values["text"] for record in records("test")]
    texts = [paragraphs[row] for row in _spread(len(paragraphs))]
    features = {
        reference: [dict(model.tokenizer(text, truncation=True, max_length=max_length)) for text in texts]
        for reference, model in models.items()
    }
    return MixedSample(EMBEDDED, texts, features)


def rows_of_length(model: OpenModel, texts: Sequence[str], tokens: int, count: int) -> list[Feature]:
    """Rows of exactly so many tokens, special tokens included: texts one after the other, cut.

    Args:
        model: whose tokenizer it is.
        texts: at least one.
        tokens: of each row.
        count: of the rows; each begins at another place.

    Raises:
        DataError: there is hardly anything in the texts that the tokenizer takes for a token.
    """
    joined = " ".join(texts)
    starts = np.linspace(0, len(joined), count, endpoint=False).astype(int)
    return [_cut(model, joined, int(start), tokens) for start in starts]


def _cut(model: OpenModel, text: str, start: int, tokens: int) -> Feature:
    for characters in _CHARACTERS:
        wanted = characters * tokens
        endless = text[start:] + (1 + wanted // max(len(text), 1)) * f" {text}"
        row = dict(model.tokenizer(endless[:wanted], truncation=True, max_length=tokens))
        if len(row["input_ids"]) == tokens:
            return row
    raise DataError(f"the texts to time {model.source} on have too few tokens for a row of {tokens}")


def _spread(rows: int) -> list[int]:
    return sorted(set(np.linspace(0, rows, min(rows, TEXTS), endpoint=False).astype(int).tolist()))


def _as_text(example: Example) -> str:
    text = example.text if isinstance(example.text, str) else " ".join(example.text)
    return f"{text} {example.pair}" if example.pair else text
