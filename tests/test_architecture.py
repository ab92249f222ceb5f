"""Rooms import only from rooms at their left or above: docs/architecture.md has the picture."""

import ast
from pathlib import Path

import pytest

import pocketbert

ROOMS = (
    {"bars", "errors", "files", "locks", "machine", "quiet", "recipe", "manifest"},
    {"data"},
    {"tasks"},
    {"engines"},
    {"inference"},
    {"predict", "serve"},
    {"models"},
    {"distill"},
    {"measure"},
    {"export"},
    {"shrink"},
    {"pipeline"},
    {"flags", "terminal", "cli"},
)
"""From left to right; a room may import itself and what is in a group at its left. In the first, anything goes."""
PLACE = {room: place for place, group in enumerate(ROOMS) for room in group}
WITHOUT_TORCH = {room for group in ROOMS[:6] for room in group} - {"quiet"} | {"flags"}
HEAVY = {"torch", "transformers", "accelerate"}
SOURCE = Path(pocketbert.__file__).parent


def imported(path: Path) -> set[tuple[str, int]]:
    """Modules that a file imports anywhere in it, inside functions too, each with its line."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {(alias.name, node.lineno) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            found.add((node.module or "", node.lineno))
            # `from pocketbert import pipeline` names a room on the right side of the word import.
            found |= {(f"{node.module}.{alias.name}", node.lineno) for alias in node.names}
    return found


def room_of(path: Path, source: Path) -> str:
    return path.relative_to(source).parts[0].removesuffix(".py")


def violations(source: Path) -> list[str]:
    """Imports against the direction, and imports of torch where there may be none."""
    wrong = []
    for path in sorted(source.rglob("*.py")):
        room = room_of(path, source)
        for module, line in sorted(imported(path)):
            parts = module.split(".")
            if parts[0] in HEAVY and room in WITHOUT_TORCH:
                wrong.append(f"{path.relative_to(source)}:{line}: {room} imports {module}")
            if parts[0] != "pocketbert" or len(parts) == 1 or parts[1] not in PLACE:
                continue
            other = parts[1]
            if room == "__init__":
                allowed = other in ("quiet", "inference")  # the second when it is asked for
            else:
                same = PLACE[room] == PLACE[other] in (0, len(ROOMS) - 1)
                allowed = other == room or PLACE[other] < PLACE[room] or same
            if not allowed:
                wrong.append(f"{path.relative_to(source)}:{line}: {room} imports {other}")
    return wrong


def test_every_file_is_in_a_room():
    rooms = {room_of(path, SOURCE) for path in SOURCE.rglob("*.py")} - {"__init__"}
    assert rooms == set(PLACE)


def test_rooms_import_only_from_the_left():
    assert violations(SOURCE) == []


@pytest.mark.parametrize(
    ("file", "line", "report"),
    [
        ("data/x.py", "from pocketbert.tasks.base import Task", "data imports tasks"),
        ("data/x.py", "import pocketbert.cli", "data imports cli"),
        ("models/x.py", "def f():\n    from pocketbert.distill import losses", "models imports distill"),
        ("distill/x.py", "from pocketbert import pipeline", "distill imports pipeline"),
        ("recipe.py", "from pocketbert.data import lines", "recipe imports data"),
        ("tasks/x.py", "import torch", "tasks imports torch"),
        ("tasks/x.py", "def f():\n    from torch.nn import functional", "tasks imports torch.nn"),
        ("data/x.py", "from transformers import AutoTokenizer", "data imports transformers"),
        ("pipeline.py", "from pocketbert.cli import app", "pipeline imports cli"),
        ("__init__.py", "from pocketbert import cli", "__init__ imports cli"),
    ],
)
def test_a_wrong_import_is_found(tmp_path, file, line, report):
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(line)
    assert any(found.endswith(report) for found in violations(tmp_path)), violations(tmp_path)


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("tasks/x.py", "from pocketbert.data.records import Record"),
        ("distill/x.py", "import torch\nfrom pocketbert.distill import losses"),
        ("cli.py", "from pocketbert.flags import Group\nfrom pocketbert import pipeline, quiet"),
        ("manifest.py", "from pocketbert.files import hash_file"),
        ("__init__.py", "from pocketbert import quiet"),
    ],
)
def test_a_right_import_is_not(tmp_path, file, line):
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(line)
    assert violations(tmp_path) == []


def test_no_file_is_longer_than_it_may_be():
    """CONTRIBUTING.md says 350 lines."""
    root = Path(__file__).parents[1]
    files = [path for folder in ("src", "tests", "benchmarks", "recipes") for path in (root / folder).rglob("*.py")]
    long = {str(path): count for path in files if (count := len(path.read_text(encoding="utf-8").splitlines())) > 350}
    assert files and not long


def test_no_two_helpers_of_one_name_are_found_by_it():
    """Tests put the folders of several of them on the path, and the first that is found would stand for both."""
    root = Path(__file__).parents[1]
    folders = (root / "tests", root / "benchmarks", root / "recipes")
    files = [
        path for folder in folders for path in folder.rglob("*.py") if not path.name.startswith(("test_", "conftest"))
    ]
    names = [path.name for path in files]
    assert names and not {name for name in names if names.count(name) > 1}
