"""CoNLL layouts: a word a line, a blank line between sentences; read as ``tokens`` and ``tags``."""

from collections.abc import Iterator
from pathlib import Path

from pocketbert.data.lines import Lines, RowPolicy, is_broken, open_bytes
from pocketbert.data.records import Record

DOCUMENT = "-DOCSTART-"


def read_conll(path: Path, policy: RowPolicy) -> Iterator[Record]:
    """Sentences of a file; the first column is the word, the last its tag, any number may stand between.

    Columns are split at tabs where the line has one, else at spaces. A line of only white space is blank, and
    lines of ``-DOCSTART-`` are left out. Rows are sentences, counted from 1.

    Raises:
        DataError: a line has another number of columns than the first and the policy is ``fail``.
    """
    with open_bytes(path) as stream:
        lines = Lines(stream)
        columns = 0
        number = 0
        for start, sentence in _sentences(lines):
            number += 1
            place = f"{path} row {number}"
            columns = columns or len(sentence[0])
            if is_broken(path, number, lines, policy):
                continue
            if fault := _fault(sentence, columns, start):
                policy.fault(f"{place} {fault}")
                continue
            words, tags = [fields[0] for fields in sentence], [fields[-1] for fields in sentence]
            yield Record({"tokens": words, "tags": tags}, place)


def _sentences(lines: Lines) -> Iterator[tuple[int, list[list[str]]]]:
    """Sentences as lists of split lines, each with the number of its first line."""
    sentence: list[list[str]] = []
    for line in lines:
        fields = _split(line)
        if fields and fields[0] != DOCUMENT:
            sentence.append(fields)
        elif sentence:
            yield lines.number - len(sentence), sentence
            sentence = []
    if sentence:
        yield lines.number - len(sentence) + 1, sentence


def _split(line: str) -> list[str]:
    if not line.strip():
        return []
    if "\t" in line:
        return [field.strip(" \r\n") for field in line.split("\t")]
    return [field for field in line.strip("\r\n").split(" ") if field]


def _fault(sentence: list[list[str]], columns: int, start: int) -> str | None:
    for line, fields in enumerate(sentence, start=start):
        if len(fields) < 2:
            return f"(line {line}): only a word; a tag is expected after it"
        if len(fields) != columns:
            return f"(line {line}): {len(fields)} columns where the file began with {columns}"
        if not fields[0] or not fields[-1]:
            return f"(line {line}): the {'tag' if fields[0] else 'word'} is empty"
    return None
