"""Where the page of a refusal leads: always on, and to a page that opens."""

import re
from typing import Any

import httpx
import pytest

from services.console.tests.books import FOLDERS, ROWS, contact, run
from services.console.tests.harness import Site
from services.console.tests.states import CARD, CONNECTED, FORM, ID, SWITCH, meeting, problem
from services.console.tests.test_protection import BACK, GRANT, HELD, OpenSite, cookies_of

OUTLOOK = "/integrations/microsoft"
ACTS = ("start", "cancel", "undo")
FORMS: list[tuple[str, dict[str, str], str]] = [
    (f"{CARD}/connect", {}, "POST /v1/tenant/consent"),
    (f"{CARD}/features", SWITCH, "PATCH /v1/tenant/features"),
    (f"{CARD}/disconnect", {}, "DELETE /v1/tenant"),
    (f"{CARD}/link", {}, "POST /v1/tenant/consent/link"),
    (f"{CARD}/link/revoke", {}, "DELETE /v1/tenant/consent/link"),
    (GRANT, HELD, "POST /v1/tenant/consent/link/start"),
    (f"{OUTLOOK}/connect", {}, "POST /v1/connection/sign-in"),
    (f"{OUTLOOK}/check", {}, "POST /v1/connection/check"),
    (f"{OUTLOOK}/disconnect", {}, "DELETE /v1/connection"),
    (f"/meetings/{ID}/cancel", {}, f"DELETE /v1/meetings/{ID}"),
    ("/contacts/proposals", {"one": ID, "other": ID, "same": "yes"}, f"POST /v1/contacts/{ID}/join"),
    ("/contacts/proposals", {"one": ID, "other": ID}, f"POST /v1/contacts/{ID}/apart"),
    (f"/contacts/{ID}/split", {"source": "s1"}, f"POST /v1/contacts/{ID}/split"),
    (f"/contacts/{ID}/delete", {"version": "3"}, f"DELETE /v1/contacts/{ID}"),
    ("/contacts/import/keep", {"folder": "f1", "on": "true"}, "PATCH /v1/contacts/folders/f1"),
    *((f"/contacts/imports/{ID}/{act}", {}, f"POST /v1/contacts/imports/{ID}/{act}") for act in ACTS),
]
INVITATION = {
    "organisation": "Acme",
    "invited_by": "Ada",
    "tenant": "contoso.com",
    "expires_at": "2026-03-10T09:00:00Z",
}
THERE: dict[str, Any] = CONNECTED | {"POST /v1/tenant/consent/link/open": INVITATION}
THERE |= {f"/v1/meetings/{ID}": meeting("scheduled"), f"/v1/contacts/{ID}": contact()}
THERE |= {"/v1/contacts/proposals": {"items": []}, "/v1/contacts/folders": FOLDERS}
THERE |= {f"/v1/contacts/imports/{ID}": run("planned"), f"/v1/contacts/imports/{ID}/rows": {"items": ROWS}}
SIGN_IN_FIRST = {"code": "not_signed_in", "detail": "Sign in."}


def ways_on(answer: httpx.Response) -> list[str]:
    return re.findall(r'<a class="button[^"]*" href="([^"]+)"', answer.text)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(("form", "data", "api"), FORMS)
def test_a_form_that_was_not_taken_leads_to_a_page_that_opens(
    site: Site, form: str, data: dict[str, str], api: str, status: int
) -> None:
    site.apis.answers = THERE | {api: problem("no", "Not now.", status)}
    with site.client() as browser:
        answer = browser.post(form, data=data)
        assert answer.status_code == status
        assert "Not now." in answer.text
        assert [browser.get(way).status_code for way in ways_on(answer)] == [200]


def test_a_page_that_was_asked_for_too_often_can_be_tried_again(site: Site) -> None:
    site.apis.answers = {"/v1/meetings": problem("too_many_requests", "Wait a minute.", 429)}
    with site.client() as browser:
        assert ways_on(browser.get("/meetings")) == ["/meetings"]


def test_who_schedules_too_often_keeps_what_was_typed(site: Site) -> None:
    site.apis.answers = CONNECTED | {"POST /v1/meetings": problem("too_many_requests", "Wait a minute.", 429)}
    with site.client() as browser:
        answer = browser.post("/meetings", data=FORM)
    assert "Wait a minute." in answer.text
    assert f'name="key" value="{ID}"' in answer.text


@pytest.mark.parametrize(("base", "cookie", "api"), BACK)
@pytest.mark.parametrize(
    ("refusal", "said"),
    [((401, SIGN_IN_FIRST), "You are not signed in"), ((429, {"detail": "Wait a minute."}), "Reload this page")],
)
def test_who_has_to_sign_in_or_to_wait_first_can_open_the_way_back_again(
    site: Site, base: str, cookie: str, api: str, refusal: Any, said: str
) -> None:
    with site.client(Cookie=f"{cookie}=k-1") as browser:
        site.apis.answers = {f"POST {api}": refusal}
        answer = browser.get(f"{base}/callback?state=s&code=c")
        assert answer.status_code == refusal[0]
        assert said in answer.text
        assert cookies_of(answer) == {}
        site.apis.answers = {f"POST {api}": {"return_to": "/meetings/new"}}
        assert browser.get(f"{base}/callback?state=s&code=c").headers["location"] == "/meetings/new"


def test_who_signed_in_with_another_account_may_go_back_or_disconnect(site: Site) -> None:
    site.apis.answers = {"POST /v1/connection/complete": problem("another_account", "Your connection is to Anna.")}
    with site.client(Cookie="prospo_sign_in=k-1; prospo_sign_in_return=/meetings/new") as browser:
        answer = browser.get(f"{OUTLOOK}/callback?state=s&code=c")
    assert ways_on(answer) == ["/meetings/new", f"{OUTLOOK}/disconnect"]


@pytest.mark.parametrize("path", [CARD, OUTLOOK])
def test_a_service_that_waits_for_microsofts_sign_in_is_waited_for(open_site: OpenSite, path: str) -> None:
    site = open_site(call_timeout_s=0.2)
    site.apis.takes_s = 0.5
    apis = [f"POST {api}" for _, _, api in BACK] + ["DELETE /v1/tenant", "DELETE /v1/connection"]
    site.apis.answers = {api: {} for api in apis} | CONNECTED
    with site.client(Cookie="prospo_consent=k-1; prospo_sign_in=k-1") as browser:
        assert browser.get(f"{path}/callback?state=s").status_code == 303
        assert browser.post(f"{path}/disconnect").status_code == 303
        assert browser.get("/meetings").status_code == 503
