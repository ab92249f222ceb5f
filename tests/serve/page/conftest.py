"""A browser, a server with a model for each task, and a page of it; for tests of the page alone."""

from collections.abc import Iterator

import pytest
from fake_server import FakeServer, Model
from playwright.sync_api import expect, sync_playwright
from tabs import EXAMPLES, Tab, make_exported

from browsers import find_chromium

PATIENCE = 15000
"""Milliseconds: a busy machine is slow to draw."""

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
def models(tmp_path_factory) -> dict[str, Model]:
    find_chromium()
    return {
        name: Model(make_exported(tmp_path_factory.mktemp(name), name), examples, name == "entailment")
        for name, examples in EXAMPLES.items()
    }


@pytest.fixture(scope="module")
def running(models) -> Iterator[FakeServer]:
    server = FakeServer(models)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def server(running) -> FakeServer:
    running.key = None
    running.refusals.clear()
    running.asked.clear()
    return running


@pytest.fixture
def tab(chromium, server) -> Iterator[Tab]:
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE)
    yield Tab(context.new_page(), server.url)
    context.close()
