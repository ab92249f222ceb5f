"""Hub data sets, read by the optional ``datasets`` package and only when a source names one."""

import importlib
import os
from collections.abc import Iterator
from typing import Any

from pocketbert.data.records import Record
from pocketbert.errors import DataError

SPLITS = {
    "train": ("train",),
    "validation": ("validation", "dev", "valid", "validation_matched"),
    "test": ("test", "test_matched"),
}
"""For each role the names its split goes by, the usual one first."""


def read_hub(source: str, split: str) -> Iterator[Record]:
    """Rows of a hub data set.

    Args:
        source: ``NAME`` or ``NAME:CONFIGURATION``, such as ``nyu-mll/glue:sst2``.
        split: the role: train, validation or test.

    Raises:
        DataError: ``datasets`` is not installed, or the data set or split cannot be had.
    """
    name, _, configuration = source.partition(":")
    splits = _load(name, configuration or None)
    found = next((key for key in SPLITS[split] if key in splits), None)
    if found is None:
        raise DataError(f"hub:{source}: there is no split for {split}; it has {', '.join(splits)}")
    for number, row in enumerate(splits[found], start=1):
        yield Record(row, f"hub:{source} {found} row {number}")


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
