"""A person writes to a contact, is answered, and reads both mails in one conversation: console, Microsoft, and back."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from .conftest import RunningPlatform
from .test_browser import PATIENCE_MS, become, browser, page, picture, through_microsoft

__all__ = ["browser", "page"]  # fixtures
pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.timeout(600)]
CARA = "cara@customer.example"
LOOKS = 60


def at_microsoft(described: dict[str, Any], verb: str, **about: Any) -> None:
    url = f"{described['simulator_url']}/control/do/{verb}"
    httpx.post(url, json={"user": "anna@contoso.example"} | about, trust_env=False, timeout=30).raise_for_status()


def look_until(page: Page, url: str, there: Callable[[], bool]) -> None:
    """Open a page again until it shows what is on its way."""
    for _ in range(LOOKS):
        page.goto(url)
        if there():
            return
        page.wait_for_timeout(500)
    raise AssertionError(f"{url} never showed it: {page.locator('main').inner_text()}")


def connect_tenant(page: Page, described: dict[str, Any], name: str) -> None:
    """The Org Admin connects the tenant; ``name`` is that of the pictures of Microsoft's pages."""
    page.goto(described["url"])
    become(page, "Acme · Org Admin")
    page.goto(described["url"] + "/connectors/microsoft365")
    page.get_by_role("button", name=re.compile("^Connect( again)?$")).click()
    through_microsoft(page, "Adele Admin", name)


def connect(page: Page, described: dict[str, Any]) -> None:
    connect_tenant(page, described, "mail-admin")
    switch = page.get_by_role("switch", name="Outlook email")
    expect(switch).to_have_attribute("aria-checked", "true", timeout=PATIENCE_MS)
    become(page, "Acme · Anna")
    page.goto(described["url"] + "/mail")
    page.get_by_role("button", name="Connect Now").click()
    through_microsoft(page, "Anna Andersson", "mail-anna")
    expect(page).to_have_url(described["url"] + "/mail")


def import_contact(page: Page, described: dict[str, Any]) -> None:
    contact = {"displayName": "Cara Client", "emailAddresses": [{"name": "Cara", "address": CARA}]}
    at_microsoft(described, "contact_add", contact=contact)
    page.goto(described["url"] + "/contacts/import/microsoft")
    page.get_by_role("button", name="See the preview").click()
    page.get_by_role("button", name=re.compile("^(Start|Import)")).first.click()
    look_until(page, described["url"] + "/contacts", page.get_by_role("link", name="Cara Client").is_visible)


def write(page: Page) -> None:
    page.get_by_role("link", name="Cara Client").click()
    page.get_by_role("link", name="Write a mail").click()
    expect(page.get_by_label("To", exact=True)).to_have_value(f"Cara Client <{CARA}>")
    page.get_by_label("Subject").fill("The offer")
    page.get_by_label("Text").fill("Here is the offer.")
    page.get_by_label("Attach files").set_input_files(
        {"name": "offer.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1"}
    )
    expect(page.get_by_role("status").filter(has_text="offer.pdf is attached.")).to_be_visible()
    send(page)


def send(page: Page) -> None:
    page.get_by_role("button", name="Send", exact=True).click()
    accepted = re.compile("Microsoft has it|Sent")
    expect(page.locator("#part-becoming .badge")).to_have_text(accepted, timeout=PATIENCE_MS)


def refresh(page: Page, described: dict[str, Any]) -> None:
    page.goto(described["url"] + "/mail/mailbox")
    page.get_by_role("button", name="Look now").click()
    expect(page.get_by_text("Prospo looks at your mailbox now.")).to_be_visible()


@pytest.mark.usefixtures("unconnected")
def test_a_mail_and_its_answer_are_one_conversation(platform: RunningPlatform, page: Page) -> None:
    described = platform.described
    errors: list[str] = []
    page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    connect(page, described)
    import_contact(page, described)
    write(page)
    offer = page.get_by_role("link", name="The offer")
    look_until(page, described["url"] + "/mail", offer.is_visible)
    offer.click()
    conversation = page.url
    sent = page.request.get(conversation.replace("/mail/", "/v1/mail/")).json()["messages"][0]
    text = f"We take it.\n\nOn Mon, 4 May 2026 at 10:15, Anna <{sent['from']['address']}> wrote:\n> Here is the offer."
    at_microsoft(
        described, "mail_arrives", sender=CARA, subject="RE: The offer", text=text, reply_to=sent["message_id"]
    )
    refresh(page, described)
    mails = page.locator("article.mail")
    look_until(page, conversation, lambda: mails.count() == 2)
    frames = page.frame_locator("iframe.mail-body")
    expect(frames.nth(0).get_by_text("Here is the offer.")).to_be_visible()
    expect(frames.nth(1).get_by_text("We take it.")).to_be_visible()
    expect(frames.nth(1).get_by_text("> Here is the offer.")).to_be_hidden()
    picture(page, "mail-conversation")
    with page.expect_download() as downloading:
        page.get_by_role("link", name="offer.pdf").click()
    assert Path(downloading.value.path()).read_bytes() == b"%PDF-1"
    page.get_by_role("link", name="Reply", exact=True).last.click()
    page.get_by_label("Text").fill("Thank you.")
    send(page)
    assert errors == []
