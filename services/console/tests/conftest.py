"""A console to talk to, and Chromium to look at it with."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from services.console.tests.harness import Site, opened
from shared.testing import chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture(scope="session")
def usual_site() -> Iterator[Site]:
    with opened() as made:
        yield made


@pytest.fixture
def site(usual_site: Site) -> Site:
    """The console with the usual settings; its APIs know nothing yet and Anna looks."""
    usual_site.apis.answers = {}
    usual_site.apis.calls.clear()
    usual_site.requests.clear()
    usual_site.person = "acme-anna"
    return usual_site


@pytest.fixture
def open_site() -> Iterator[Callable[..., Site]]:
    """``open_site(public_url=…)``: a console with other settings."""
    with ExitStack() as sites:
        yield lambda **settings: sites.enter_context(opened(**settings))


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    """Debian's Chromium; for a module only, as Playwright's loop and pytest-asyncio's do not live together."""
    path = chromium.chromium()
    from playwright.sync_api import sync_playwright  # here, for most tests need no browser and it is slow to import

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=chromium.OPTIONS)
        yield launched
        launched.close()


@pytest.fixture(params=[True, False], ids=["scripted", "unscripted"])
def page(browser: "Browser", request: pytest.FixtureRequest) -> "Iterator[Page]":
    """A new one, with JavaScript and without."""
    context = browser.new_context(java_script_enabled=request.param)
    context.set_default_timeout(10_000)
    yield context.new_page()
    context.close()
