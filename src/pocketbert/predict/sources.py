"""Inputs: files, globs, URLs and the standard input, and which format each has."""

import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import BaseModel

from pocketbert.data.lines import COMPRESSED, damage_explained, decompress, open_bytes, suffix_of
from pocketbert.data.sources import resolve
from pocketbert.errors import DataError, PocketBertError
from pocketbert.files import hash_file
from pocketbert.predict.options import InputFormat
from pocketbert.predict.remote import file_system, is_url

STDIN = "-"

FORMATS: dict[str, InputFormat] = {
    ".parquet": "parquet",
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}
"""By ending."""


class Source(BaseModel):
    """A file that is read.

    Attributes:
        name: as it was given, and as failed rows name it.
        path: of the file on this machine, or a URL.
        format: of its content.
    """

    name: str
    path: str
    format: InputFormat


class Print(BaseModel):
    """How an input is known again.

    Attributes:
        name: of the source.
        bytes: in the file.
        hash: SHA-256 of the file, or what an object store tells of the object.
    """

    name: str
    bytes: int
    hash: str


def find_sources(inputs: Sequence[str | Path], wanted: InputFormat | None, spool: Path | None) -> list[Source]:
    """The files that the inputs stand for, all of one format.

    Args:
        inputs: files, globs, URLs, or ``-`` for the standard input.
        wanted: the format, where endings do not tell.
        spool: where the standard input lies, if it is an input.

    Raises:
        DataError: there is no such file, its format cannot be told, or there are several formats.
    """
    if not inputs:
        raise DataError("no input; name files, globs, URLs, or - for the standard input")
    found: list[Source] = []
    for given in map(str, inputs):
        if given == STDIN:
            found.append(Source(name=STDIN, path=str(spool), format=wanted or _unknown("the standard input")))
        else:
            found += [_source(each, wanted) for each in _places(given)]
    other = next((each for each in found if each.format != found[0].format), None)
    if other:
        raise DataError(f"{found[0].name} is {found[0].format}, {other.name} is {other.format}: score them one by one")
    return found


def _source(name: str, wanted: InputFormat | None) -> Source:
    path = name if is_url(name) else str(Path(name).absolute())
    return Source(name=name, path=path, format=wanted or format_of(name))


def format_of(name: str) -> InputFormat:
    """What the ending of a name says.

    Raises:
        DataError: nothing that is known.
    """
    suffix = suffix_of(Path(name))
    if suffix == ".parquet" and Path(name).suffix.lower() in COMPRESSED:
        raise DataError(f"{name}: Parquet is compressed within; unpack the file and name that")
    return FORMATS.get(suffix) or _unknown(name)


def _unknown(name: str) -> InputFormat:
    raise DataError(
        f"{name}: cannot tell its format; endings are {', '.join(FORMATS)} (.gz or .zst behind them, but for Parquet), "
        "or say --input-format"
    )


def _places(given: str) -> list[str]:
    if not is_url(given):
        return [str(place) for place in resolve([given])]
    system, path = file_system(given)
    if "*" not in given:
        return [given]
    matches = sorted(system.glob(path))
    if not matches:
        raise DataError(f"{given}: nothing matches")
    return [system.unstrip_protocol(match) for match in matches]


def take_print(source: Source) -> Print:
    """Size and hash of an input.

    Raises:
        DataError: it cannot be read.
    """
    with damage_explained(source.name):
        if not is_url(source.path):
            path = Path(source.path)
            return Print(name=source.name, bytes=path.stat().st_size, hash=hash_file(path))
        system, path_there = file_system(source.path)
        return Print(name=source.name, bytes=system.size(path_there), hash=str(system.ukey(path_there)))


@contextmanager
def open_source(source: Source) -> Iterator[BinaryIO]:
    """A text file, decompressed.

    Raises:
        DataError: it cannot be read or is damaged; also while it is being read.
    """
    if not is_url(source.path):
        with open_bytes(Path(source.path)) as stream:
            yield stream
        return
    with open_raw(source) as file:
        yield decompress(file, source.name)


@contextmanager
def open_raw(source: Source) -> Iterator[Any]:
    """The bytes of a file as they are, in any order.

    Raises:
        DataError: it cannot be read; also while it is being read.
    """
    with damage_explained(source.name):
        if not is_url(source.path):
            with Path(source.path).open("rb") as file:
                yield file
            return
        system, path = file_system(source.path)
        with system.open(path, "rb") as file:
            yield file


def spool_stdin(folder: Path) -> Path:
    """Put the standard input into a file, for it can be read once only; an earlier one stays where nothing comes.

    Raises:
        PocketBertError: nobody pipes anything in, now or before.
    """
    path, temporary = folder / "stdin", folder / ".stdin.part"
    with temporary.open("wb") as file:
        if not sys.stdin.isatty():
            shutil.copyfileobj(sys.stdin.buffer, file)
    if temporary.stat().st_size:
        temporary.replace(path)
    temporary.unlink(missing_ok=True)
    if not path.exists():
        raise PocketBertError("-: nothing came through the standard input; pipe the rows in")
    return path
