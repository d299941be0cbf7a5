"""A person does the whole main job with a mouse: console, Microsoft's pages in between, and back."""

import os
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from shared.testing import chromium

from .conftest import RunningPlatform

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.timeout(600)]
PICTURES = os.environ.get("PROSPO_SCREENSHOTS")
PATIENCE_MS = 60_000
STARTS_AT_TEAMS = re.compile(r"^https://teams\.microsoft\.com/l/meetup-join/")


@pytest.fixture
def browser() -> Iterator[Browser]:
    path = chromium.chromium()
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=chromium.OPTIONS)
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(timezone_id="Europe/Berlin", viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE_MS)
    yield context.new_page()
    context.close()


def picture(page: Page, name: str) -> None:
    if PICTURES:
        page.screenshot(path=f"{PICTURES}/{name}.png", full_page=True)


def become(page: Page, person: str) -> None:
    page.get_by_label("Signed in as").select_option(label=person)
    page.get_by_role("button", name="Switch", exact=True).click()


def through_microsoft(page: Page, account: str, name: str) -> None:
    """Pick the account, accept where consent is asked for."""
    picture(page, f"{name}-account")
    page.get_by_role("button", name=account).first.click()
    accept = page.get_by_role("button", name="Accept")
    if accept.count():
        picture(page, f"{name}-consent")
        accept.click()


def connect_tenant(page: Page, described: dict[str, Any]) -> None:
    become(page, "Acme · Org Admin")
    page.goto(described["url"] + "/connectors/microsoft365")
    picture(page, "1-connector")
    page.get_by_role("button", name=re.compile("^Connect( again)?$")).click()
    through_microsoft(page, "Adele Admin", "2-admin")
    switch = page.get_by_role("switch", name="Auto-recording")
    expect(switch).to_have_attribute("aria-checked", "false", timeout=PATIENCE_MS)
    expect(page.get_by_role("switch")).to_have_count(4)
    switch.click()
    expect(page.get_by_role("switch", name="Auto-recording")).to_have_attribute("aria-checked", "true")
    picture(page, "3-connected")


def at_microsoft(described: dict[str, Any]) -> datetime:
    """Its clock is ahead after other tests, and it turns nothing on for a meeting that has begun."""
    state = httpx.get(described["simulator_url"] + "/control/state", trust_env=False).json()
    return datetime.fromisoformat(state["now"])


def schedule(page: Page, described: dict[str, Any]) -> None:
    """Without an account the form prompts Connect Now, and the person comes back to the form."""
    become(page, "Acme · Anna")
    page.goto(described["url"] + "/meetings/new")
    picture(page, "4-connect-now")
    page.get_by_role("button", name="Connect Now").click()
    through_microsoft(page, "Anna Andersson", "5-anna")
    expect(page).to_have_url(described["url"] + "/meetings/new")
    page.get_by_label("Subject").fill("Quarterly review")
    page.get_by_label("Start").fill(f"{at_microsoft(described) + timedelta(days=1):%Y-%m-%dT12:00}")
    page.get_by_label("Attendees").fill("ben@contoso.example, client@customer.example")
    picture(page, "6-form")
    page.get_by_role("button", name="Schedule and invite").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Quarterly review")
    expect(page.get_by_role("link", name="Join in Teams")).to_have_attribute("href", STARTS_AT_TEAMS)
    # A meeting booked before meetings knew of the switch follows it a moment later.
    expect(page.get_by_text("This meeting records by itself.").first).to_be_visible(timeout=PATIENCE_MS)
    picture(page, "7-scheduled")


def let_it_happen(page: Page) -> None:
    """Recording and transcript appear on the open page by themselves."""
    page.get_by_role("button", name="Let the meeting happen").click()
    video = page.get_by_label("Recording of Quarterly review")
    expect(video).to_be_visible(timeout=PATIENCE_MS)
    expect(page.locator("#part-transcript")).to_contain_text("Ben Berg", timeout=PATIENCE_MS)
    playable = video.evaluate(
        "v => v.readyState >= 1 || new Promise((ok, no) => {v.onloadedmetadata = () => ok(true); v.onerror = no})"
    )
    assert playable
    expect(page.get_by_role("link", name="The meeting in Teams")).to_have_attribute("href", STARTS_AT_TEAMS)
    picture(page, "8-record")


def read_transcript(page: Page) -> None:
    page.get_by_role("link", name="Read the whole transcript").click()
    expect(page.get_by_role("main")).to_contain_text("The offer goes out on Friday.")
    picture(page, "9-transcript")


def import_contacts(page: Page, described: dict[str, Any]) -> None:
    """A folder three levels deep; the page is closed while it runs; then a colleague looks, and it is undone."""
    wanted = {"user": "anna@contoso.example", "count": 3, "folder": "Customers/Coffee/Roasters"}
    httpx.post(
        described["simulator_url"] + "/control/do/contacts_seed", json=wanted, trust_env=False
    ).raise_for_status()
    page.goto(described["url"] + "/contacts")
    page.get_by_role("link", name="Import Contacts").click()
    page.get_by_role("link", name="Microsoft Account").click()
    page.get_by_role("checkbox", name="Contacts", exact=True).uncheck()
    page.get_by_role("checkbox", name="Roasters").check()
    picture(page, "contacts-folders")
    page.get_by_role("button", name="See the preview").click()
    expect(page.get_by_text("New contacts: 3")).to_be_visible(timeout=PATIENCE_MS)
    picture(page, "contacts-preview")
    page.get_by_role("button", name="Start the import").click()
    run = page.url
    page.goto(described["url"] + "/contacts/imports")
    page.goto(run)
    expect(page.get_by_role("link", name="Undo…")).to_be_visible(timeout=PATIENCE_MS)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the problems").click()
    assert download.value.path().read_text("utf-8-sig").startswith("name,what,")
    for person in ("Acme · Ben", "Globex · Carl"):
        become(page, person)
        assert page.goto(run).status == 404  # type: ignore[union-attr]
    become(page, "Acme · Anna")
    page.goto(described["url"] + "/contacts")
    expect(page.get_by_role("list").get_by_role("link")).to_have_count(3)
    page.goto(run)
    page.get_by_role("link", name="Undo…").click()
    page.get_by_role("button", name="Undo the import").click()
    expect(page.get_by_text("Contacts put back: 3")).to_be_visible(timeout=PATIENCE_MS)
    page.goto(described["url"] + "/contacts")
    expect(page.get_by_role("heading", name="You have no contacts yet")).to_be_visible()


@pytest.mark.usefixtures("unconnected")
def test_a_person_does_the_whole_main_job_in_a_browser(platform: RunningPlatform, page: Page) -> None:
    described = platform.described
    errors: list[str] = []
    page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    page.goto(described["url"])
    picture(page, "0-start")
    connect_tenant(page, described)
    schedule(page, described)
    let_it_happen(page)
    read_transcript(page)
    assert errors == []
    import_contacts(page, described)
    assert [text for text in errors if "404" not in text] == []


@pytest.mark.usefixtures("unconnected")
def test_an_administrator_without_a_prospo_account_connects_by_a_link(
    platform: RunningPlatform, browser: Browser, page: Page
) -> None:
    """In a browser of their own, which the gateway knows nobody in."""
    described = platform.described
    page.goto(described["url"])
    become(page, "Acme · Org Admin")
    page.goto(described["url"] + "/connectors/microsoft365")
    page.get_by_label("Your Microsoft 365 domain or tenant id").fill("contoso.example")
    page.get_by_role("button", name="Make a link").click()
    address = page.locator("code.address").inner_text()
    picture(page, "link-made")
    elsewhere = browser.new_context()
    elsewhere.set_default_timeout(PATIENCE_MS)
    theirs = elsewhere.new_page()
    theirs.goto(address)
    expect(theirs.get_by_role("main")).to_contain_text("Acme Admin of Acme asks you")
    expect(theirs.get_by_role("main")).to_contain_text("contoso.example")
    picture(theirs, "link-invitation")
    theirs.get_by_role("button", name="Continue to Microsoft").click()
    through_microsoft(theirs, "Adele Admin", "link-microsoft")
    expect(theirs.get_by_role("heading", level=1)).to_contain_text("that is done")
    picture(theirs, "link-done")
    assert theirs.goto(described["url"] + "/v1/tenant").status == 401  # type: ignore[union-attr]
    theirs.goto(address)
    expect(theirs.get_by_role("heading", level=1)).to_contain_text("This link cannot be used")
    elsewhere.close()
    page.goto(described["url"] + "/connectors/microsoft365")
    expect(page.get_by_role("switch", name="Auto-recording")).to_be_visible(timeout=PATIENCE_MS)
