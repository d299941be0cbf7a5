"""What a browser is told about every page: who may frame it, what its base is, and that no other window reaches it."""

import pytest

from services.console.tests.harness import Site
from services.console.tests.states import CONNECTED


@pytest.mark.parametrize("path", ["/connectors/microsoft365", "/no-such-page", "/static/console.css", "/integrations"])
def test_no_page_is_framed_rebased_or_reached_by_its_opener(site: Site, path: str) -> None:
    site.apis.answers = CONNECTED
    with site.client() as browser:
        headers = browser.get(path).headers
    policy = [part.strip() for part in headers["Content-Security-Policy"].split(";")]
    assert {"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "script-src 'self'"} <= set(policy)
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == ("public, max-age=300" if path.startswith("/static/") else "no-store")


def test_pages_are_compressed_for_a_browser_that_takes_it(site: Site) -> None:
    site.apis.answers = CONNECTED
    with site.client() as browser:
        answers = [browser.get("/integrations", headers={"Accept-Encoding": how}) for how in ("gzip", "identity")]
    assert [answer.headers.get("Content-Encoding") for answer in answers] == ["gzip", None]
    assert answers[0].text == answers[1].text
