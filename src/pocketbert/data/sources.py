"""What recipes name as data, read as records or as texts: files, globs, hub data sets, the embedded default.

A source is a path or a glob (``data/*.jsonl.zst``), ``hub:NAME`` or ``hub:NAME:CONFIGURATION``,
``embedded:text`` or ``embedded:areas``, or ``altered:`` before plain text: pairs made of its sentences. The
ending tells a file's format, with ``.gz`` or ``.zst`` behind it when it is compressed.

In CSV and TSV files of the user's own the first row names the columns, unless the recipe names columns by
number (``text: "1"``): then the file has no header, and its columns are counted from 0. Layouts know their
headers. Quotes are special in CSV and characters like any other in TSV.
"""

import itertools
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

from pocketbert.data import embedded
from pocketbert.data.altered import altered_pairs
from pocketbert.data.arrow import read_arrow, read_parquet
from pocketbert.data.columns import guess_columns
from pocketbert.data.conll import read_conll
from pocketbert.data.delimited import read_csv, read_tsv
from pocketbert.data.documents import cut, read_documents, read_lines
from pocketbert.data.glue import LAYOUTS, normalise, read_glue
from pocketbert.data.hub import read_hub
from pocketbert.data.lines import OnError, RowPolicy, suffix_of
from pocketbert.data.objects import load_json, read_jsonl, read_objects
from pocketbert.data.records import Record, Skipped
from pocketbert.data.squad import is_squad, read_flat, read_squad
from pocketbert.errors import DataError
from pocketbert.files import hash_file, hash_text

HUB = "hub:"
EMBEDDED = "embedded:"
ALTERED = "altered:"
TEXT = (".txt", ".text", ".raw", ".tokens")
DELIMITED = (".csv", ".tsv")
CONLL = (".conll", ".annotated", ".bio", ".iob", ".iob2")
READERS: dict[str, Callable[[Path, RowPolicy], Iterator[Record]]] = {
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
    ".parquet": read_parquet,
    ".arrow": read_arrow,
    **dict.fromkeys(TEXT, read_lines),
    **dict.fromkeys(CONLL, read_conll),
}
SAMPLE = 100
"""Rows looked at to guess a text column."""


def read_records(
    sources: Sequence[str],
    *,
    split: str = "train",
    layout: str | None = None,
    columns: Collection[str | None] = (),
    on_error: OnError = "fail",
    skipped: Skipped | None = None,
) -> Iterator[Record]:
    """Rows of all sources, one after the other, in constant memory (``.json`` is read whole).

    Args:
        sources: see the module; globs are sorted.
        split: the role of the rows, train, validation or test: chooses the split of hub and embedded data.
        layout: a published layout; rows then have its columns (``text``, ``pair``, ``label`` for GLUE).
        columns: the columns that the recipe names; numbers mean that delimited files have no header.
        on_error: what a row that cannot be read does.
        skipped: counts the rows that were left out.

    Raises:
        DataError: a source does not exist (at once); while reading: it has an unknown ending, is damaged or
            holds no row, or a row is bad and ``on_error`` is ``fail``.
    """
    policy = RowPolicy(on_error, Skipped() if skipped is None else skipped)
    header = not _by_number(columns)
    places = resolve(sources)
    return itertools.chain.from_iterable(_read(place, split, layout, header, policy) for place in places)


def read_texts(
    sources: Sequence[str],
    text_column: str | None = None,
    *,
    split: str | None = None,
    notes: list[str] | None = None,
) -> Iterator[str]:
    """Documents for a corpus, in constant memory; those of more than 100,000 characters come in pieces.

    Plain text is split at blank lines, and the lines of a document are joined by a space. Tables give their
    text column; rows without a text are left out.

    Args:
        sources: see the module.
        text_column: the column of tables; guessed for each file when absent.
        split: of hub data (train when absent) and embedded data (all when absent).
        notes: gets what was guessed, once for all files in which it is the same.

    Raises:
        DataError: as for :func:`read_records`; or the text column is missing or cannot be guessed.
    """
    said: list[str] = [] if notes is None else notes
    return itertools.chain.from_iterable(_texts(place, text_column, split, said) for place in resolve(sources))


def fingerprint(sources: Sequence[str]) -> str:
    """SHA-256 over names and contents of all files; hub data counts by name, embedded data by its origin.

    Raises:
        DataError: a source does not exist.
    """
    parts: list[str] = []
    for place in resolve(sources):
        if isinstance(place, Path):
            parts += [place.name, hash_file(place)]
        elif place.startswith(ALTERED):
            parts += [ALTERED, fingerprint([place.removeprefix(ALTERED)])]
        else:
            parts.append(f"{place} {embedded.origin()}" if place.startswith(EMBEDDED) else place)
    return hash_text(*parts)


def resolve(sources: Sequence[str]) -> list[Path | str]:
    """The files that paths and globs stand for, each once and globs sorted; other sources as they are.

    Raises:
        DataError: there is no such file, or nothing matches a glob.
    """
    places: dict[Path | str, None] = {}
    for source in sources:
        places.update(dict.fromkeys(_places(source)))
    return list(places)


def is_text(place: Path | str) -> bool:
    """Whether a source is plain text, which has no columns."""
    return place == f"{EMBEDDED}text" or (isinstance(place, Path) and suffix_of(place) in TEXT)


def _places(source: str) -> Sequence[Path | str]:
    if source.startswith(ALTERED):
        return [f"{ALTERED}{place}" for place in _plain_text(source)]
    return [source] if source.startswith((HUB, EMBEDDED)) else _files(source)


def _plain_text(source: str) -> Sequence[Path | str]:
    """The text that pairs are made of; a table's text has columns, faults and policies of its own."""
    inner = source.removeprefix(ALTERED)
    places = _places(inner) if inner else [inner]
    for place in places:
        if not is_text(place):
            raise DataError(
                f"{source}: pairs are made of plain text; name files that end in {', '.join(TEXT)} (each also with "
                f".gz or .zst), or {EMBEDDED}text"
            )
    return places


def _files(source: str) -> list[Path]:
    try:
        path = Path(source).expanduser()
    except RuntimeError:
        raise DataError(f"{source}: {Path(source).parts[0]} is the home of nobody here; write the whole path") from None
    if path.is_file():
        return [path]
    if path.is_dir():
        raise DataError(f"{source}: a folder; name its files with a glob, such as {path / '*.jsonl'}")
    if not any(sign in source for sign in "*?["):
        raise DataError(f"{source}: no such file")
    return _matches(source, path)


def _matches(source: str, path: Path) -> list[Path]:
    if any("**" in part and part != "**" for part in path.parts):
        # Some versions of Python refuse this, and others take it for a single asterisk.
        raise DataError(f"{source}: ** is a part of the path by itself; write **/*.csv, for example, not **.csv")
    root = Path(path.anchor)
    matches = root.glob(str(path.relative_to(root)))
    files = sorted(match for match in matches if match.is_file() and not match.name.startswith("."))
    if not files:
        raise DataError(f"{source}: no file matches this glob")
    return files


def _by_number(columns: Collection[str | None]) -> bool:
    named = [column for column in columns if column is not None]
    return bool(named) and all(column.isdecimal() for column in named)


def _read(place: Path | str, split: str, layout: str | None, header: bool, policy: RowPolicy) -> Iterator[Record]:
    """The rows of one source, at least one."""
    counted = 0
    for record in _laid_out(place, split, layout, header, policy):
        counted += 1
        yield record
    if not counted:
        reasons = "".join(f"; left out, among others: {reason}" for reason in policy.skipped.reasons[-1:])
        raise DataError(f"{place}: no row to read{reasons}")


def _laid_out(place: Path | str, split: str, layout: str | None, header: bool, policy: RowPolicy) -> Iterator[Record]:
    """The rows of one source under the columns of its layout."""
    if isinstance(place, Path) and layout is not None and suffix_of(place) in (*TEXT, *DELIMITED, *CONLL):
        if layout in LAYOUTS:
            return read_glue(place, layout, policy)
        if layout == "conll":
            return read_conll(place, policy)
    rows = _rows(place, header, policy) if isinstance(place, Path) else _named_rows(place, split, layout)
    if layout in LAYOUTS:
        return normalise(rows, layout, policy)
    return read_flat(rows, policy) if layout == "squad" else rows


def _rows(path: Path, header: bool, policy: RowPolicy) -> Iterator[Record]:
    suffix = suffix_of(path)
    if suffix == ".csv":
        return read_csv(path, policy, header)
    if suffix == ".tsv":
        return read_tsv(path, policy, header)
    if suffix == ".json":
        value = load_json(path)
        return read_squad(path, value, policy) if is_squad(value) else read_objects(path, value, policy)
    if suffix not in READERS:
        known = ", ".join([*DELIMITED, ".json", *READERS])
        raise DataError(f"{path}: unknown ending {suffix!r}; known are {known}, each also with .gz or .zst")
    return READERS[suffix](path, policy)


def _named_rows(source: str, split: str, layout: str | None) -> Iterator[Record]:
    if source.startswith(ALTERED):
        return altered_pairs(read_texts([source.removeprefix(ALTERED)], split=split), source)
    if source.startswith(HUB):
        return read_hub(source.removeprefix(HUB), split, numbers=layout in LAYOUTS)
    name = source.removeprefix(EMBEDDED)
    if name == "areas":
        return embedded.records(split)
    _require_embedded_text(source)
    documents = enumerate(embedded.texts(split), start=1)
    return (Record({"text": text}, f"{source} row {number}") for number, text in documents)


def _require_embedded_text(source: str) -> None:
    if source != f"{EMBEDDED}text":
        raise DataError(f"{source}: no such data; there are {EMBEDDED}text and {EMBEDDED}areas")


def _texts(place: Path | str, text_column: str | None, split: str | None, notes: list[str]) -> Iterator[str]:
    if isinstance(place, Path) and suffix_of(place) in TEXT:
        return read_documents(place)
    if place == f"{EMBEDDED}text":
        return embedded.texts(split)
    if isinstance(place, str) and place.startswith(ALTERED):
        raise DataError(f"{place}: rows of a task, not text; leave out {ALTERED} to read the text itself")
    return _column_texts(place, text_column, split or "train", notes)


def _column_texts(place: Path | str, text_column: str | None, split: str, notes: list[str]) -> Iterator[str]:
    rows = _read(place, split, None, not _by_number([text_column]), RowPolicy(choice=False))
    sample = list(itertools.islice(rows, SAMPLE))
    guess = guess_columns(list(sample[0].values), sample, {"text_column": text_column})
    if guess.note and guess.note not in notes:
        notes.append(guess.note)
    column = guess.columns["text_column"]
    for row in itertools.chain(sample, rows):
        text = row.values.get(column)
        if text is not None and not isinstance(text, str):
            raise DataError(f"{row.where}: column {column!r} holds {type(text).__name__}, not text")
        yield from filter(None, map(str.strip, cut(text or "")))
