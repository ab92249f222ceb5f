"""Hub data sets, read by the optional ``datasets`` package and only when a source names one."""

import importlib
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pocketbert.data.records import Record
from pocketbert.errors import DataError

SPLITS = {
    "train": ("train",),
    "validation": ("validation", "dev", "valid", "validation_matched"),
    "test": ("test", "test_matched"),
}
"""For each role the names its split goes by, the usual one first."""


def read_hub(source: str, split: str, numbers: bool = False) -> Iterator[Record]:
    """Rows of a hub data set; classes, which it keeps as numbers, have the names that its features declare.

    Args:
        source: ``NAME`` or ``NAME:CONFIGURATION``, such as ``nyu-mll/glue:sst2``.
        split: the role: train, validation or test.
        numbers: leave classes as numbers, for a layout that has names of its own.

    Raises:
        DataError: ``datasets`` is not installed, or the data set or split cannot be had.
    """
    name, _, configuration = source.partition(":")
    splits = _load(name, configuration or None)
    found = next((key for key in SPLITS[split] if key in splits), None)
    if found is None:
        raise DataError(f"hub:{source}: there is no split for {split}; it has {', '.join(splits)}")
    rows = splits[found]
    classes = {} if numbers else _classes(rows.features)
    for number, row in enumerate(rows, start=1):
        named = {column: _name(row[column], names) for column, names in classes.items()}
        yield Record({**row, **named}, f"hub:{source} {found} row {number}", classes or None)


def _classes(features: Mapping[str, Any]) -> dict[str, list[str]]:
    """The names of the classes of each column that holds classes, or lists of them."""
    found = {}
    for column, feature in features.items():
        inner = feature
        while not hasattr(inner, "names") and (isinstance(inner, list) or hasattr(inner, "feature")):
            inner = inner[0] if isinstance(inner, list) else inner.feature
        if names := getattr(inner, "names", None):
            found[column] = list(names)
    return found


def _name(value: Any, names: Sequence[str]) -> Any:
    """The name of a class, or of each in a list; None for -1, which marks hidden labels of test sets."""
    if isinstance(value, list):
        return [_name(item, names) for item in value]
    return names[value] if value is not None and value >= 0 else None


def _load(name: str, configuration: str | None) -> Any:
    # The library counts downloads unless told not to before its first import.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        datasets = importlib.import_module("datasets")
    except ImportError:
        raise DataError(f"hub:{name}: pip install 'pocketbert[hub]' to read hub data sets") from None
    try:
        return datasets.load_dataset(name, configuration)
    except Exception as error:  # the library passes on whatever its own libraries raise
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(
            f"hub:{name}: cannot be loaded ({reason}); check the name, the configuration "
            "(hub:NAME:CONFIGURATION) and the network, or name a local file"
        ) from error
