"""Plain text to documents or to rows, in constant memory."""

from collections.abc import Iterator
from pathlib import Path

from pocketbert.data.lines import CHUNK, Lines, RowPolicy, is_broken, open_bytes
from pocketbert.data.records import Record
from pocketbert.errors import DataError

LONGEST = 100_000
"""Characters of a document; a longer one is cut at white space."""


def read_documents(path: Path) -> Iterator[str]:
    """Documents of a text file: a blank line ends one, the lines of one are joined by a space.

    Raises:
        DataError: the file is damaged or not UTF-8.
    """
    with open_bytes(path) as stream:
        for document in _joined(_text_pieces(path, Lines(stream, CHUNK))):
            if text := document.strip():
                yield text


def read_lines(path: Path, policy: RowPolicy) -> Iterator[Record]:
    """Lines of a text file as rows of one column, ``text``; blank lines are left out and not counted.

    Raises:
        DataError: the file is damaged, or a line is not UTF-8 and the policy is ``fail``.
    """
    with open_bytes(path) as stream:
        lines = Lines(stream)
        number = 0
        for line in lines:
            if line.strip():
                number += 1
                if not is_broken(path, number, lines, policy):
                    yield Record({"text": line.strip()}, f"{path} row {number}")


def cut(text: str, longest: int = LONGEST) -> list[str]:
    """Pieces of at most ``longest`` characters, cut before white space where there is any; none is lost."""
    pieces = []
    while len(text) > longest:
        space = max(text.rfind(" ", 1, longest + 1), text.rfind("\n", 1, longest + 1))
        end = space if space > 0 else longest
        pieces.append(text[:end])
        text = text[end:]
    return [*pieces, text]


def _text_pieces(path: Path, lines: Lines) -> Iterator[str]:
    for piece in lines:
        broken = lines.take_broken()
        if broken is not None:
            raise DataError(f"{path}: byte {broken} of the file is not UTF-8 text; save the file as UTF-8")
        yield piece


def _joined(pieces: Iterator[str]) -> Iterator[str]:
    parts: list[str] = []
    length = 0
    line_begins = True
    for piece in pieces:
        line_ends = piece.endswith("\n")
        if line_begins and line_ends and not piece.strip():
            yield from cut("".join(parts))
            parts, length = [], 0
            continue
        text = piece.lstrip() if line_begins else piece
        parts.append(f"{text.rstrip()} " if line_ends else text)
        length += len(parts[-1])
        line_begins = line_ends
        if length > LONGEST:
            *whole, rest = cut("".join(parts))
            yield from whole
            parts, length = [rest], len(rest)
    yield from cut("".join(parts))
