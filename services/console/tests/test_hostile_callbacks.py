"""Whatever a browser is sent back with: a page with a support code, our own site, and nothing of it in the page."""

from typing import Any
from urllib.parse import quote, urljoin, urlsplit

from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.console.tests.harness import Site

BOUNDED = settings(max_examples=80)
NAMES = ["state", "code", "client_info", "session_state", "error", "error_description", "error_subcode", "return_to"]
RAW = st.one_of(
    st.text(max_size=40).map(lambda text: quote(text, safe="")),
    st.text("%/\\<>\"'&=;+.:#0aAfF", max_size=30).map(lambda text: text.replace("#", "%23")),
    st.sampled_from(["%00", "%ED%A0%80", "%FF%FE", "%0d%0aSet-Cookie:x=y", "a" * 5000, "<script>alert(1)</script>"]),
)
QUERIES = st.lists(st.tuples(st.sampled_from(NAMES), RAW), max_size=8)
TARGETS = st.one_of(
    st.text(max_size=40),
    st.text(max_size=40).map("/".__add__),
    st.text("/\\.:@?#%2f\t\r\n evil", max_size=20),
    st.sampled_from(["//evil.example", "/\\evil.example", "https:evil.example", "javascript:alert(1)"]),
)
CALLBACK = "/integrations/microsoft/callback"


def called(site: Site, query: list[tuple[str, str]], answer: Any) -> Any:
    site.apis.answers = {"POST /v1/connection/complete": answer}
    site.apis.calls.clear()
    with site.client(Cookie="prospo_sign_in=k-1") as browser:
        return browser.get(f"{CALLBACK}?{'&'.join(f'{name}={value}' for name, value in query)}")


@BOUNDED
@given(query=QUERIES)
@example(query=[("state", "%ED%A0%80"), ("code", "%00")])
@example(query=[("error_description", "<script>alert(1)</script>")])
def test_a_refused_answers_page_has_a_support_code_and_no_part_of_it(site: Site, query: Any) -> None:
    answer = called(site, query, (409, {"detail": "Start again.", "code": "sign_in_unknown", "request_id": "req-3"}))
    assert answer.status_code == 409
    assert "req-3" in answer.text
    assert "Start again." in answer.text
    assert "alert(1)" not in answer.text
    (sent,) = site.apis.sent("POST")
    assert sent.body["browser_key"] == "k-1"
    assert set(sent.body) <= {*NAMES, "browser_key"} - {"return_to"}
    assert "location" not in answer.headers


@BOUNDED
@given(target=TARGETS, query=QUERIES)
def test_whatever_the_way_back_is_it_stays_on_our_site(site: Site, target: str, query: Any) -> None:
    answer = called(site, query, (200, {"return_to": target}))
    assert answer.status_code == 303
    where = answer.headers["location"].replace("\\", "/")
    there, ours = urlsplit(urljoin(site.url + CALLBACK, where)), urlsplit(site.url)
    assert (there.scheme, there.netloc) == (ours.scheme, ours.netloc)


@BOUNDED
@given(target=TARGETS)
def test_a_form_with_any_way_back_sets_out_with_a_path_of_ours(site: Site, target: str) -> None:
    started = {"authorize_url": "https://login.microsoftonline.com/t/oauth2/v2.0/authorize?x", "browser_key": "k"}
    site.apis.answers = {"POST /v1/connection/sign-in": (201, started)}
    site.apis.calls.clear()
    with site.client() as browser:
        answer = browser.post("/integrations/microsoft/connect", data={"return_to": target})
    assert answer.status_code == 303
    assert answer.headers["location"] == started["authorize_url"]
    (sent,) = site.apis.sent("POST")
    back = sent.body["return_to"]
    assert urlsplit(urljoin(site.url, back.replace("\\", "/"))).netloc == urlsplit(site.url).netloc
    assert not {*"\\\r\n\t\x00"} & {*back}
