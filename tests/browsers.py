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
        pytest.skip(reason="no Chromium here")  # it is no Python package, so no installation of this project brings it
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
        pytest.skip(reason="no npm packages in POCKETBERT_NODE_MODULES")  # not ours to ship, and tests fetch nothing
    return folder
