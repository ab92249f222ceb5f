"""Bytes to lines: opening, decompressing and decoding a file, with the place of everything that is wrong."""

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal

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
    with damage_explained(path), path.open("rb") as file:
        yield decompress(file, path)


@contextmanager
def damage_explained(path: Path | str) -> Iterator[None]:
    """Errors of the system and of decompressors, in words for the person who has the file.

    Raises:
        DataError: the file cannot be opened or read, or is damaged.
    """
    try:
        yield
    except (EOFError, zlib.error, OSError) as error:
        if isinstance(error, OSError) and not _of_decompressor(error):
            raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
        raise DataError(f"{path}: the compressed file is damaged ({error}); fetch it again") from error


def _of_decompressor(error: OSError) -> bool:
    """Whether a decompressor raised it: errors of the system have a number, those of object stores a class."""
    return error.errno is None and type(error) in (OSError, gzip.BadGzipFile)


def decompress(file: Any, path: Path | str) -> Any:
    """What an open file holds, decompressed when its name ends in ``.gz`` or ``.zst``.

    Raises:
        DataError: the file is empty.
    """
    if not file.read(1):
        raise DataError(f"{path}: the file is empty")
    file.seek(0)
    suffix = Path(path).suffix.lower()
    if suffix == ".gz":
        return gzip.GzipFile(fileobj=file)
    if suffix == ".zst":
        import pyarrow as pa  # takes a moment, which a pipeline that reads no files need not wait for

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
        offset: of the stream's next byte in the decompressed file, where reading does not begin at its head.
        number: lines before it.

    Attributes:
        offset: bytes read so far.
        number: lines (or pieces) read so far.
    """

    def __init__(self, stream: BinaryIO, limit: int = -1, offset: int = 0, number: int = 0) -> None:
        self._stream = stream
        self._limit = limit
        self._carried = b""
        self._broken: int | None = None
        self._kept: list[bytes] | None = None
        self.offset = offset
        self.number = number

    def __iter__(self) -> "Lines":
        return self

    def __next__(self) -> str:
        start, raw = self.offset, self._next_bytes()
        if not raw:
            raise StopIteration
        self.number += 1
        self.offset += len(raw)
        if start == 0 and raw.startswith(BOM):
            raw, start = raw[len(BOM) :], len(BOM)
        if self._kept is not None:
            self._kept.append(raw)
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError as error:
            if self._broken is None:
                self._broken = start + error.start
            return raw.decode("utf-8", errors="replace")

    def begin_row(self) -> None:
        """From here on, until it is called again, lines belong to one row."""
        self._kept = []

    @property
    def row(self) -> bytes:
        """The row that was begun last, as it stands in the file."""
        return b"".join(self._kept or [])

    def rows(self) -> Iterator[str]:
        """The lines, each a row of its own."""
        self.begin_row()
        for line in self:
            yield line
            self.begin_row()

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


def is_broken(path: Path | str, row: int, lines: Lines, policy: RowPolicy) -> bool:
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
