"""Mail in Chromium: a frame that runs nothing and asks nobody, files with progress, and all without JavaScript."""

from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Route, expect

from services.console.tests.harness import Site
from services.console.tests.letters import (
    BODY_STATES,
    CONNECTED,
    ID,
    LIMITS,
    OUTBOX,
    PAGE,
    WRITE,
    WRITING,
    body,
    mail,
    message,
    whole,
)
from services.console.tests.looking import SMALL, Watched, complaints
from services.console.tests.test_browser import picture, show

pytestmark = pytest.mark.browser
EVIL = "https://evil.test"
HOSTILE = (
    f'<img src="{EVIL}/a.gif" onerror="parent.pwned = 1"><script>parent.pwned = 1; top.location = "{EVIL}/"</script>'
    f'<style>@import "{EVIL}/a.css"</style><p style="background:url({EVIL}/b.gif)">Dear Anna</p>'
    f'<form action="{EVIL}/f"><button>Press</button></form><meta http-equiv=refresh content="0;url={EVIL}/m">'
    f'<iframe src="{EVIL}/i"></iframe><link rel=stylesheet href="{EVIL}/l.css"><base href="{EVIL}/">'
)
FILE = {"id": "f9", "name": "offer.pdf", "media_type": "application/pdf", "size_bytes": 4}


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(timezone_id="Europe/Berlin")
    context.set_default_timeout(10_000)
    yield context.new_page()
    context.close()


@pytest.fixture
def unscripted(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(java_script_enabled=False)
    context.set_default_timeout(10_000)
    yield context.new_page()
    context.close()


def conversation(found: dict[str, Any]) -> dict[str, Any]:
    answers = {f"/v1/mail/conversations/{ID}": whole(message()), f"/v1/mail/messages/{ID}/body": found}
    return CONNECTED | answers


def test_the_frame_of_an_uncleaned_mail_runs_and_loads_nothing(site: Site, page: Page) -> None:
    """The second wall: what the service gives is cleaned already, and here it is not."""
    asked: list[str] = []
    page.route(f"{EVIL}/**", lambda route: (asked.append(route.request.url), route.abort()))
    site.apis.answers = conversation(body(html=HOSTILE))
    page.goto(site.url + PAGE)
    frame = page.frame_locator("iframe.mail-body")
    expect(frame.get_by_text("Dear Anna")).to_be_visible()
    frame.get_by_role("button", name="Press").click()
    page.wait_for_load_state("networkidle")
    assert page.evaluate("window.pwned") is None
    assert asked == []
    assert page.url == site.url + PAGE


def test_a_frame_is_as_high_as_its_text_and_grows_with_an_opened_quote(site: Site, page: Page) -> None:
    quote = '<details class="quoted"><summary>Quoted text</summary>' + "<p>earlier</p>" * 30 + "</details>"
    site.apis.answers = conversation(body(html="<p>new</p>" + quote))
    page.goto(site.url + PAGE)
    frame = page.frame_locator("iframe.mail-body")
    expect(frame.get_by_text("earlier").first).to_be_hidden()
    high = "document.querySelector('iframe.mail-body').clientHeight"
    page.wait_for_function(f"{high} < 200")
    frame.get_by_text("Quoted text").click()
    expect(frame.get_by_text("earlier").last).to_be_visible()
    page.wait_for_function(f"{high} > 600")


def test_pictures_are_shown_on_demand_within_the_frame(site: Site, page: Page) -> None:
    site.apis.answers = conversation(body(held_images=1))
    page.goto(site.url + PAGE)
    frame = page.frame_locator("iframe.mail-body")
    frame.get_by_role("link", name="Show pictures").click()
    expect(frame.get_by_text("held back")).to_have_count(0)
    expect(frame.get_by_text("Here it is.")).to_be_visible()
    assert page.url == site.url + PAGE


def test_a_file_is_uploaded_by_itself_and_sent_with_the_mail(site: Site, page: Page) -> None:
    site.apis.answers = WRITING | {"POST /v1/mail/files": (201, FILE), "POST /v1/mail": (202, mail("queued"))}
    site.apis.answers |= {f"/v1/mail/{ID}": mail("queued")}
    page.goto(f"{site.url}{WRITE}?to=ben@x.example")
    page.get_by_label("Attach files").set_input_files(
        {"name": "offer.pdf", "mimeType": "application/pdf", "buffer": b"%PDF"}
    )
    expect(page.get_by_role("status").filter(has_text="offer.pdf is attached.")).to_be_visible()
    page.get_by_label("Text").fill("Here it is.")
    page.get_by_role("button", name="Send", exact=True).click()
    page.wait_for_url(site.url + OUTBOX)
    upload, send = site.apis.sent("POST")
    assert (upload.path, upload.body) == ("/v1/mail/files", b"%PDF")
    assert send.body["files"] == ["f9"]


def test_a_file_chosen_before_the_script_is_there_is_uploaded(site: Site, page: Page) -> None:
    site.apis.answers = WRITING | {"POST /v1/mail/files": (201, FILE)}
    held: list[Route] = []
    page.route("**/static/mail.js", lambda route: held.append(route))  # noqa: PLW0108 - Playwright counts its parameters
    with page.expect_request("**/static/mail.js"):
        page.goto(site.url + WRITE, wait_until="commit")
    page.get_by_label("Attach files").set_input_files({"name": "offer.pdf", "mimeType": "x/y", "buffer": b"%PDF"})
    assert site.apis.sent("POST") == []
    held[0].continue_()
    expect(page.get_by_role("status").filter(has_text="offer.pdf is attached.")).to_be_visible()
    assert [upload.body for upload in site.apis.sent("POST")] == [b"%PDF"]


def test_a_file_that_is_too_large_is_refused_before_it_is_uploaded(site: Site, page: Page) -> None:
    site.apis.answers = WRITING | {"/v1/mail/limits": LIMITS | {"file_max_bytes": 3}}
    page.goto(site.url + WRITE)
    page.get_by_label("Attach files").set_input_files({"name": "a.bin", "mimeType": "x/y", "buffer": b"four"})
    expect(page.locator("#attached")).to_contain_text("It has 4 bytes; a file may have 3 bytes.")
    assert site.apis.sent("POST") == []


def test_a_file_that_the_service_refuses_says_why(site: Site, page: Page) -> None:
    site.apis.answers = WRITING | {"POST /v1/mail/files": (409, {"detail": "Too many files wait."})}
    page.goto(site.url + WRITE)
    page.get_by_label("Attach files").set_input_files({"name": "a.bin", "mimeType": "x/y", "buffer": b"four"})
    expect(page.locator("#attached")).to_contain_text("Too many files wait.")
    expect(page.locator("[name=file]")).to_have_count(0)


def test_mail_is_read_written_and_answered_without_javascript(site: Site, unscripted: Page) -> None:
    page = unscripted
    site.apis.answers = WRITING | conversation(body()) | {"POST /v1/mail/files": (201, FILE)}
    site.apis.answers |= {"POST /v1/mail": (202, mail("queued")), f"/v1/mail/{ID}": mail("queued", may_cancel=True)}
    page.goto(site.url + PAGE)
    frame = page.frame_locator("iframe.mail-body")
    frame.get_by_text("Quoted text").click()
    expect(frame.get_by_text("Where?")).to_be_visible()
    page.get_by_role("link", name="Reply", exact=True).click()
    page.get_by_label("Text").fill("There.")
    page.get_by_label("Attach files").set_input_files({"name": "offer.pdf", "mimeType": "x/y", "buffer": b"%PDF"})
    page.get_by_role("button", name="Attach", exact=True).click()
    expect(page.get_by_role("button", name="Take out offer.pdf")).to_be_visible()
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.get_by_role("button", name="Cancel the mail")).to_be_visible()
    assert site.apis.sent("POST")[-1].body == {
        "subject": "",
        "body": "There.",
        "files": ["f9"],
        "answers": {"message_id": "AAMk=", "everybody": False},
    }


def test_a_mail_is_written_by_keyboard_alone(site: Site, page: Page) -> None:
    site.apis.answers = WRITING | {"POST /v1/mail": (202, mail("queued")), f"/v1/mail/{ID}": mail("queued")}
    page.goto(site.url + WRITE)
    page.get_by_label("To", exact=True).focus()
    page.keyboard.type("ben@x.example")
    page.keyboard.press("Tab")  # the copies, which stay closed
    page.keyboard.press("Tab")
    page.keyboard.type("Offer")
    page.keyboard.press("Tab")
    page.keyboard.type("Here it is.")
    page.get_by_role("button", name="Send", exact=True).focus()
    page.keyboard.press("Enter")
    page.wait_for_url(site.url + OUTBOX)
    (sent,) = site.apis.sent("POST")
    assert (sent.body["to"], sent.body["subject"], sent.body["body"]) == (
        [{"email": "ben@x.example"}],
        "Offer",
        "Here it is.",
    )


def test_the_documents_of_frames_are_accessible_and_fit_a_small_screen(site: Site, browser: Browser) -> None:
    """Their own policy runs no script, so axe is let in past it."""
    context = browser.new_context(bypass_csp=True, viewport=SMALL)
    context.set_default_timeout(10_000)
    watched = Watched(context.new_page())
    found = {}
    for name, state in BODY_STATES.items():
        show(site, watched.page, state)
        watched.page.evaluate(Axe().axe_script)
        picture(watched.page, name)
        wide = watched.page.evaluate("document.documentElement.scrollWidth") > SMALL["width"]
        found[name] = complaints(watched.page) + (["wider than the screen"] if wide else [])
    context.close()
    assert {name: wrong for name, wrong in found.items() if wrong} == {}
