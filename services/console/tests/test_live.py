"""What an open page is told while something is on its way."""

import re

import httpx
import pytest

from services.console.tests.harness import Site
from services.console.tests.states import HELD_BACK, ID, RECORDING, TRANSCRIPT, meeting
from services.console.tests.tenants import tenant

PAGE = f"/meetings/{ID}"
API = f"/v1/meetings/{ID}"
HTMX = {"HX-Request": "true"}


def live_url(text: str) -> str:
    found = re.search(r'hx-get="([^"]+)"', text)
    assert found
    return found[1].replace("&amp;", "&")


def test_nothing_is_sent_until_something_changed(site: Site) -> None:
    site.apis.answers = {API: meeting("ended")}
    with site.client(**HTMX) as browser:
        assert browser.get(live_url(browser.get(PAGE).text)).status_code == 204


def test_only_the_part_that_arrived_is_sent_and_it_is_announced(site: Site) -> None:
    site.apis.answers = {API: meeting("ended", transcript={"status": "importing"})}
    with site.client(**HTMX) as browser:
        url = live_url(browser.get(PAGE).text)
        site.apis.answers = {API: meeting("ended", transcript={"status": "importing"}, recording=RECORDING)}
        answer = browser.get(url)
        assert answer.status_code == 200
        assert "<video" in answer.text
        assert "The recording has arrived." in answer.text
        assert 'id="part-recording"' in answer.text
        assert 'id="part-transcript"' not in answer.text
        assert browser.get(live_url(answer.text)).status_code == 204


def test_when_all_is_there_the_page_stops_asking(site: Site) -> None:
    site.apis.answers = {API: meeting("ended")}
    with site.client(**HTMX) as browser:
        url = live_url(browser.get(PAGE).text)
        site.apis.answers = {API: meeting("ended", recording=RECORDING, transcript=TRANSCRIPT)}
        answer = browser.get(url)
    assert answer.status_code == 286
    assert "hx-get" not in answer.text


def test_what_is_held_back_is_announced_otherwise_than_what_never_arrives(site: Site) -> None:
    site.apis.answers = {API: meeting("ended", transcript=TRANSCRIPT)}
    with site.client(**HTMX) as browser:
        url = live_url(browser.get(PAGE).text)
        for artefact, said in ((HELD_BACK, "is held back for now"), (HELD_BACK | {"code": "x"}, "will not arrive")):
            site.apis.answers = {API: meeting("ended", transcript=TRANSCRIPT, recording=artefact)}
            assert said in browser.get(url).text


@pytest.mark.parametrize(("status", "shown", "said"), [(503, 200, "keeps looking"), (401, 286, "Reload the page")])
def test_a_refusal_is_said_on_the_open_page_and_what_it_shows_stays(
    site: Site, status: int, shown: int, said: str
) -> None:
    site.apis.answers = {API: meeting("ended")}
    with site.client(**HTMX) as browser:
        url = live_url(browser.get(PAGE).text)
        site.apis.answers = {API: (status, {"detail": "No.", "request_id": "req-3"})}
        answer = browser.get(url)
    assert answer.status_code == shown
    assert answer.headers["HX-Reswap"] == "none"
    assert said in answer.text
    assert "Support code <code>req-3</code>" in answer.text


def test_the_tenant_is_announced_once_when_it_is_proven(site: Site) -> None:
    site.apis.answers = {"/v1/tenant": tenant("proving")}
    with site.client(**HTMX) as browser:
        url = live_url(browser.get("/connectors/microsoft365").text)
        site.apis.answers = {"/v1/tenant": tenant("connected")}
        answer = browser.get(url)
    assert answer.status_code == 286
    assert answer.text.count("Your organisation is connected") == 1
    assert 'role="switch"' in answer.text or "Auto-recording" in answer.text


def test_the_address_for_news_leads_a_person_to_the_page(site: Site) -> None:
    site.apis.answers = {API: meeting("ended")}
    with site.client() as browser:
        answer: httpx.Response = browser.get(f"{PAGE}/live")
    assert answer.headers["location"] == PAGE


def test_a_meeting_far_off_is_looked_at_seldom_unless_the_clock_may_jump(open_site) -> None:  # type: ignore[no-untyped-def]
    far = meeting("scheduled", start="2999-01-01T10:00:00Z", end="2999-01-01T10:30:00Z")
    for simulator, often in ((None, "every 30s"), ("http://localhost:8367", "every 3s")):
        site = open_site(simulator_url=simulator)
        site.apis.answers = {API: far}
        with site.client() as browser:
            assert often in browser.get(PAGE).text
