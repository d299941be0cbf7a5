"""The pages a person sees, read as a person and as ``client.FormReader`` does, and looked at in Chromium."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Route, async_playwright, expect

from m365_simulator import Simulator
from m365_simulator.client import FormReader
from m365_simulator.verbs import perform
from shared.testing import chromium

expect.set_options(timeout=30_000)  # a browser on a busy machine
CONSOLE = "http://localhost:8365"
ORGANIZER = "anna@contoso.example"
COLOURS = {"runOnly": ["color-contrast"]}


@pytest.fixture
async def web(simulator: Simulator) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(simulator.app)
    async with httpx.AsyncClient(transport=transport, base_url=simulator.settings.http_base_url) as client:
        yield client


def consent_path(simulator: Simulator, **more: str) -> str:
    query = {"client_id": simulator.settings.client_id, "redirect_uri": simulator.settings.redirect_uris[0]}
    query |= {"state": "s<1>", "scope": "https://graph.microsoft.com/.default"}
    return f"/organizations/v2.0/adminconsent?{urlencode(query | more)}"


def sign_in_path(simulator: Simulator, **more: str) -> str:
    query = {"client_id": simulator.settings.client_id, "redirect_uri": simulator.settings.redirect_uris[1]}
    query |= {
        "response_type": "code",
        "code_challenge": "c" * 43,
        "code_challenge_method": "S256",
        "scope": "Contacts.Read",
    }
    return f"/organizations/oauth2/v2.0/authorize?{urlencode(query | more)}"


def add_meeting(simulator: Simulator, key: str, **more: Any) -> dict[str, Any]:
    organizer = next(user for user in simulator.store.all("users") if user["address"] == ORGANIZER)
    row = {
        "id": key,
        "tenant": organizer["tenant"],
        "organizer": organizer["id"],
        "attendees": [],
        "subject": f"Offer & {key}",
        "start": "2030-01-01T10:00:00Z",
        "end": "2030-01-01T11:00:00Z",
        "created": "2029-01-01T10:00:00Z",
        "join_url": f"https://teams.example/{key}",
        "recordAutomatically": False,
        "recorded_by_hand": False,
        "allowTranscription": True,
        "cancelled": False,
        "happened": False,
        "delay_s": 0,
        "options": {},
        **more,
    }
    return simulator.store.put("meetings", key, row)


async def test_accounts_are_grouped_by_organisation_and_name_administrators(
    simulator: Simulator, web: httpx.AsyncClient
) -> None:
    text = (await web.get(consent_path(simulator))).text
    contoso, fabrikam = text.index(">Contoso"), text.index(">Fabrikam")
    assert contoso < text.index('value="anna@contoso.example"') < fabrikam < text.index('value="carl@fabrikam.example"')
    assert text.count("Administrator</span>") == 2
    assert "Nothing here reaches Microsoft" in text
    assert FormReader(text).fields["state"] == "s<1>"


@pytest.mark.parametrize(
    ("decision", "answer"), [("accept", "admin_consent=True&tenant="), ("cancel", "error=consent_required")]
)
async def test_an_administrator_reads_what_is_asked_and_decides(
    simulator: Simulator, web: httpx.AsyncClient, decision: str, answer: str
) -> None:
    form = FormReader((await web.get(consent_path(simulator))).text)
    page = await web.post(form.action, data=form.fields | {"account": "admin@contoso.example"})
    for words in ("For each person who signs in", "By itself, without a person", "Read transcripts of online meetings"):
        assert words in page.text
    form = FormReader(page.text)
    back = await web.post(form.action, data=form.fields | {"decision": decision})
    assert answer in back.headers["location"]


async def test_a_failure_shows_its_code_and_what_came_in_is_escaped(
    simulator: Simulator, web: httpx.AsyncClient
) -> None:
    answer = await web.get(consent_path(simulator, redirect_uri="https://evil.example/<script>"))
    assert answer.status_code == 400
    assert "AADSTS50011" in answer.text
    assert "<script>" not in answer.text
    assert f'href="{CONSOLE}/"' in answer.text


async def test_meetings_show_who_when_and_what_became_of_them(simulator: Simulator, web: httpx.AsyncClient) -> None:
    assert "No meetings yet" in (await web.get("/")).text
    add_meeting(simulator, "m1")
    add_meeting(simulator, "m2", cancelled=True)
    add_meeting(simulator, "m3", recordAutomatically=True)
    text = (await web.get("/")).text
    for words in ("Offer &amp; m1", "Anna Andersson", "Tue 1 Jan 2030, 10:00 UTC", "Cancelled", "Records by itself"):
        assert words in text
    assert text.count("Let it happen</button>") == 2
    assert text.count("Somebody presses record") == 1


@pytest.mark.parametrize("recorded", [False, True])
async def test_a_meeting_happens_recorded_or_not_as_the_box_says(
    simulator: Simulator, web: httpx.AsyncClient, recorded: bool
) -> None:
    add_meeting(simulator, "m1")
    answer = await web.post("/meetings/happen", data={"meeting": "m1", **({"record": "on"} if recorded else {})})
    assert answer.headers["location"] == "/?happened=m1"
    text = (await web.get("/?happened=m1")).text
    assert "has taken place" in text
    assert ("not recorded" in text) is not recorded
    assert bool(simulator.store.all("artefacts")) is recorded


@pytest.mark.parametrize(
    ("back", "leads"),
    [
        (f"{CONSOLE}/meetings/1", f"{CONSOLE}/meetings/1"),
        ("https://evil.example/", "/?happened=m1"),
        (f"{CONSOLE}.evil.example/", "/?happened=m1"),
    ],
)
async def test_the_button_of_the_console_leads_back_to_the_console_only(
    simulator: Simulator, web: httpx.AsyncClient, back: str, leads: str
) -> None:
    add_meeting(simulator, "m1")
    answer = await web.post("/meetings/happen", data={"meeting": "https://teams.example/m1", "return_to": back})
    assert answer.headers["location"] == leads


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    path = chromium.chromium()
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=path, args=chromium.OPTIONS)
        yield launched
        await launched.close()


@pytest.mark.browser
async def test_the_pages_are_accessible_in_both_themes_and_fit_a_small_screen(
    simulator: Simulator, browser: Browser
) -> None:
    add_meeting(simulator, "m1")
    add_meeting(simulator, "m2", happened=True)
    page = await browser.new_page()
    errors: list[str] = []
    page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    url = simulator.settings.http_base_url

    async def check() -> None:
        """Everything in the light theme; in the dark one what depends on colours."""
        await page.emulate_media(color_scheme="light")
        assert (await Axe().run(page)).response["violations"] == []
        await page.emulate_media(color_scheme="dark")
        assert (await Axe().run(page, options=COLOURS)).response["violations"] == []
        await page.set_viewport_size({"width": 320, "height": 640})
        assert await page.evaluate("document.documentElement.scrollWidth") <= 320

    await page.goto(url + sign_in_path(simulator))
    await check()
    await page.get_by_role("button", name="Anna Andersson").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Permissions requested")
    await check()
    await page.goto(url + sign_in_path(simulator, scope="Mail.Read"))
    await page.get_by_role("button", name="Anna Andersson").press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Need admin approval")
    await check()
    perform(simulator, "policy_set", {"tenant": "contoso.example", "approval_workflow": True})
    await page.reload()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Approval required")
    await expect(page.get_by_label("Why do you need it?")).to_be_editable()
    await check()
    await page.goto(url + "/organizations/oauth2/v2.0/logout")
    await check()
    await page.goto(url + consent_path(simulator, redirect_uri="https://evil.example/"))
    await check()
    errors.clear()  # the browser notes that the failure is a 400
    await page.goto(url + "/")
    await check()
    await page.get_by_label("Somebody presses record").check()
    await page.get_by_role("button", name="Let it happen").press("Enter")
    await expect(page.get_by_role("status")).to_contain_text("has taken place")
    await check()
    assert errors == []


@pytest.mark.browser
async def test_a_form_post_reaches_the_application_with_and_without_javascript(
    simulator: Simulator, browser: Browser
) -> None:
    got: list[str] = []

    async def answer(route: Route) -> None:
        if route.request.method == "POST":
            got.append(route.request.post_data or "")
        await route.fulfill(body="thanks")

    for javascript in (True, False):
        context = await browser.new_context(java_script_enabled=javascript)
        page = await context.new_page()
        await page.route(f"{CONSOLE}/**", answer)
        await page.goto(
            simulator.settings.http_base_url + sign_in_path(simulator, response_mode="form_post", state="s1")
        )
        await page.get_by_role("button", name="Anna Andersson").click()
        accept = page.get_by_role("button", name="Accept")
        if await accept.is_visible():
            await accept.click()
        if not javascript:
            await page.get_by_role("button", name="Continue").click()
        await expect(page.get_by_text("thanks")).to_be_visible()
        assert "code=" in got[-1]
        assert "state=s1" in got[-1]
        await context.close()
    assert len(got) == 2
