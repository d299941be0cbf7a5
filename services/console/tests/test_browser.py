"""The pages in Chromium: readable by everyone in both themes, by keyboard, without errors, and alive.

``PROSPO_SCREENSHOTS=<folder>`` keeps a picture of each state.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from services.console.tests import books
from services.console.tests.accounts import connection
from services.console.tests.harness import Site
from services.console.tests.looking import (
    COLOURS,
    LARGE,
    SCRIPT,
    SMALL,
    Looking,
    Watched,
    a_context,
    complaints,
    script,
)
from services.console.tests.states import (
    CONNECTED,
    ID,
    RECORDING,
    STATES,
    TRANSCRIPT,
    State,
    meeting,
)
from services.console.tests.tenants import INVITATION, tenant
from services.console.tests.test_protection import GRANT, TOKEN

pytestmark = pytest.mark.browser
NEWS_MS = 30_000
"""Many times the pause between two looks for news."""
PICTURES = os.environ.get("PROSPO_SCREENSHOTS")
SEND = """([action, fields]) => {
  const form = Object.assign(document.createElement("form"), {method: "post", action});
  for (const [name, value] of Object.entries(fields)) {
    form.append(Object.assign(document.createElement("input"), {type: "hidden", name, value}));
  }
  document.body.append(form);
  form.submit();
}"""


@pytest.fixture
def watched(browser: Browser) -> Iterator[Watched]:
    with a_context(browser) as context:
        yield Watched(context.new_page())


@pytest.fixture(scope="module")
def looking(browser: Browser, usual_site: Site) -> Iterator[Looking]:
    """A page for all states, one after another: opening one takes longer than looking at it."""
    usual_site.scripts[SCRIPT] = script()
    with a_context(browser) as context:
        yield Looking(context.new_page())


def show(site: Site, page: Page, state: State) -> None:
    site.apis.answers, site.person = state.answers, state.person
    if state.post is None:
        page.goto(site.url + state.page)
    else:
        page.goto(site.url)
        with page.expect_navigation():
            page.evaluate(SEND, [state.page, state.post])


@pytest.mark.parametrize("name", STATES)
def test_each_state_is_accessible_in_both_themes_and_fits_a_small_screen(
    site: Site, looking: Looking, name: str
) -> None:
    page = looking.page
    looking.errors.clear()
    show(site, page, STATES[name])
    for size in looking.sizes():
        if size == LARGE:
            page.add_script_tag(url=SCRIPT)
            assert complaints(page, *COLOURS) == []
            for theme in looking.themes():
                picture(page, f"{name}-{theme}")
                assert looking.colours() == []
        else:
            picture(page, f"{name}-small")
            assert page.evaluate("document.documentElement.scrollWidth") <= SMALL["width"]
    assert looking.unexpected() == []


def picture(page: Page, name: str) -> None:
    if PICTURES:
        page.screenshot(path=Path(PICTURES) / f"{name}.png", full_page=True)


def tab_to(page: Page, name: str, limit: int = 60) -> None:
    """Press Tab until what has the focus is called ``name``; it must be visible there."""
    for _ in range(limit):
        page.keyboard.press("Tab")
        found = page.evaluate("(document.activeElement.labels?.[0] ?? document.activeElement).innerText.trim()")
        if found == name:
            box = page.evaluate(
                "(({x, y, width, height}) => [x, y, width, height])(document.activeElement.getBoundingClientRect())"
            )
            assert min(box[2:]) >= 24
            assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
            return
    raise AssertionError(f"Tab does not reach {name}.")


def test_the_skip_link_comes_first_and_leads_past_the_navigation(site: Site, watched: Watched) -> None:
    show(site, watched.page, STATES["meetings"])
    watched.page.keyboard.press("Tab")
    expect(watched.page.get_by_role("link", name="Skip to content")).to_be_focused()
    watched.page.keyboard.press("Enter")
    watched.page.keyboard.press("Tab")
    expect(watched.page.get_by_role("link", name="Schedule a Teams meeting")).to_be_focused()


def test_the_keyboard_schedules_a_meeting_in_the_browsers_time_zone(site: Site, watched: Watched) -> None:
    page = watched.page
    show(site, page, STATES["meetings-empty"])
    site.apis.answers = CONNECTED | {
        "POST /v1/meetings": (201, meeting("scheduled")),
        f"/v1/meetings/{ID}": meeting("scheduled"),
    }
    tab_to(page, "Schedule a Teams meeting")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    tab_to(page, "Subject")
    page.keyboard.type("Offer")
    tab_to(page, "Attendees")
    page.keyboard.type("ben@contoso.example")
    tab_to(page, "Agenda")
    page.keyboard.type("Plans")
    tab_to(page, "Schedule and invite")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Quarterly review")
    expect(page.get_by_text("11:00–11:30 (Europe/Berlin, UTC+01:00)")).to_be_visible()
    (sent,) = site.apis.sent("POST")
    assert sent.body["subject"] == "Offer"
    assert (sent.body["attendees"], sent.body["body"]) == ([{"email": "ben@contoso.example"}], "Plans")
    assert re.search(r":00\+0[12]:00$", sent.body["start"])
    assert watched.unexpected() == []


def test_who_is_free_is_seen_and_a_time_taken_by_keyboard_alone(site: Site, watched: Watched) -> None:
    page = watched.page
    site.apis.answers = STATES["free-shown"].answers
    page.goto(site.url + "/meetings/new")
    tab_to(page, "Subject")
    page.keyboard.type("Offer")
    page.get_by_label("Start").fill("2030-03-05T10:00")
    page.get_by_label("Time zone").select_option("Europe/Berlin")
    tab_to(page, "See who is free")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=2, name="Who is free")).to_be_in_viewport()
    expect(page.get_by_role("row", name="anna@contoso.example (you)")).to_contain_text("09:00–09:30 Working elsewhere")
    tab_to(page, "Tuesday 5 March 2030, 09:30–10:00")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Start")).to_have_value("2030-03-05T09:30")
    expect(page.get_by_label("Subject")).to_have_value("Offer")
    assert {call.path for call in site.apis.sent("POST")} == {"/v1/meetings/availability"}
    assert watched.unexpected() == []


def test_a_series_is_scheduled_by_keyboard_alone(site: Site, watched: Watched) -> None:
    page = watched.page
    site.apis.answers = STATES["series"].answers | CONNECTED | {"POST /v1/meetings/series": (201, {"id": ID})}
    page.goto(site.url + "/meetings/new")
    tab_to(page, "Subject")
    page.keyboard.type("Weekly")
    tab_to(page, "Repeats")
    page.keyboard.type("Every w")
    tab_to(page, "Lobby, presenters, recording")
    page.keyboard.press("Enter")
    tab_to(page, "This meeting does not record by itself")
    page.keyboard.press("Space")
    tab_to(page, "Schedule and invite")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_be_focused()
    page.get_by_role("alert").get_by_role("link", name="a series has an end").press("Enter")
    expect(page.get_by_label("Last day of the series")).to_be_focused()
    page.get_by_label("Last day of the series").fill("2030-12-31")
    tab_to(page, "Schedule and invite")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=2, name="Its meetings")).to_be_visible()
    (sent,) = site.apis.sent("POST")
    assert (sent.body["repeats"], sent.body["auto_recording"]) == ({"every": "week", "until": "2030-12-31"}, False)


def test_a_refused_form_focuses_the_wrong_field_and_keeps_the_rest(site: Site, watched: Watched) -> None:
    page = watched.page
    site.apis.answers = CONNECTED
    page.goto(site.url + "/meetings/new")
    page.get_by_label("Attendees").fill("nobody")
    page.get_by_role("button", name="Schedule and invite").click()
    expect(page.get_by_role("alert")).to_be_focused()
    page.get_by_role("alert").get_by_role("link", name="Give the meeting a subject").click()
    expect(page.get_by_label("Subject")).to_be_focused()
    expect(page.get_by_label("Attendees")).to_have_value("nobody")
    assert page.title().startswith("Problem: ")


def test_contacts_are_imported_by_keyboard_alone_and_the_open_page_follows(site: Site, watched: Watched) -> None:
    """From the empty list over folders and preview to the result, which arrives while the page is open."""
    page, api = watched.page, f"/v1/contacts/imports/{ID}"
    site.apis.answers = books.WITH_FOLDERS | {"/v1/contacts": {"items": []}, f"{api}/rows": {"items": books.ROWS}}
    site.apis.answers |= {"POST /v1/contacts/imports": (202, books.run("reading")), api: books.run("reading", id=ID)}
    page.goto(site.url + "/contacts")
    for name in ("Import Contacts", "Microsoft Account"):
        tab_to(page, name)
        with page.expect_navigation():
            page.keyboard.press("Enter")
    page.get_by_role("checkbox", name="Roasters").focus()
    page.keyboard.press("Space")
    tab_to(page, "See the preview")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    assert site.apis.sent("POST")[0].body == {"folders": ["f1", "f4"], "share": False}
    page.get_by_role("button", name="Cancel the import").focus()
    site.apis.answers |= {api: books.run("planned")}
    expect(page.get_by_role("status")).to_have_text("The preview is ready.", timeout=NEWS_MS)
    site.apis.answers |= {f"POST {api}/start": books.run("running"), api: books.run("running", done=2)}
    tab_to(page, "Start the import")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    expect(page.get_by_role("progressbar")).to_have_accessible_name("2 of 4 contacts")
    site.apis.answers |= {api: books.run("finished", outcome={"created": 3})}
    expect(page.get_by_role("status")).to_have_text("The import is finished.", timeout=NEWS_MS)
    expect(page.get_by_role("link", name="Undo…")).to_be_visible()
    expect(page.locator("[hx-get]")).to_have_count(0)  # nothing asks any more
    assert watched.unexpected() == []


def test_a_switch_is_a_switch_for_everyone_and_works_by_keyboard(site: Site, watched: Watched) -> None:
    page = watched.page
    show(site, page, STATES["card-connected"])
    site.apis.answers["PATCH /v1/tenant/features"] = tenant("connected")
    for name, on in (("Outlook email", True), ("Auto-recording", False), ("Contacts import", True)):
        expect(page.get_by_role("switch", name=name, checked=on)).to_have_count(1)
    page.get_by_role("switch", name="Auto-recording").focus()
    page.keyboard.press("Space")
    page.wait_for_url("**switched=auto_recording**")
    assert site.apis.sent("PATCH")[0].body == {"auto_recording": True}


def test_recording_and_transcript_arrive_in_the_open_page(site: Site, watched: Watched) -> None:
    page, path = watched.page, f"/v1/meetings/{ID}"
    site.apis.answers = {path: meeting("scheduled")}
    page.goto(f"{site.url}/meetings/{ID}")
    page.get_by_role("link", name="Reschedule").focus()
    site.apis.answers = {path: meeting("scheduled", recording=RECORDING)}
    expect(page.get_by_role("status")).to_have_text("The recording has arrived.", timeout=NEWS_MS)
    expect(page.get_by_role("link", name="Reschedule")).to_be_focused()
    video = page.locator("video")
    page.wait_for_function("document.querySelector('video').readyState >= 1")
    video.evaluate("video => { video.dataset.mine = 'yes'; }")
    site.apis.answers = {path: meeting("ended", recording=RECORDING, transcript=TRANSCRIPT)}
    expect(page.get_by_role("status")).to_contain_text("The transcript has arrived.", timeout=NEWS_MS)
    assert video.get_attribute("data-mine") == "yes"
    expect(page.get_by_role("link", name="Read the whole transcript")).to_be_visible()
    expect(page.get_by_role("link", name="Check again")).to_have_count(0)
    assert watched.unexpected() == []
    expect(page.locator("[hx-get]")).to_have_count(0)  # nothing asks any more


def test_a_link_opens_by_itself_and_without_its_code_in_an_address(site: Site, watched: Watched) -> None:
    site.person = None
    site.apis.answers = {"POST /v1/tenant/consent/link/open": INVITATION}
    asked: list[str] = []
    watched.page.on("request", lambda request: asked.append(request.url))
    watched.page.goto(f"{site.url}{GRANT}#{TOKEN}")
    expect(watched.page.get_by_role("button", name="Continue to Microsoft")).to_be_visible()
    assert watched.page.url == f"{site.url}{GRANT}/open"
    assert f"{site.url}{GRANT}/open" in asked
    assert [url for url in asked if TOKEN in url.partition("#")[0]] == []
    assert site.apis.sent("POST")[0].body == {"token": TOKEN}
    assert watched.unexpected() == []


def test_the_recording_plays(site: Site, watched: Watched) -> None:
    show(site, watched.page, STATES["meeting-complete"])
    watched.page.wait_for_function("document.querySelector('video').readyState >= 1")
    assert watched.page.evaluate("document.querySelector('video').error") is None


def test_every_action_works_without_javascript(site: Site, browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False, timezone_id="Europe/Berlin")
    page = context.new_page()
    show(site, page, STATES["meeting-importing"])
    site.apis.answers = {f"/v1/meetings/{ID}": meeting("ended", recording=RECORDING, transcript=TRANSCRIPT)}
    page.get_by_role("link", name="Check again").click()
    expect(page.get_by_label("Recording of Quarterly review")).to_be_visible()
    site.apis.answers = CONNECTED | {"POST /v1/meetings": (201, meeting("scheduled"))}
    page.goto(site.url + "/meetings/new")
    expect(page.get_by_label("Time zone")).to_have_value("UTC")
    page.get_by_label("Subject").fill("Offer")
    page.get_by_role("button", name="Schedule and invite").click()
    assert site.apis.sent("POST")[0].body["start"].endswith("+00:00")
    show(site, page, STATES["import-planned"])
    site.apis.answers |= {f"POST /v1{books.PAGE}/start": books.run("running"), f"/v1{books.PAGE}": books.run("running")}
    page.get_by_role("button", name="Start the import").click()
    site.apis.answers |= {f"/v1{books.PAGE}": books.run("finished", outcome={"created": 3})}
    page.get_by_role("link", name="Check again").click()
    expect(page.get_by_text("New contacts: 3")).to_be_visible()
    context.close()


def test_choosing_a_person_at_the_top_makes_the_pages_theirs(site: Site, watched: Watched) -> None:
    page = watched.page
    show(site, page, STATES["welcome"])
    site.apis.answers = {"/v1/tenant": tenant("not_connected"), "/v1/connection": connection("not_connected")}
    page.get_by_label("Signed in as").select_option("acme-admin")
    page.get_by_role("button", name="Switch").click()
    expect(page.get_by_label("Signed in as")).to_have_value("acme-admin")
    expect(page.get_by_role("link", name="Connect the organisation")).to_be_visible()
