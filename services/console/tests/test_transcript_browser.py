"""The transcript beside its video in Chromium; without JavaScript the list stands."""

import pytest
from playwright.sync_api import Page, expect

from services.console.tests.harness import Site
from services.console.tests.looking import Watched
from services.console.tests.recordings import FIRST, ID, RECORD, SAID
from services.console.tests.state import LINES

pytestmark = pytest.mark.browser
PLAYED = """([video, seconds]) => {
  Object.defineProperty(video, "currentTime", {value: seconds, writable: true, configurable: true});
  video.dispatchEvent(new Event("timeupdate"));
}"""
LINE = "#lines [aria-current]"


def opened(site: Site, page: Page) -> None:
    lines = [line | {"number": number} for number, line in enumerate(LINES, 1)]
    said = SAID | {"lines": lines, "next_cursor": None}
    recording = RECORD["recordings"][0] | {"began": "2026-03-04T10:01:00Z"}
    later = recording | {"transcript": recording["transcript"] | {"began": "2026-03-04T10:01:02Z"}}
    record = RECORD | {"recordings": [later]}
    site.apis.answers = {f"/v1/transcripts/{FIRST}": said, f"/v1/meetings/{ID}": record}
    page.goto(f"{site.url}/transcripts/{FIRST}")


@pytest.mark.parametrize("page", [True], indirect=True)
def test_the_transcript_follows_the_video_and_leads_it(site: Site, page: Page) -> None:
    """The transcript began two seconds after the recording, so its first line stands at 3.5 s."""
    watched = Watched(page)
    opened(site, page)
    video = page.locator("#video").element_handle()
    page.evaluate(PLAYED, [video, 3.4])
    expect(page.locator(LINE)).to_have_count(0)
    page.evaluate(PLAYED, [video, 3.6])
    expect(page.locator(LINE)).to_contain_text("Hello everyone")
    page.evaluate(PLAYED, [video, 3700])
    expect(page.locator(LINE)).to_contain_text("The offer goes out on Friday")
    expect(page.locator(LINE)).to_have_count(1)
    page.get_by_role("button", name="Play from 0:01").click()
    assert page.evaluate("video => video.currentTime", video) == 3.5
    assert watched.unexpected() == []


@pytest.mark.parametrize("page", [False], indirect=True)
def test_without_javascript_the_list_stands(site: Site, page: Page) -> None:
    opened(site, page)
    expect(page.get_by_text("Hello everyone, shall we begin?")).to_be_visible()
    expect(page.get_by_role("button", name="Look for it")).to_be_visible()
    expect(page.locator("#lines button")).to_have_count(0)
