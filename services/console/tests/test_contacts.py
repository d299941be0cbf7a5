"""What the pages of contacts and imports send to the API, and to whom they are shown."""

import re

import pytest
from fastapi.routing import APIRoute

from console import contacts, importing
from services.console.tests.books import CONNECTED, FOLDERS_PAGE, ID, OUTLOOK, PAGE, WITH_FOLDERS, contact, run
from services.console.tests.harness import Site
from services.console.tests.state import problem

READ = ["/contacts", "/contacts/proposals", f"/contacts/{ID}", f"/contacts/{ID}/delete", f"/contacts/{ID}/photo"]
READ += [
    "/contacts/import",
    FOLDERS_PAGE,
    "/contacts/imports",
    PAGE,
    f"{PAGE}/live",
    f"{PAGE}/undo",
    f"{PAGE}/problems",
]
SENT = ["/contacts/proposals", f"/contacts/{ID}", f"/contacts/{ID}/conflict", f"/contacts/{ID}/share"]
SENT += [f"/contacts/{ID}/split", f"/contacts/{ID}/delete", FOLDERS_PAGE, "/contacts/import/keep"]
SENT += [f"{PAGE}/start", f"{PAGE}/cancel", f"{PAGE}/undo"]


def test_a_preview_is_asked_for_with_the_forms_own_key(site: Site) -> None:
    site.apis.answers = WITH_FOLDERS | {"POST /v1/contacts/imports": (202, run("reading"))}
    with site.client() as browser:
        sent = {"folder": ["f1", "f3"], "share": "on", "key": ID}
        answer = browser.post(FOLDERS_PAGE, data=sent)
    assert answer.headers["location"] == PAGE
    (call,) = site.apis.sent("POST")
    assert (call.body, call.headers["idempotency-key"]) == ({"folders": ["f1", "f3"], "share": True}, ID)


def test_removals_are_confirmed_by_the_box_and_not_without(site: Site) -> None:
    site.apis.answers = {f"POST /v1/contacts/imports/{ID}/start": run("running")}
    with site.client() as browser:
        for sent in ({}, {"confirm_removals": "on"}):
            assert browser.post(f"{PAGE}/start", data=sent).headers["location"] == PAGE
    assert [call.body for call in site.apis.sent("POST")] == [{"confirm_removals": on} for on in (False, True)]


def test_only_what_was_typed_is_changed(site: Site) -> None:
    """A field that the person left alone stays Outlook's."""
    site.apis.answers = {f"PATCH /v1/contacts/{ID}": contact()}
    typed = {"job_title": "Boss", "was_job_title": "Chief", "company": "Old", "was_company": "Old", "version": "3"}
    with site.client() as browser:
        browser.post(f"/contacts/{ID}", data=typed)
    (call,) = site.apis.sent("PATCH")
    assert (call.body, call.headers["if-match"]) == ({"fields": {"job_title": "Boss"}}, '"3"')


def test_addresses_and_numbers_are_changed_in_the_form(site: Site) -> None:
    """As a browser sends it: every row that the page showed, and the empty ones."""
    home = {"street": "Ring 1", "city": "Ulm", "label": "home"}
    sets = contact()["sets"] | {"addresses": [{"key": "k", "value": home, "valid": True, "provenance": [OUTLOOK]}]}
    site.apis.answers = {f"/v1/contacts/{ID}": contact(sets=sets), f"PATCH /v1/contacts/{ID}": contact(sets=sets)}
    with site.client() as browser:
        page = browser.get(f"/contacts/{ID}").text
        sent: dict[str, list[str]] = {}
        form = page[page.index('aria-labelledby="edit"') : page.index('aria-labelledby="whose"')]
        for name, value in re.findall(r'name="([\w.]+)"[^>]*? value="([^"]*)"', form):
            sent.setdefault(name, []).append(value)
        for name, value in re.findall(r'<textarea id="[\w-]+" name="([\w.]+)"[^>]*>\n([^<]*)</textarea>', form):
            sent.setdefault(name, []).append(value)
        browser.post(f"/contacts/{ID}", data=sent)
        browser.post(f"/contacts/{ID}", data=sent | {"phones.number": ["+49 30 1"], "addresses.city": ["Bonn", ""]})
        browser.post(f"/contacts/{ID}", data=sent | {"addresses.street": ["", ""], "addresses.city": ["", ""]})
    assert [call.body for call in site.apis.sent("PATCH")] == [
        {"fields": {}},
        {"fields": {}, "phones": [{"number": "+49 30 1"}], "addresses": [home | {"city": "Bonn"}]},
        {"fields": {}, "addresses": []},
    ]


def test_one_click_takes_outlooks_value_or_keeps_ones_own(site: Site) -> None:
    site.apis.answers = {f"PATCH /v1/contacts/{ID}": contact()}
    about = {"field": "job_title", "source": "s1", "version": "3"}
    with site.client() as browser:
        for take in ("outlook", "mine"):
            browser.post(f"/contacts/{ID}/conflict", data=about | {"take": take})
    asked = [call.body for call in site.apis.sent("PATCH")]
    assert asked == [{"adopt": {"job_title": "s1"}}, {"dismiss": {"job_title": "s1"}}]


def test_a_folder_is_kept_in_step_by_its_switch(site: Site) -> None:
    site.apis.answers = CONNECTED | {"PATCH /v1/contacts/folders/f1": {}}
    with site.client() as browser:
        answer = browser.post("/contacts/import/keep", data={"folder": "f1", "on": "true"})
    assert answer.headers["location"] == FOLDERS_PAGE
    assert site.apis.sent("PATCH")[0].body == {"keep_in_step": True}


def test_a_photo_that_is_no_image_is_not_passed_on(site: Site) -> None:
    """The stand-in answers JSON, as nothing that Outlook sends may become a page of ours."""
    site.apis.answers = {f"/v1/contacts/{ID}/photo": {"html": "<script>"}}
    with site.client() as browser:
        answer = browser.get(f"/contacts/{ID}/photo")
        assert answer.headers["location"] == "/static/person.svg"
        assert browser.get(answer.headers["location"]).headers["content-type"] == "image/svg+xml"


def test_a_proposal_is_answered_with_yes_or_no(site: Site) -> None:
    other = ID.replace("0001", "0002")
    site.apis.answers = {f"POST /v1/contacts/{ID}/{what}": {} for what in ("join", "apart")}
    with site.client() as browser:
        for same in ("yes", "no"):
            browser.post("/contacts/proposals", data={"one": ID, "other": other, "same": same})
    asked = [(call.path.rpartition("/")[2], call.body) for call in site.apis.sent("POST")]
    assert asked == [("join", {"other": other}), ("apart", {"other": other})]


def test_nobody_in_particular_is_asked_to_sign_in_and_sees_nothing(site: Site) -> None:
    site.person = None
    with site.client() as browser:
        answers = [*map(browser.get, READ), *map(browser.post, SENT)]
    assert {answer.status_code for answer in answers} == {401}
    assert all("Sign in to Prospo" in answer.text for answer in answers)
    assert site.apis.calls == []


def test_every_page_of_contacts_is_named_here() -> None:
    shown = {
        (method, re.sub(r"{.*?}", ID, route.path))
        for router in (contacts.router, importing.router)
        for route in router.routes
        if isinstance(route, APIRoute)
        for method in route.methods
    }
    assert shown == {("GET", path) for path in READ} | {("POST", path) for path in SENT}


def test_an_import_of_somebody_else_is_nowhere_to_be_seen(site: Site) -> None:
    """The service answers for another person's as for none; so does each page of it."""
    path = f"/v1/contacts/imports/{ID}"
    refused = problem("import_not_found", "There is no such import of yours.", 404)
    acts = {f"POST {path}/{act}": refused for act in ("start", "cancel", "undo")}
    site.apis.answers = {path: refused, f"{path}/problems": refused} | acts
    with site.client() as browser:
        answers = [browser.get(f"{PAGE}{part}") for part in ("", "/undo", "/problems")]
        answers += [browser.post(f"{PAGE}/{act}") for act in ("start", "cancel", "undo")]
    assert [answer.status_code for answer in answers] == [404] * 6
    assert all("There is no such import of yours." in answer.text for answer in answers)


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("/contacts/proposals", {"one": "../../v1/tenant", "other": "x"}),
        (f"/contacts/{ID}/share", {"version": "3\r\nX: y", "on": "true"}),
        (f"/contacts/{ID}/delete", {"version": "\u0663"}),
        ("/contacts/import/keep", {"folder": "../../counts", "on": "true"}),
    ],
)
def test_what_no_page_of_ours_sends_is_refused_by_the_service(site: Site, path: str, sent: dict[str, str]) -> None:
    """It reaches the service as an id or version that nobody has, never as another address or header."""
    site.apis.answers = {f"/v1/contacts/{ID}": contact()}
    with site.client() as browser:
        answer = browser.post(path, data=sent)
    assert answer.status_code in {303, 404}
    (call,) = [call for call in site.apis.calls if call.method != "GET"]
    assert call.path.startswith("/v1/contacts/")
    assert ".." not in call.path or call.path.startswith("/v1/contacts/folders/")
    assert call.headers.get("if-match", '"0"') == '"0"'


def test_long_notes_can_be_changed_and_kept(site: Site) -> None:
    """Browsers send each line with CR and LF, and a letter of another script takes nine bytes."""
    site.apis.answers = {f"PATCH /v1/contacts/{ID}": contact()}
    notes = "\u65e5\r\n" * 30_000
    with site.client() as browser:
        for typed in (notes, notes + "more"):
            answer = browser.post(f"/contacts/{ID}", data={"notes": typed, "was_notes": notes, "version": "3"})
            assert answer.headers["location"] == f"/contacts/{ID}?done=saved"
    fields = [call.body["fields"] for call in site.apis.sent("PATCH")]
    assert fields == [{}, {"notes": "\u65e5\n" * 30_000 + "more"}]
