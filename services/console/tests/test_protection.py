"""Forms from elsewhere, cookies, the ways to Microsoft and back, headers."""

import re
from collections.abc import Callable
from urllib.parse import urlencode

import httpx
import pytest
from fastapi.routing import APIRoute

from console.main import ROOMS
from services.console.tests.harness import Site
from services.console.tests.states import CONNECTED
from shared.testing.serving import NO_TLS

CONSENT = {"consent_url": "https://login.microsoftonline.com/organizations/v2.0/adminconsent?x", "browser_key": "k-1"}
ADMINISTRATOR = {"sign_in_url": "https://login.microsoftonline.com/t/oauth2/v2.0/authorize?y"}
SIGN_IN = {"authorize_url": "https://login.microsoftonline.com/t/oauth2/v2.0/authorize?x", "browser_key": "k-2"}
STARTS = {"POST /v1/tenant/consent": (201, CONSENT), "POST /v1/connection/sign-in": (201, SIGN_IN)}
STARTS |= {"POST /v1/tenant/consent/link/start": (201, CONSENT)}
TRIPS = [
    ("/connectors/microsoft365", "prospo_consent", "/v1/tenant/consent/complete"),
    ("/integrations/microsoft", "prospo_sign_in", "/v1/connection/complete"),
]
BACK = [*TRIPS, ("/connectors/microsoft365/sign-in", "prospo_consent", "/v1/tenant/consent/sign-in")]
TOKEN = "YWNtZQ.secret-of-the-link"
GRANT = "/connectors/microsoft365/grant"
HELD = {"token": TOKEN}
BY_LINK = {"prospo_consent": "k-1", "prospo_consent_link": TOKEN, "prospo_consent_return": f"{GRANT}#{TOKEN}"}
FORMS = sorted(
    re.sub(r"{.*?}", "018f0000-0000-7000-8000-000000000001", route.path)
    for room in ROOMS
    for route in room.router.routes
    if isinstance(route, APIRoute) and "POST" in route.methods
)
"""Every form of the console, by where it is sent."""
assert "/meetings" in FORMS
OpenSite = Callable[..., Site]


def cookies_of(answer: httpx.Response) -> dict[str, str]:
    """The attributes of each cookie that an answer sets."""
    return {line.split("=")[0]: line for line in answer.headers.get_list("set-cookie")}


@pytest.mark.parametrize("path", FORMS)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
    ],
)
def test_a_form_that_was_not_sent_from_our_pages_is_refused(site: Site, path: str, headers: dict[str, str]) -> None:
    site.apis.answers = CONNECTED | STARTS
    with httpx.Client(base_url=site.url, trust_env=False, verify=NO_TLS, headers=headers) as browser:
        answer = browser.post(path)
    assert answer.status_code == 403
    assert f"Support code <code>{answer.headers['X-Request-Id']}</code>" in answer.text
    assert '<a class="button" href="/">' in answer.text
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert site.apis.calls == []


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "same-origin"}, {"Origin": "own"}])
def test_either_header_of_our_own_pages_is_enough(site: Site, headers: dict[str, str]) -> None:
    site.apis.answers = STARTS
    own = {name: site.url if value == "own" else value for name, value in headers.items()}
    with httpx.Client(base_url=site.url, trust_env=False, verify=NO_TLS, headers=own) as browser:
        assert browser.post("/connectors/microsoft365/connect").headers["location"] == CONSENT["consent_url"]


@pytest.mark.parametrize(("base", "cookie", "_api"), TRIPS)
def test_scripts_and_other_sites_do_not_get_the_browser_keys_cookie(
    site: Site, base: str, cookie: str, _api: str
) -> None:
    site.apis.answers = STARTS
    with site.client() as browser:
        line = cookies_of(browser.post(f"{base}/connect"))[cookie].lower()
    assert "httponly" in line
    assert "samesite=lax" in line
    assert "max-age=900" in line
    assert "secure" not in line


@pytest.mark.parametrize(("base", "cookie", "_api"), TRIPS)
def test_over_https_the_cookies_are_secure_and_bound_to_the_host(
    open_site: OpenSite, base: str, cookie: str, _api: str
) -> None:
    site = open_site(public_url="https://prospo.example")
    site.apis.answers = STARTS
    with site.client(Origin="https://prospo.example") as browser:
        cookies = cookies_of(browser.post(f"{base}/connect"))
        back = browser.get(f"{base}/callback?state=s", headers={"Cookie": f"{cookie}=k-1"})
    assert all(name.startswith("__Host-prospo_") for name in cookies)
    assert all("Secure" in line and "Path=/;" in line and "Domain" not in line for line in cookies.values())
    assert "Start again" in back.text  # a cookie without the prefix may be another host's


@pytest.mark.parametrize(("base", "cookie", "api"), BACK)
def test_the_service_gets_microsofts_answer_and_the_key_only(site: Site, base: str, cookie: str, api: str) -> None:
    site.apis.answers = {f"POST {api}": {"return_to": "/meetings/new"}}
    query = {
        "state": "s",
        "error": "e",
        "error_description": "d",
        "error_subcode": "cancel",
        "browser_key": "no",
        "x": "y",
    }
    with site.client(Cookie=f"{cookie}=k-1") as browser:
        answer = browser.get(f"{base}/callback?{urlencode(query)}")
    (sent,) = site.apis.sent("POST")
    wanted = {name: query[name] for name in ("state", "error", "error_description", "error_subcode")}
    assert sent.body == wanted | {"browser_key": "k-1"}
    assert answer.headers["location"] == "/meetings/new"
    assert "Max-Age=0" in cookies_of(answer)[cookie]


@pytest.mark.parametrize(("base", "_cookie", "_api"), BACK)
def test_a_browser_that_did_not_set_out_is_told_so_and_nothing_is_sent(
    site: Site, base: str, _cookie: str, _api: str
) -> None:
    with site.client() as browser:
        answer = browser.get(f"{base}/callback?state=s&code=c-secret")
    assert answer.status_code == 400
    assert "Start again" in answer.text
    assert site.apis.calls == []


@pytest.mark.parametrize(("base", "cookie", "api"), BACK)
def test_a_declined_way_back_says_so_without_the_code_and_leads_on(
    site: Site, base: str, cookie: str, api: str
) -> None:
    refusal = {"code": "declined", "detail": "You declined at Microsoft.", "request_id": "req-9"}
    site.apis.answers = {f"POST {api}": (409, refusal)}
    with site.client(Cookie=f"{cookie}=k-1; {cookie}_return=/meetings/new") as browser:
        answer = browser.get(f"{base}/callback?state=s-secret&code=c-secret")
    assert answer.status_code == 409
    assert "You declined at Microsoft." in answer.text
    assert "req-9" in answer.text
    assert 'href="/meetings/new"' in answer.text
    assert "secret" not in answer.text
    assert "Max-Age=0" in cookies_of(answer)[cookie]
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(("base", "cookie", "api"), BACK)
def test_while_the_service_is_away_the_way_back_can_be_loaded_again(
    site: Site, base: str, cookie: str, api: str
) -> None:
    site.apis.answers = {f"POST {api}": (503, {"detail": "Away."})}
    with site.client(Cookie=f"{cookie}=k-1") as browser:
        answer = browser.get(f"{base}/callback?state=s&code=c-secret")
        assert answer.status_code == 503
        assert "Reload this page" in answer.text
        assert "secret" not in answer.text
        assert cookies_of(answer) == {}


@pytest.mark.parametrize(
    "target",
    ["https://evil.example", "//evil.example", "/\\evil.example", "/a\\b", "\\\\evil", "/a\nb", "javascript:x", ""],
)
def test_the_way_back_never_leaves_the_site(site: Site, target: str) -> None:
    site.apis.answers = STARTS | {"POST /v1/connection/complete": {"return_to": target}}
    with site.client() as browser:
        started = browser.post("/integrations/microsoft/connect", data={"return_to": target})
        assert started.status_code == 303
        ended = browser.get("/integrations/microsoft/callback?state=s", headers={"Cookie": "prospo_sign_in=k"})
    assert site.apis.sent("POST")[0].body == {"return_to": "/integrations"}
    assert ended.headers["location"] == "/integrations"


def test_every_page_has_the_strict_policy_even_one_that_broke(site: Site) -> None:
    site.apis.answers = CONNECTED | {"/v1/meetings": {"no items": 1}}
    with site.client() as browser:
        for path, status in (
            ("/integrations", 200),
            ("/meetings", 500),
            ("/nothing", 404),
            ("/static/console.css", 200),
        ):
            answer = browser.get(path)
            assert answer.status_code == status
            # After a page that broke the connection is closed; who is not told loses the next request on it.
            assert answer.headers.get("Connection") == ("close" if status == 500 else None)
            policy = answer.headers["Content-Security-Policy"]
            for rule in ("default-src 'none'", "script-src 'self'", "connect-src 'self'", "media-src 'self'"):
                assert rule in policy
            assert "unsafe" not in policy
            assert "form-action 'self' http://localhost:8367 https://login.microsoftonline.com;" in policy
            assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_a_broken_page_names_a_support_code(site: Site) -> None:
    site.apis.answers = {"/v1/meetings": {"no items": 1}}
    with site.client() as browser:
        answer = browser.get("/meetings", headers={"X-Request-Id": "abc-2"})
    assert "abc-2" in answer.text


@pytest.mark.parametrize("whole", [True, False], ids=["declared", "in pieces"])
def test_a_form_beyond_the_limit_is_refused_with_a_page(open_site: OpenSite, whole: bool) -> None:
    site = open_site(body_limit_bytes=1000)
    body = b"subject=" + b"x" * 2000
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    with site.client() as browser:
        answer = browser.post("/meetings", content=body if whole else iter([body]), headers=form)
    assert answer.status_code == 413
    assert "This form is too large" in answer.text
    assert f"Support code <code>{answer.headers['X-Request-Id']}</code>" in answer.text
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


def test_a_used_up_sign_in_that_met_an_outage_promises_no_reload(
    site: Site,
) -> None:
    away = {"detail": "Microsoft is busy.", "code": "microsoft_busy", "return_to": "/meetings/new"}
    site.apis.answers = {"POST /v1/connection/complete": (503, away)}
    with site.client(Cookie="prospo_sign_in=k-1; prospo_sign_in_return=/meetings/new") as browser:
        answer = browser.get("/integrations/microsoft/callback?state=s&code=c")
    assert "Reload" not in answer.text
    assert 'href="/meetings/new"' in answer.text
    assert "Max-Age=0" in cookies_of(answer)["prospo_sign_in"]


def test_an_unreadable_answer_is_told_without_its_field_names(site: Site) -> None:
    fields = {"errors": [{"field": "state", "message": "Field required"}], "request_id": "req-5"}
    refusal = {"detail": "Correct these fields and try again: state.", "code": "invalid_request"} | fields
    site.apis.answers = {"POST /v1/connection/complete": (422, refusal)}
    with site.client(Cookie="prospo_sign_in=k-1") as browser:
        answer = browser.get("/integrations/microsoft/callback")
    assert answer.status_code == 422
    assert "Start again" in answer.text
    assert "req-5" in answer.text
    assert "Correct these fields" not in answer.text
    assert "Field required" not in answer.text


def test_the_feature_that_was_asked_for_goes_to_the_service(site: Site) -> None:
    site.apis.answers = STARTS
    with site.client() as browser:
        browser.post("/integrations/microsoft/connect", data={"return_to": "/meetings", "feature": "contacts_import"})
    (sent,) = site.apis.sent("POST")
    assert sent.body == {"return_to": "/meetings", "features": ["contacts_import"]}


def test_checking_again_asks_the_service_and_comes_back(site: Site) -> None:
    site.apis.answers = {"POST /v1/connection/check": {}}
    with site.client() as browser:
        assert browser.post("/integrations/microsoft/check").headers["location"] == "/integrations"
    assert [call.path for call in site.apis.sent("POST")] == ["/v1/connection/check"]
