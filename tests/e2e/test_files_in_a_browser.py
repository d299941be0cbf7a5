"""An Org Admin browses for the place of the organisation's files; whoever has a link opens one file until it ends."""

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from .conftest import RunningPlatform, ask
from .test_browser import PATIENCE_MS, become, browser, page, picture
from .test_mail_in_a_browser import connect_tenant, look_until

__all__ = ["browser", "page"]  # fixtures
pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.timeout(600)]
STORAGE = "/connectors/microsoft365/storage"
PLACE = "Launch › Shared Documents › General › Recordings"
OFFER = b"%PDF-1.7 the offer"


def at_microsoft(described: dict[str, Any], verb: str, **about: Any) -> None:
    url = f"{described['simulator_url']}/control/do/{verb}"
    httpx.post(url, json=about, trust_env=False, timeout=30).raise_for_status()


def connect(page: Page, described: dict[str, Any]) -> None:
    connect_tenant(page, described, "files-admin")
    expect(page.get_by_role("switch", name="SharePoint storage")).to_be_visible(timeout=PATIENCE_MS)


def browse_and_choose(page: Page, described: dict[str, Any]) -> None:
    """Teams → channel → its folder → one below; first without Prospo's grant, then with it."""
    page.goto(described["url"] + STORAGE)
    page.get_by_role("button", name="Browse your teams and sites…").click()
    # With a session Microsoft asks for no account, only for consent.
    expect(page.get_by_text("Sites.Read.All", exact=True)).to_be_visible()
    picture(page, "files-consent")
    page.get_by_role("button", name="Accept").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Teams")
    page.get_by_role("link", name="Launch", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Channels of Launch")
    page.get_by_role("link", name="General", exact=True).click()
    expect(page.get_by_role("main")).to_contain_text("grant on this site is missing")
    picture(page, "files-folders")
    page.get_by_role("button", name="Try and choose Recordings").click()
    expect(page.get_by_role("heading", name="was not chosen")).to_be_visible(timeout=PATIENCE_MS)
    expect(page.get_by_role("main")).to_contain_text("Grant-PnPEntraIDAppSitePermission")
    picture(page, "files-grant")
    at_microsoft(described, "site_grant", site="Launch", role="write")
    page.get_by_role("button", name="Granted, check again").click()
    said = page.get_by_role("status").filter(has_text="The place is chosen.")
    expect(said).to_be_visible(timeout=PATIENCE_MS)
    expect(page.get_by_role("main")).to_contain_text(PLACE)
    picture(page, "files-chosen")
    page.goto(f"{described['url']}{STORAGE}/browse")
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in to browse")


def upload(page: Page, described: dict[str, Any]) -> str:
    """A link to Anna's file."""
    become(page, "Acme · Anna")
    page.goto(described["url"] + "/files")
    page.get_by_label("File", exact=True).set_input_files(
        {"name": "Offer.pdf", "mimeType": "application/pdf", "buffer": OFFER}
    )
    page.get_by_role("button", name="Upload").click()
    said = page.get_by_role("status").filter(has_text="The file is stored.")
    expect(said).to_be_visible(timeout=PATIENCE_MS)
    page.get_by_role("link", name="Offer.pdf").click()
    page.get_by_role("button", name="Make a link").click()
    return page.get_by_label(re.compile("It is shown only now")).input_value()


def end_links(platform: RunningPlatform) -> None:
    """The time of every link is over. Playwright has the event loop of this thread."""
    over = "UPDATE file_link SET expires_at = clock_timestamp() RETURNING 1"
    with ThreadPoolExecutor(1) as other:
        assert other.submit(asyncio.run, ask(platform.state, "storage", over)).result(30) == 1


def opens(page: Page, address: str) -> bytes:
    page.goto("about:blank")
    with page.expect_download(timeout=PATIENCE_MS) as download:
        page.goto(address, wait_until="commit")
    assert download.value.suggested_filename == "Offer.pdf"
    return Path(download.value.path()).read_bytes()


def is_refused(page: Page) -> None:
    expect(page.get_by_role("alert")).to_contain_text("This link has ended or was revoked", timeout=PATIENCE_MS)
    expect(page.get_by_label("Code of the link")).to_have_value("")


@pytest.mark.usefixtures("unconnected")
def test_an_org_admin_browses_teams_for_the_place_of_files(platform: RunningPlatform, page: Page) -> None:
    described = platform.described
    errors: list[str] = []
    page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    at_microsoft(described, "team_add", tenant="contoso.example", name="Launch", members=["admin@contoso.example"])
    at_microsoft(described, "file_put", drive="Launch", path="General/Recordings/read me.txt", text="ours")
    connect(page, described)
    browse_and_choose(page, described)
    look_until(page, described["url"] + "/connectors/microsoft365", page.get_by_text(PLACE).first.is_visible)
    for on in ("true", "false"):  # off again: others find it as it was
        page.get_by_role("switch", name="SharePoint storage").click()
        expect(page.get_by_role("switch", name="SharePoint storage")).to_have_attribute("aria-checked", on)
    assert [text for text in errors if "409" not in text] == [], "a page that refuses is no error of a script"


def test_a_link_opens_its_file_in_any_browser_until_it_ends(
    platform: RunningPlatform, browser: Browser, page: Page
) -> None:
    """In a browser that the gateway knows nobody in."""
    described = platform.described
    page.goto(described["url"])
    address = upload(page, described)
    elsewhere = browser.new_context(accept_downloads=True)
    elsewhere.set_default_timeout(PATIENCE_MS)
    theirs = elsewhere.new_page()
    assert opens(theirs, address) == OFFER
    assert "#" not in theirs.url, "the code is not left in the address"
    theirs.goto(described["url"] + "/files/link")
    theirs.get_by_label("Code of the link").fill("not-a-code")
    theirs.get_by_role("button", name="Save the file").click()
    is_refused(theirs)
    picture(theirs, "link-refused")
    end_links(platform)
    theirs.goto("about:blank")
    theirs.goto(address)
    is_refused(theirs)
    assert theirs.goto(described["url"] + "/v1/files").status == 401  # type: ignore[union-attr]
    elsewhere.close()
