"""A browser, a server with a model for each task, and a page of it; for tests of the page alone."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect, sync_playwright
from serving import Running, serving
from tabs import MODELS, MOST_CHARACTERS, PATIENCE, Tab, make_exported, opened

from browsers import find_chromium

expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="module")
def chromium():
    program = find_chromium()
    arguments = ["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def models(tmp_path_factory) -> dict[str, Path]:
    find_chromium()
    return {name: make_exported(tmp_path_factory.mktemp(name), name) for name in MODELS}


@pytest.fixture(scope="session")
def server(models) -> Iterator[Running]:
    """A server of every task, which is not to be stopped."""
    with serving(models, max_characters=MOST_CHARACTERS, deadline=30_000) as running:
        yield running


@pytest.fixture
def tab(chromium, server) -> Iterator[Tab]:
    """A page on a desk."""
    with opened(chromium, server.url) as tab:
        yield tab
