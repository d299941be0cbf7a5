"""The organisation's trip to Microsoft: twice there and back, by an Org Admin or by a link."""

from urllib.parse import urlencode, urlsplit

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.console.tests.harness import Site
from services.console.tests.test_protection import (
    ADMINISTRATOR,
    BY_LINK,
    CONSENT,
    GRANT,
    HELD,
    STARTS,
    TOKEN,
    OpenSite,
    cookies_of,
)

CALLBACK, SECOND = "/connectors/microsoft365/callback", "/connectors/microsoft365/sign-in/callback"
COMPLETE, SIGN_IN = "/v1/tenant/consent/complete", "/v1/tenant/consent/sign-in"
LINKED_COMPLETE, LINKED_SIGN_IN = "/v1/tenant/consent/link/complete", "/v1/tenant/consent/link/sign-in"
INVITATION = {
    "organisation": "Acme <Ltd>",
    "invited_by": "Ada",
    "tenant": "contoso.com",
    "expires_at": "2026-03-10T09:00:00Z",
}
ELSEWHERE = ["https://evil.example/x", "//evil.example", "http://login.microsoftonline.com/x", "javascript:x", ""]
ELSEWHERE += ["https://login.microsoftonline.com.evil.example/", "https://login.microsoftonline.com@evil.example/"]
ELSEWHERE += ["https://login.microsoftonline.com\\@evil.example/"]


def header_of(cookies: dict[str, str]) -> str:
    return "; ".join(f"{name}={value}" for name, value in cookies.items())


def test_an_org_admin_goes_to_microsoft_twice_with_one_key(site: Site) -> None:
    site.apis.answers = STARTS | {f"POST {COMPLETE}": (202, ADMINISTRATOR), f"POST {SIGN_IN}": (202, {"status": "x"})}
    with site.client() as browser:
        assert browser.post("/connectors/microsoft365/connect").headers["location"] == CONSENT["consent_url"]
        on = browser.get(f"{CALLBACK}?state=s1&tenant=t&admin_consent=True")
        assert (on.status_code, on.headers["location"]) == (303, ADMINISTRATOR["sign_in_url"])
        assert on.headers["Referrer-Policy"] == "no-referrer"
        assert cookies_of(on) == {}
        done = browser.get(f"{SECOND}?state=s2&code=c&session_state=x")
    assert (done.status_code, done.headers["location"]) == (303, "/connectors/microsoft365")
    assert done.headers["Referrer-Policy"] == "no-referrer"
    assert "Max-Age=0" in cookies_of(done)["prospo_consent"]
    first, second = site.apis.sent("POST")[1:]
    assert first.body == {"state": "s1", "tenant": "t", "admin_consent": "True", "browser_key": "k-1"}
    assert (second.path, second.body) == (SIGN_IN, {"state": "s2", "code": "c", "browser_key": "k-1"})


def test_whoever_has_a_link_goes_the_same_way_without_an_account(site: Site) -> None:
    site.person = None
    site.apis.answers = STARTS | {
        "POST /v1/tenant/consent/link/open": INVITATION,
        f"POST {LINKED_COMPLETE}": (202, ADMINISTRATOR),
        f"POST {LINKED_SIGN_IN}": (202, {"status": "proving"}),
    }
    with site.client() as browser:
        opened_link = browser.get(GRANT)
        assert f'action="{GRANT}/open"' in opened_link.text
        page = browser.post(f"{GRANT}/open", data=HELD)
        assert "Ada of Acme &lt;Ltd&gt; asks you" in " ".join(page.text.split())
        assert "the Microsoft 365 of <strong>contoso.com</strong>" in " ".join(page.text.split())
        assert f'action="{GRANT}"><input type="hidden" name="token" value="{TOKEN}">' in page.text
        assert (page.headers["Cache-Control"], page.headers["Referrer-Policy"]) == ("no-store", "same-origin")
        started = browser.post(GRANT, data=HELD)
        assert started.headers["location"] == CONSENT["consent_url"]
        assert all("HttpOnly" in line and "SameSite=lax" in line for line in cookies_of(started).values())
        assert browser.get(f"{CALLBACK}?state=s1").headers["location"] == ADMINISTRATOR["sign_in_url"]
        done = browser.get(f"{SECOND}?state=s2&code=c")
        assert done.headers["location"] == "/connectors/microsoft365/grant/done"
        assert set(cookies_of(done)) == set(BY_LINK)
        assert "Nothing more is needed" in browser.get("/connectors/microsoft365/grant/done").text
    opened, start, first, second = site.apis.sent("POST")
    assert opened.body == start.body == {"token": TOKEN}
    assert (first.path, first.body) == (LINKED_COMPLETE, {"state": "s1", "browser_key": "k-1", "token": TOKEN})
    assert (second.path, second.body["token"]) == (LINKED_SIGN_IN, TOKEN)


def test_a_link_that_does_not_hold_is_told_without_a_way_to_sign_in(site: Site) -> None:
    site.person = None
    refusal = {"code": "consent_link_unknown", "detail": "This link does not hold.", "request_id": "req-9"}
    site.apis.answers = {f"POST /v1/tenant/consent/link/{leg}": (404, refusal) for leg in ("open", "start")}
    with site.client() as browser:
        for answer in (browser.post(f"{GRANT}/open", data=HELD), browser.post(GRANT, data=HELD)):
            assert answer.status_code == 404
            assert "This link does not hold." in answer.text
            assert "req-9" in answer.text
            assert "<form" not in answer.text.split("<main")[1]


def test_a_refused_trip_by_link_leads_back_to_the_link(site: Site) -> None:
    site.person = None
    site.apis.answers = {f"POST {LINKED_COMPLETE}": (409, {"code": "consent_declined", "detail": "Declined."})}
    with site.client(Cookie=header_of(BY_LINK)) as browser:
        answer = browser.get(f"{CALLBACK}?state=s&error=access_denied")
    assert answer.status_code == 409
    assert f'href="{GRANT}#{TOKEN}"' in answer.text
    assert "Max-Age=0" in cookies_of(answer)["prospo_consent_link"]


def test_a_trip_of_ones_own_forgets_a_link_that_was_opened_before(site: Site) -> None:
    site.apis.answers = STARTS | {f"POST {COMPLETE}": (202, ADMINISTRATOR)}
    with site.client() as browser:
        browser.post(GRANT, data=HELD)
        browser.post("/connectors/microsoft365/connect")
        browser.get(f"{CALLBACK}?state=s")
    assert site.apis.sent("POST")[-1].path == COMPLETE


@pytest.mark.parametrize("url", ELSEWHERE)
def test_the_way_on_leads_to_microsofts_pages_or_nowhere(site: Site, url: str) -> None:
    site.apis.answers = {f"POST {COMPLETE}": (202, {"sign_in_url": url})}
    with site.client(Cookie="prospo_consent=k-1") as browser:
        answer = browser.get(f"{CALLBACK}?state=s")
    assert answer.status_code == 502
    assert "location" not in answer.headers
    assert "Support code" in answer.text


def test_over_https_the_links_cookie_is_bound_to_the_host_too(open_site: OpenSite) -> None:
    site = open_site(public_url="https://prospo.example")
    site.apis.answers = STARTS
    with site.client(Origin="https://prospo.example") as browser:
        cookies = cookies_of(browser.post(GRANT, data=HELD))
    assert set(cookies) == {f"__Host-{name}" for name in BY_LINK}
    assert all("Secure" in line and "HttpOnly" in line for line in cookies.values())


NAMES = ["state", "tenant", "admin_consent", "scope", "code", "error", "error_description", "error_subcode"]
NAMES += ["session_state", "client_info", "browser_key", "token", "return_to", "sign_in_url", "x"]
TEXTS = st.one_of(st.text(max_size=60), st.sampled_from(["//evil.example", "https://evil.example", "\x00", "<script>"]))
REFUSED = {"code": "consent_attempt_unknown", "detail": "Not started here. Start again.", "request_id": "req-3"}


@settings(max_examples=100, database=None)
@given(
    query=st.lists(st.tuples(st.sampled_from(NAMES), TEXTS), max_size=8),
    leg=st.sampled_from([CALLBACK, SECOND, "/integrations/microsoft/callback"]),
    cookies=st.sampled_from([{}, BY_LINK, {"prospo_consent": "k-1"}, {"prospo_sign_in": "k-1"}]),
)
def test_whatever_a_way_back_holds_is_answered_by_a_clear_page(
    site: Site, query: list[tuple[str, str]], leg: str, cookies: dict[str, str]
) -> None:
    paths = (COMPLETE, SIGN_IN, LINKED_COMPLETE, LINKED_SIGN_IN, "/v1/connection/complete")
    site.apis.answers = {f"POST {path}": (409, REFUSED) for path in paths}
    site.apis.calls.clear()
    with site.client(Cookie=header_of(cookies)) as browser:
        answer = browser.get(f"{leg}?{urlencode(query)}")
    check_page(answer)
    known = {"state", "tenant", "admin_consent", "scope", "code", "error", "error_description", "error_subcode"}
    known |= {"session_state", "client_info", "browser_key", "token"}
    for call in site.apis.sent("POST"):
        assert set(call.body) <= known
        assert call.body["browser_key"] == "k-1"
        assert call.body.get("token", TOKEN) == TOKEN


@settings(max_examples=60, database=None)
@given(said=st.dictionaries(st.sampled_from(["sign_in_url", "return_to", "status"]), TEXTS, max_size=3))
def test_whatever_is_answered_the_browser_stays_here_or_goes_to_microsoft(site: Site, said: dict[str, str]) -> None:
    site.apis.answers = {f"POST {path}": (202, said) for path in (COMPLETE, SIGN_IN)}
    with site.client(Cookie="prospo_consent=k-1; prospo_consent_return=//evil.example") as browser:
        for leg in (CALLBACK, SECOND):
            answer = browser.get(f"{leg}?state=s")
            location = answer.headers.get("location")
            if location is None:
                check_page(answer)
            else:
                assert location.startswith("/")
                assert urlsplit(location).netloc == ""


def check_page(answer: httpx.Response) -> None:
    assert answer.status_code in {400, 409, 502}
    assert "location" not in answer.headers
    assert answer.text.count("<h1") == 1
    assert "Support code" in answer.text
    assert "<script>" not in answer.text
    assert answer.headers["Referrer-Policy"] == "no-referrer"


def test_an_org_admin_browses_by_a_sign_in_that_ends_with_the_choice(site: Site) -> None:
    page, place = "/connectors/microsoft365/storage", "https://contoso.sharepoint.com/sites/Sales"
    started = {"sign_in_url": ADMINISTRATOR["sign_in_url"], "browser_key": "k-9"}
    site.apis.answers = {
        "POST /v1/tenant/browse": (201, started),
        "POST /v1/tenant/browse/complete": {"expires_at": "2026-03-10T09:00:00Z"},
        "PUT /v1/storage/location": {"chosen": True, "name": "Sales", "steps": [], "grant": None},
        "DELETE /v1/tenant/browse": (204, None),
    }
    with site.client() as browser:
        away = browser.post(f"{page}/browse")
        assert (away.status_code, away.headers["location"]) == (303, started["sign_in_url"])
        assert all("HttpOnly" in line and "SameSite=lax" in line for line in cookies_of(away).values())
        back = browser.get(f"{page}/browse/callback?state=s1&code=c&session_state=x")
        assert (back.status_code, back.headers["location"]) == (303, f"{page}/browse")
        assert back.headers["Referrer-Policy"] == "no-referrer"
        assert "Max-Age=0" in cookies_of(back)["prospo_browse"]
        assert browser.post(page, data={"address": place}).headers["location"] == f"{page}?done=chosen"
        unlisted = [{"name": "versions", "verdict": "not_tried", "says": "SharePoint does not list the versions."}]
        site.apis.answers["PUT /v1/storage/location"]["steps"] = unlisted
        assert browser.post(page, data={"address": place}).headers["location"] == f"{page}?done=unlisted"
    (_, complete) = site.apis.sent("POST")
    assert complete.body == {"state": "s1", "code": "c", "browser_key": "k-9"}
    assert [call.path for call in site.apis.sent("DELETE")] == 2 * ["/v1/tenant/browse"]
