"""How far an upload is, in Chromium; without JavaScript the form is sent all the same."""

import threading
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from services.console.tests.harness import Site
from services.console.tests.locations import FILE
from services.console.tests.looking import Watched
from services.console.tests.state import problem
from services.console.tests.test_uploading import answers

pytestmark = pytest.mark.browser
BODY = b"x" * 3_000_000


def send(site: Site, page: Page) -> None:
    page.goto(f"{site.url}/files")
    page.set_input_files("#file", {"name": "Offer.pdf", "mimeType": "application/pdf", "buffer": BODY})
    page.get_by_role("button", name="Upload").click(no_wait_after=True)


@pytest.mark.parametrize("page", [True], indirect=True)
def test_an_upload_shows_how_far_it_is_and_then_its_file(site: Site, page: Page) -> None:
    watched, seen = Watched(page), threading.Event()

    def begun() -> Any:
        seen.wait(10)
        return made

    given = answers(len(BODY))
    made = given["POST /v1/files"]
    site.apis.answers = given | {"POST /v1/files": begun}
    send(site, page)
    expect(page.get_by_role("progressbar")).to_be_visible()
    expect(page.get_by_role("button", name="Upload")).to_be_disabled()
    seen.set()
    expect(page.get_by_text("The file is stored.")).to_be_visible()
    assert watched.unexpected() == []


@pytest.mark.parametrize("page", [True], indirect=True)
def test_what_storage_refuses_is_said_in_place_of_the_bar(site: Site, page: Page) -> None:
    full = problem("quota_reached", "Your organisation's room for files is used up.", 507)
    site.apis.answers = answers(len(BODY)) | {"POST /v1/files": full}
    send(site, page)
    expect(page.get_by_text("room for files is used up")).to_be_visible()
    expect(page.get_by_role("progressbar")).to_have_count(0)


@pytest.mark.parametrize("page", [False], indirect=True)
def test_without_javascript_the_form_is_sent(site: Site, page: Page) -> None:
    site.apis.answers = answers(len(BODY))
    send(site, page)
    expect(page.get_by_text("The file is stored.")).to_be_visible()


def test_a_file_that_is_coming_shows_how_much_of_it_is_there(site: Site, page: Page) -> None:
    coming = FILE | {"state": "coming", "size_bytes": 1000, "received_bytes": 250}
    elsewhere = coming | {"id": "another", "received_bytes": None}
    site.apis.answers = {"/v1/files": {"items": [coming, elsewhere], "next_cursor": None}}
    page.goto(f"{site.url}/files")
    (bar,) = page.locator("progress").all()
    assert (bar.get_attribute("value"), bar.get_attribute("max")) == ("250", "1000")
