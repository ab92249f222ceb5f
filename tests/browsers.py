"""What tests of pages need beside Python: a browser, and the npm packages that a browser export is made of."""

import os
import shutil
from pathlib import Path

import pytest

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "chrome")


def find_chromium() -> str:
    """The program; the test skips where there is none."""
    found = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if not found:
        pytest.skip("there is no Chromium to open the page with")  # no Python package brings a browser
    return found


def find_node_modules() -> Path | None:
    """The folder of the npm packages; None where it has none of transformers.js."""
    beside = Path(__file__).resolve().parents[1] / "node_modules"
    folder = Path(os.environ.get("POCKETBERT_NODE_MODULES", beside))
    return folder if (folder / "@huggingface" / "transformers").is_dir() else None


def need_node_modules() -> Path:
    """The folder of the npm packages; the test skips where there is none."""
    folder = find_node_modules()
    if folder is None:
        pytest.skip("POCKETBERT_NODE_MODULES names no npm packages")  # npm's registry: tests need no network
    return folder
