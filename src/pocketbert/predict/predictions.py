"""From answers to columns: their names and types by task."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from pocketbert.predict.blocks import cell
from pocketbert.predict.options import PredictOptions

SCORES = pa.list_(pa.struct([("label", pa.string()), ("score", pa.float32())]))
SPANS = [("text", pa.string()), ("start", pa.int32()), ("end", pa.int32()), ("score", pa.float32())]
GUESSES = pa.list_(pa.list_(pa.struct([("token", pa.string()), ("score", pa.float32())])))


@dataclass(frozen=True, slots=True)
class Column:
    """A column of predictions.

    Attributes:
        name: of it.
        kind: its Arrow type.
        value: of an answer, as JSON has it.
        text: of a value, as CSV has it.
    """

    name: str
    kind: Any
    value: Callable[[Any], Any]
    text: Callable[[Any], str] = cell


def prediction_columns(task: str, options: PredictOptions, width: int) -> list[Column]:
    """The columns of a task, ``truncated`` last.

    Args:
        task: of the pipeline.
        options: what is asked of it, and the prefix of the names.
        width: of embeddings.
    """
    columns = [*_COLUMNS[task](options, width), Column("truncated", pa.bool_(), lambda answer: answer.truncated)]
    return [Column(options.prefix + each.name, each.kind, each.value, each.text) for each in columns]


def _labelled(options: PredictOptions, _width: int) -> list[Column]:
    columns = [
        Column("label", pa.string(), lambda answer: answer.label),
        Column("score", pa.float32(), lambda answer: answer.score),
    ]
    return [*columns, _scores(options)] if (options.top_k or 1) > 1 else columns


def _scores(options: PredictOptions) -> Column:
    return Column("scores", SCORES, lambda answer: [asdict(each) for each in answer.scores[: options.top_k]])


def _multi_labelled(options: PredictOptions, _width: int) -> list[Column]:
    return [Column("labels", pa.list_(pa.string()), lambda answer: answer.labels, "|".join), _scores(options)]


def _regressed(_options: PredictOptions, _width: int) -> list[Column]:
    return [Column("value", pa.float32(), lambda answer: answer.value)]


def _tagged(_options: PredictOptions, _width: int) -> list[Column]:
    kind = pa.list_(pa.struct([("type", pa.string()), *SPANS]))
    return [Column("entities", kind, lambda answer: [asdict(each) for each in answer.entities])]


def _answered(options: PredictOptions, _width: int) -> list[Column]:
    columns = [
        Column("answer", pa.string(), lambda answer: _best(answer, "text")),
        Column("start", pa.int32(), lambda answer: _best(answer, "start")),
        Column("end", pa.int32(), lambda answer: _best(answer, "end")),
        Column("score", pa.float32(), lambda answer: _best(answer, "score")),
    ]
    if options.no_answer:
        columns.append(Column("no_answer", pa.float32(), lambda answer: answer.no_answer))
    if (options.top_k or 1) > 1:
        kind = pa.list_(pa.struct(SPANS))
        columns.append(Column("answers", kind, lambda answer: [asdict(each) for each in answer.answers]))
    return columns


def _best(answer: Any, name: str) -> Any:
    """Of the likeliest span; None where the context has no answer."""
    return getattr(answer.answers[0], name) if answer.answers else None


def _filled(_options: PredictOptions, _width: int) -> list[Column]:
    def guesses(answer: Any) -> list[list[dict[str, Any]]]:
        return [[{"token": each.token, "score": each.score} for each in gap] for gap in answer.gaps]

    return [Column("guesses", GUESSES, guesses)]


def _embedded(_options: PredictOptions, width: int) -> list[Column]:
    return [Column("embedding", pa.list_(pa.float32(), width), lambda answer: answer.vector.tolist())]


_COLUMNS: dict[str, Callable[[PredictOptions, int], list[Column]]] = {
    "classification": _labelled,
    "zero_shot": _labelled,
    "multi_label": _multi_labelled,
    "regression": _regressed,
    "token_classification": _tagged,
    "question_answering": _answered,
    "masked_lm": _filled,
    "embedding": _embedded,
}


def arrow_column(column: Column, answers: Sequence[Any]) -> Any:
    """A column of predictions as an array."""
    if pa.types.is_fixed_size_list(column.kind):
        vectors = [answer.vector for answer in answers]
        flat = np.concatenate(vectors) if vectors else np.zeros(0, dtype=np.float32)
        return pa.FixedSizeListArray.from_arrays(pa.array(flat, pa.float32()), type=column.kind)
    return pa.array([column.value(answer) for answer in answers], column.kind)
