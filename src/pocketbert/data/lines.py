"""Bytes to lines: opening, decompressing and decoding a file, with the place of everything that is wrong."""

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal

import pyarrow as pa

from pocketbert.data.records import Skipped
from pocketbert.errors import DataError

OnError = Literal["fail", "skip"]
COMPRESSED = (".gz", ".zst")
BOM = b"\xef\xbb\xbf"
CHUNK = 1 << 16


@dataclass(slots=True)
class RowPolicy:
    """What a row that cannot be read does.

    Attributes:
        on_error: ``fail`` stops at the first one; ``skip`` counts it and goes on.
        skipped: where rows are counted.
        choice: whether the user can have rows skipped.
    """

    on_error: OnError = "fail"
    skipped: Skipped = field(default_factory=Skipped)
    choice: bool = True

    def fault(self, message: str) -> None:
        """Report a bad row.

        Raises:
            DataError: the policy is ``fail``.
        """
        if self.on_error == "fail":
            raise DataError(f"{message}; mend the row{' or set on_error: skip' if self.choice else ''}")
        self.skipped.add(message)


def suffix_of(path: Path) -> str:
    """The ending that names the format, lower case, without ``.gz`` or ``.zst``."""
    inner = path.with_suffix("") if path.suffix.lower() in COMPRESSED else path
    return inner.suffix.lower()


@contextmanager
def open_bytes(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading, decompressed when its name ends in ``.gz`` or ``.zst``.

    Raises:
        DataError: the file cannot be opened, is empty, or is damaged; also while it is being read.
    """
    try:
        with path.open("rb") as file:
            if not file.peek(1):
                raise DataError(f"{path}: the file is empty")
            yield _decompressed(file, path.suffix.lower())
    except (EOFError, zlib.error, OSError) as error:
        # Decompressors raise an OSError without a number; those of the system have one.
        if isinstance(error, OSError) and error.errno is not None:
            raise DataError(f"{path}: cannot be read ({error.strerror})") from error
        raise DataError(f"{path}: the compressed file is damaged ({error}); fetch it again") from error


def _decompressed(file: io.BufferedReader, suffix: str) -> Any:
    if suffix == ".gz":
        return gzip.GzipFile(fileobj=file)
    if suffix == ".zst":
        # Unlike the zstandard package's reader this one notices a file that was cut off.
        return io.BufferedReader(pa.CompressedInputStream(file, "zstd"), CHUNK)
    return file


class Lines:
    """The lines of an open file as text; a byte-order mark is dropped, line ends are kept.

    Bytes that are not UTF-8 become replacement characters, and :meth:`take_broken` says where they stood, so
    that a reader can name the row they belong to.

    Args:
        stream: an open binary file.
        limit: longest piece in bytes; a longer line comes in several pieces. No limit when negative.

    Attributes:
        number: lines (or pieces) read so far.
    """

    def __init__(self, stream: BinaryIO, limit: int = -1) -> None:
        self._stream = stream
        self._limit = limit
        self._offset = 0
        self._carried = b""
        self._broken: int | None = None
        self.number = 0

    def __iter__(self) -> "Lines":
        return self

    def __next__(self) -> str:
        start, raw = self._offset, self._next_bytes()
        if not raw:
            raise StopIteration
        self.number += 1
        self._offset += len(raw)
        if start == 0 and raw.startswith(BOM):
            raw, start = raw[len(BOM) :], len(BOM)
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError as error:
            if self._broken is None:
                self._broken = start + error.start
            return raw.decode("utf-8", errors="replace")

    def take_broken(self) -> int | None:
        """Offset in the decompressed file of the first byte since the last call that is not UTF-8."""
        broken, self._broken = self._broken, None
        return broken

    def _next_bytes(self) -> bytes:
        part = self._stream.readline(self._limit)
        raw, self._carried = self._carried + part, b""
        if len(part) != self._limit or part.endswith(b"\n"):
            return raw
        # The limit may have cut a character in two: its beginning waits for the next piece.
        cut = _last_character(raw) or len(raw)
        raw, self._carried = raw[:cut], raw[cut:]
        return raw


def _last_character(raw: bytes) -> int:
    """Where the last character begins, when it is longer than a byte; else the end."""
    for back in range(1, min(4, len(raw)) + 1):
        if raw[-back] >= 0xC0:
            return len(raw) - back
        if raw[-back] < 0x80:
            break
    return len(raw)


def is_broken(path: Path, row: int, lines: Lines, policy: RowPolicy) -> bool:
    """Whether the lines of a row are not UTF-8; if so, report it under the policy.

    Raises:
        DataError: the policy is ``fail``, or the row is the header, number 0.
    """
    broken = lines.take_broken()
    if broken is None:
        return False
    if row == 0:
        raise DataError(f"{path} header: byte {broken} of the file is not UTF-8 text; save the file as UTF-8")
    policy.fault(f"{path} row {row}: byte {broken} of the file is not UTF-8 text")
    return True
