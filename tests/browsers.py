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
        # A browser is no Python package, so that no installation of this project can bring it.
        pytest.skip(reason="there is no Chromium on this machine to open the page with")
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
        # They come from the registry of npm, which `make test` does not reach for: tests need no network.
        pytest.skip(reason="the npm packages are not ours to ship: POCKETBERT_NODE_MODULES names no folder with them")
    return folder
