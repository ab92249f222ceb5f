"""JSON and JSON lines to records. JSON lines are streamed, a ``.json`` file is read whole."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pocketbert.data.lines import Lines, RowPolicy, is_broken, open_bytes
from pocketbert.data.records import Record
from pocketbert.errors import DataError


def read_jsonl(path: Path, policy: RowPolicy) -> Iterator[Record]:
    """One JSON object a line; rows are counted from 1 without blank lines.

    Raises:
        DataError: a line is not a JSON object or not UTF-8 and the policy is ``fail``.
    """
    with open_bytes(path) as stream:
        for number, row in object_rows(path, Lines(stream), policy, 1):
            yield Record(row, f"{path} row {number}")


def object_rows(path: Path | str, lines: Lines, policy: RowPolicy, number: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """The object of each line that is not blank.

    Args:
        path: the file, for messages.
        lines: its lines, or those from some row on.
        policy: what a row does that is no object, or not UTF-8.
        number: of the first row that is read.
    """
    for count, line in enumerate(object_lines(lines), start=number):
        if is_broken(path, count, lines, policy):
            continue
        try:
            row = _parse_object(line)
        except (ValueError, RecursionError) as error:
            policy.fault(f"{path} row {count}: {error}")
            continue
        yield count, row


def object_lines(lines: Lines) -> Iterator[str]:
    """Lines that are not blank: the rows of JSON lines, right or wrong."""
    return (line for line in lines.rows() if line.strip())


def _parse_object(line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"not valid JSON at column {error.colno}: {error.msg}") from None
    if not isinstance(row, dict):
        raise ValueError(f"a JSON object is expected, not {type(row).__name__}")
    if "\\ud" in line.lower():
        _require_whole_characters(row)
    return row


def _require_whole_characters(row: Any) -> None:
    # JSON can spell half of a surrogate pair, which no tokenizer takes.
    try:
        json.dumps(row, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("an escape \\ud… stands for half of a character") from None


def load_json(path: Path) -> Any:
    """The value of a whole JSON file.

    Raises:
        DataError: the file is not UTF-8 or not JSON.
    """
    with open_bytes(path) as stream:
        raw = stream.read()
    try:
        value = json.loads(raw.decode("utf-8-sig"))
        if b"\\ud" in raw.lower():
            _require_whole_characters(value)
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: byte {error.start} of the file is not UTF-8; save it as UTF-8") from None
    except json.JSONDecodeError as error:
        hint = "; if it holds JSON lines, name it .jsonl" if error.msg == "Extra data" else ""
        place = f"line {error.lineno} column {error.colno}"
        raise DataError(f"{path}: not valid JSON at {place}: {error.msg}{hint}") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: {error}") from None
    return value


def read_objects(path: Path, rows: Any, policy: RowPolicy) -> Iterator[Record]:
    """The objects of a JSON value that was loaded: a list of them.

    Raises:
        DataError: the value is no list, or an element is no object and the policy is ``fail``.
    """
    if not isinstance(rows, list):
        raise DataError(f"{path}: a list of objects is expected, or the SQuAD layout")
    for number, row in enumerate(rows, start=1):
        if isinstance(row, dict):
            yield Record(row, f"{path} row {number}")
        else:
            policy.fault(f"{path} row {number}: a JSON object is expected, not {type(row).__name__}")
