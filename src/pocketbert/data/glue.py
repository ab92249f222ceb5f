"""The layouts in which GLUE's nine tasks are distributed, read as rows of ``text``, ``pair`` and ``label``.

The files are tab-separated whatever their ending, and quotes in them are characters like any other. The JSON
lines and the hub data sets of the same tasks use other names for the columns; all of them are known here.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pocketbert.data.delimited import Row, header_names, tab_rows
from pocketbert.data.lines import Lines, RowPolicy, open_bytes
from pocketbert.data.records import Record
from pocketbert.errors import DataError
from pocketbert.recipe import Metric, TaskName


@dataclass(frozen=True, slots=True)
class Bare:
    """Where things stand in a file without a header, counted from 0.

    Attributes:
        text, label, pair: the columns.
        columns: how many there are at least.
    """

    text: int
    label: int
    columns: int
    pair: int | None = None


@dataclass(frozen=True, slots=True)
class Layout:
    """One task of GLUE.

    Attributes:
        task: the task type.
        labels: label names in the order of the published numbers; None for regression.
        metrics: GLUE's own; their mean is the score.
        text, pair, label: names these columns go by; the first that a file has counts.
        bare: the columns of files without a header, where such are in use.
        missing: a label that stands for none; its rows are left out and counted.
        incomplete: whether the published files hold rows with too few fields, to be left out and counted.
    """

    task: TaskName
    labels: tuple[str, ...] | None
    metrics: tuple[Metric, ...]
    text: tuple[str, ...]
    pair: tuple[str, ...] = ()
    label: tuple[str, ...] = ("label",)
    bare: Bare | None = None
    missing: str | None = None
    incomplete: bool = False


BINARY = ("0", "1")
ENTAILMENT = ("entailment", "not_entailment")

LAYOUTS: dict[str, Layout] = {
    "cola": Layout("classification", BINARY, ("matthews",), ("sentence",), bare=Bare(text=3, label=1, columns=4)),
    "sst2": Layout("classification", BINARY, ("accuracy",), ("sentence",)),
    "mrpc": Layout(
        "classification",
        BINARY,
        ("accuracy", "f1"),
        ("#1 String", "sentence1"),
        ("#2 String", "sentence2"),
        ("Quality", "label"),
    ),
    "qqp": Layout(
        "classification",
        BINARY,
        ("accuracy", "f1"),
        ("question1",),
        ("question2",),
        ("is_duplicate", "label"),
        incomplete=True,
    ),
    "stsb": Layout(
        "regression",
        None,
        ("pearson", "spearman"),
        ("sentence1",),
        ("sentence2",),
        ("score", "label"),
        bare=Bare(text=5, pair=6, label=4, columns=7),
    ),
    "mnli": Layout(
        "classification",
        ("entailment", "neutral", "contradiction"),
        ("accuracy",),
        ("sentence1", "premise"),
        ("sentence2", "hypothesis"),
        ("gold_label", "label"),
        missing="-",
    ),
    "qnli": Layout("classification", ENTAILMENT, ("accuracy",), ("question",), ("sentence",)),
    "rte": Layout("classification", ENTAILMENT, ("accuracy",), ("sentence1",), ("sentence2",)),
    "wnli": Layout("classification", BINARY, ("accuracy",), ("sentence1",), ("sentence2",)),
}
"""GLUE's tasks by the names that recipes use."""


def read_glue(path: Path, name: str, policy: RowPolicy) -> Iterator[Record]:
    """Rows of a tab-separated file, test files without labels included.

    Args:
        path: the file.
        name: a key of :data:`LAYOUTS`.
        policy: what a ragged or broken row does.

    Raises:
        DataError: the file does not have the layout, or a row is bad and the policy is ``fail``.
    """
    layout = LAYOUTS[name]
    bare = layout.bare if layout.bare and not _has_header(path, layout) else None
    with open_bytes(path) as stream:
        rows = tab_rows(path, Lines(stream), policy, int(bare is not None))
        if bare:
            yield from _bare_records(path, rows, bare, policy)
        else:
            yield from normalise(_headed_records(path, rows, layout, policy), name, policy)


def _has_header(path: Path, layout: Layout) -> bool:
    with open_bytes(path) as stream:
        first = next(Lines(stream), "")
    return bool(set(layout.text) & set(first.rstrip("\r\n").split("\t")))


def _headed_records(path: Path, rows: Iterator[Row], layout: Layout, policy: RowPolicy) -> Iterator[Record]:
    top = next(rows, None)
    names = header_names(path, top) if top else []
    for number, row in rows:
        place = f"{path} row {number}"
        if len(row) == len(names):
            yield Record(dict(zip(names, row, strict=True)), place)
        elif layout.incomplete and len(row) < len(names):
            policy.skipped.add(f"{place}: incomplete in the published file")
        else:
            policy.fault(f"{place}: {len(row)} field(s) where the header has {len(names)}")


def _bare_records(path: Path, rows: Iterator[Row], bare: Bare, policy: RowPolicy) -> Iterator[Record]:
    for number, row in rows:
        place = f"{path} row {number}"
        if len(row) < bare.columns:
            policy.fault(f"{place}: {len(row)} field(s) where {bare.columns} are expected")
            continue
        values = {"text": row[bare.text], "label": row[bare.label]}
        if bare.pair is not None:
            values["pair"] = row[bare.pair]
        yield Record(values, place)


def normalise(records: Iterator[Record], name: str, policy: RowPolicy) -> Iterator[Record]:
    """Rows under the published column names as ``text``, ``pair`` (where the task has one) and ``label``.

    Args:
        records: rows of one source.
        name: a key of :data:`LAYOUTS`.
        policy: counts the rows whose label stands for none.

    Raises:
        DataError: a row lacks a column of the layout.
    """
    layout = LAYOUTS[name]
    needed = {"text": layout.text} | ({"pair": layout.pair} if layout.pair else {})
    for number, record in enumerate(records):
        lacking = [names for names in needed.values() if not any(name in record.values for name in names)]
        if lacking and number == 0:
            raise DataError(_wrong_layout(record, lacking[0], name))
        label = _label(_value(record.values, layout.label), layout)
        if lacking:
            policy.fault(f"{record.where}: no column {lacking[0][0]!r}")
        elif label is not None and label == layout.missing:
            policy.skipped.add(f"{record.where}: no label that annotators agreed on")
        else:
            texts = {role: _value(record.values, names) for role, names in needed.items()}
            yield Record({**texts, "label": label}, record.where)


def _value(values: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((values[name] for name in names if name in values), None)


def _wrong_layout(record: Record, names: tuple[str, ...], layout: str) -> str:
    found = ", ".join(repr(name) for name in record.values)
    wanted = " or ".join(repr(name) for name in names)
    return (
        f"{record.where}: layout {layout} needs a column {wanted}, found {found}; "
        "for a file of your own leave out layout and name the columns"
    )


def _label(value: Any, layout: Layout) -> Any:
    """The label's name where a data set has its number; -1 marks hidden labels of test sets."""
    if layout.labels is None or not isinstance(value, int):
        return value
    if value == -1:
        return None
    return layout.labels[value] if 0 <= value < len(layout.labels) else str(value)
