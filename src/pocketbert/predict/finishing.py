"""From parts to the output: joined in order, made known by one rename, and described beside it."""

import json
import shutil
from collections.abc import Iterator
from typing import Any, BinaryIO

from pocketbert.errors import DataError, PocketBertError
from pocketbert.predict.formats import Format
from pocketbert.predict.plan import Plan
from pocketbert.predict.results import Record
from pocketbert.predict.store import FAILED, MANIFEST, Store

_CHUNK = 1 << 20


def finish(plan: Plan, store: Store, form: Format, max_failed: int | None) -> Record:
    """Put the output together; a run that is killed in the midst of it does the same again.

    The failed rows come first, then the output, then what describes it: what has a manifest is whole. The work folder
    goes last.

    Args:
        plan: all of whose parts are there.
        store: where they lie.
        form: of the output.
        max_failed: rows without prediction that are borne; any number when None.

    Raises:
        DataError: there are more failed rows; the parts stay where they are.
        PocketBertError: the output cannot be written.
    """
    names = store.names()
    failed_names = [name for part in plan.parts if (name := plan.failed_name(part.number)) in names]
    failed = sum(_count_lines(store, name) for name in failed_names)
    if max_failed is not None and failed > max_failed:
        raise DataError(
            f"{failed:,} rows failed, {max_failed:,} are borne (--max-failed). First: {_first(store, failed_names)}. "
            "All that was computed is kept: mend the input and begin anew, or run the same command with a higher limit"
        )
    for ending in (MANIFEST, FAILED):
        store.discard(ending)  # of an output that somebody has removed
    if failed:
        store.publish(FAILED, lambda file: _copy(store, failed_names, file))
    parts = [plan.part_name(part.number) for part in plan.parts]
    if plan.target.folder:
        store.publish_folder(parts)
    else:
        store.publish("", lambda file: form.merge(_opened(store, parts), file))
    record = Record(
        fingerprint=plan.fingerprint,
        model=plan.model,
        engine=plan.chosen.path,
        columns=plan.columns,
        rows=plan.rows - failed,
        failed=failed,
        parts=len(parts),
    )
    store.publish(MANIFEST, lambda file: file.write(record.model_dump_json(indent=2).encode() + b"\n"))
    return record


def check_complete(plan: Plan, store: Store) -> None:
    """Make sure that every part is there.

    Raises:
        PocketBertError: some are not.
    """
    names = store.names()
    missing = [part.number for part in plan.parts if plan.part_name(part.number) not in names]
    if missing:
        raise PocketBertError(
            f"{len(missing):,} parts are missing, the first is {missing[0]}; run the same command again"
        )


def _opened(store: Store, names: list[str]) -> Iterator[Any]:
    for name in names:
        with store.open(name) as file:
            yield file


def _copy(store: Store, names: list[str], target: BinaryIO) -> None:
    for file in _opened(store, names):
        shutil.copyfileobj(file, target)


def _count_lines(store: Store, name: str) -> int:
    with store.open(name) as file:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(_CHUNK), b""))


def _first(store: Store, names: list[str]) -> str:
    with store.open(names[0]) as file:
        return str(json.loads(file.readline())["reason"])
