"""The embedded default: real English that every Python carries, for demonstrations without network or files.

The texts are docstrings and longer comments of the standard library, and the language reference that
``help()`` shows: about half a million tokens, always in the same order. Files are parsed, never imported.

The areas are a classification task with real labels from the same source: given a paragraph of a docstring or
of a comment, tell which part of the library it was written for. Where a paragraph mentions names of its
module the task is easier than one about prose alone.
"""

import ast
import functools
import hashlib
import re
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from pocketbert.data.records import Record
from pocketbert.errors import DataError

# Tests and demonstrations, folders that later versions dropped, and tables without prose.
LEFT_OUT = frozenset({
    "__pycache__", "dist-packages", "distutils", "encodings", "ensurepip", "idlelib", "lib2to3", "msilib",
    "pydoc_data", "site-packages", "test", "tests", "turtledemo",
})  # fmt: skip
AREAS = {
    "concurrency": "asyncio asyncore concurrent multiprocessing queue sched selectors signal subprocess "
    "threading _threading_local",
    "data": "_collections_abc _pydatetime _pydecimal _strptime bisect calendar collections colorsys copy "
    "dataclasses datetime enum fractions functools graphlib hashlib heapq hmac numbers operator random "
    "secrets statistics uuid",
    "files": "_compression _pyio bz2 dbm filecmp fileinput fnmatch genericpath glob gzip io lzma ntpath os "
    "pathlib pickle posixpath shelve shutil sqlite3 stat tarfile tempfile zipapp zipfile zipimport",
    "interface": "argparse cmd curses getopt getpass gettext optparse tkinter turtle",
    "language": "__future__ abc ast code codeop compileall contextlib dis importlib inspect keyword "
    "linecache modulefinder opcode pickletools pkgutil py_compile pyclbr runpy site symtable sysconfig token "
    "tokenize traceback types typing warnings weakref",
    "network": "base64 cgi email ftplib http imaplib ipaddress mailbox mimetypes nntplib poplib smtpd "
    "smtplib socket socketserver ssl telnetlib urllib webbrowser wsgiref xmlrpc",
    "testing": "bdb cProfile doctest faulthandler logging pdb profile pstats pydoc timeit trace tracemalloc unittest",
    "text": "_markupbase codecs configparser csv difflib html json locale plistlib pprint re string textwrap "
    "tomllib xml",
}
"""Areas of the library and the modules or packages that belong to each; other modules have no area."""

AREA_OF = {module: area for area, modules in AREAS.items() for module in modules.split()}
SHORTEST_ROW = 80
"""Characters of the shortest paragraph that becomes a row; shorter ones often do not tell their area."""
SHORTEST_COMMENT = 40
"""Characters of the shortest comment that is taken for prose."""
LETTERS = 0.7
"""Share of a paragraph that has to be letters: less is code, a table or a drawing."""
BOILERPLATE = re.compile(r"copyright|licen[cs]e|all rights reserved|warrant", re.IGNORECASE)


def origin() -> str:
    """What the embedded data depends on: the version of Python."""
    return sys.version.split()[0]


def texts(split: str | None = None) -> Iterator[str]:
    """Documents: one for each module of the library, one for each topic of the language reference.

    Args:
        split: train, validation or test: eight, one and one of ten documents; all when absent.

    Raises:
        DataError: this Python comes without source files.
    """
    modules = ("\n\n".join(blocks) for _, blocks in _library() if blocks)
    for document in (*modules, *_topics()):
        if split is None or _split_of(document) == split:
            yield document


def records(split: str) -> Iterator[Record]:
    """Rows of ``text``, a paragraph of 80 characters or more, and ``label``, the area of its module.

    No text occurs twice, within a split or across, and the paragraphs of one docstring share a split. The
    order is shuffled but fixed, so the first rows are a fair sample.

    Args:
        split: train, validation or test: eight, one and one of ten docstrings.

    Raises:
        DataError: this Python comes without source files.
    """
    rows = [record for owner, record in _areas() if owner == split]
    yield from sorted(rows, key=lambda record: _digest(record.values["text"]))


@functools.cache
def _areas() -> list[tuple[str, Record]]:
    """Every row with its split; a text that occurs again belongs where it came first."""
    seen: set[str] = set()
    rows = []
    for module, blocks in _library():
        area = AREA_OF.get(module.partition(".")[0])
        found = [(block, text) for block in blocks if area for text in _paragraphs(block)]
        for number, (block, text) in enumerate(found, start=1):
            if text.lower() not in seen:
                seen.add(text.lower())
                where = f"embedded:areas {module} row {number}"
                rows.append((_split_of(block), Record({"text": text, "label": area}, where)))
    return rows


@functools.cache
def _library() -> list[tuple[str, list[str]]]:
    """Each module's dotted name with its docstrings and longer comments, sorted by path."""
    root = Path(sysconfig.get_paths()["stdlib"])
    modules = []
    for path in _source_files(root):
        name = ".".join(path.relative_to(root).with_suffix("").parts)
        modules.append((name, _blocks(path.read_bytes())))
    if not modules:
        raise DataError(f"{root}: this Python comes without source files, so embedded data cannot be read")
    return modules


def _source_files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.is_symlink() and path.name not in LEFT_OUT:
            yield from _source_files(path)
        elif path.suffix == ".py":
            yield path


def _blocks(source: bytes) -> list[str]:
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        # Templates and files for another version of Python lie in some installations.
        return []
    return [*_docstrings(tree), *_comments(source.decode("utf-8", errors="replace"))]


def _docstrings(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        docstring = ast.get_docstring(node)
        if docstring:
            yield docstring
    for child in getattr(node, "body", []):
        yield from _docstrings(child)


def _comments(source: str) -> Iterator[str]:
    """Runs of lines that are comments only, joined, where they are long enough to be prose."""
    run: list[str] = []
    for line in (*source.splitlines(), ""):
        text = line.strip()
        if text.startswith("#"):
            run.append(text.lstrip("#!:").strip())
        elif run:
            comment = "\n".join(run)
            run = []
            if len(comment) >= SHORTEST_COMMENT:
                yield comment


def _topics() -> list[str]:
    """The language reference of ``help()``; empty where it was left out of the installation."""
    path = Path(sysconfig.get_paths()["stdlib"]) / "pydoc_data" / "topics.py"
    if not path.is_file():
        return []
    tables = [node.value for node in ast.parse(path.read_bytes()).body if isinstance(node, ast.Assign)]
    return [topic for table in tables for _, topic in sorted(ast.literal_eval(table).items())]


def _paragraphs(block: str) -> Iterator[str]:
    """The paragraphs of a docstring or comment that are prose, each on one line."""
    for part in re.split(r"\n\s*\n", block):
        text = " ".join(part.split())
        letters = sum(character.isalpha() or character == " " for character in text)
        is_prose = len(text) >= SHORTEST_ROW and letters >= LETTERS * len(text) and ">>>" not in text
        if is_prose and not BOILERPLATE.search(text):
            yield text


def _split_of(text: str) -> str:
    return {0: "test", 1: "validation"}.get(_digest(text)[0] % 10, "train")


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", errors="replace")).digest()
