"""What the pages of contacts and imports send to the API."""

from services.console.tests.books import CONNECTED, FOLDERS_PAGE, ID, PAGE, WITH_FOLDERS, contact, run
from services.console.tests.harness import Site


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
