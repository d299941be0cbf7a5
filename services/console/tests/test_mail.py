"""What the pages of mail send to the API, what a frame may do, and to whom the pages are shown."""

import re

import pytest
from fastapi.routing import APIRoute
from starlette.responses import Response

from console import conversations, mailbox, outbox, writing
from services.console.tests.harness import Site
from services.console.tests.letters import (
    ANSWERED,
    BODY,
    CONNECTED,
    ID,
    MAILBOX,
    OUTBOX,
    PAGE,
    SENT,
    WRITE,
    WRITING,
    body,
    listed,
    mail,
    message,
    whole,
)
from services.console.tests.state import problem

FILE = f"/mail/messages/{ID}/attachments/A%2FB="
READ = ["/mail", PAGE, BODY, FILE, WRITE, "/mail/outbox", OUTBOX, f"{OUTBOX}/live", MAILBOX, f"{MAILBOX}/folders"]
POSTED = [
    f"{PAGE}/share",
    WRITE,
    f"{OUTBOX}/cancel",
    f"{OUTBOX}/send-again",
    f"{MAILBOX}/refresh",
    f"{MAILBOX}/folders",
]


def test_a_mail_is_sent_with_the_forms_own_key_and_once_to_each_list(site: Site) -> None:
    site.apis.answers = WRITING | {"POST /v1/mail": (202, mail("queued"))}
    people = {"to": "Ben Berg <ben@x.example>, carl@x.example", "cc": "dana@x.example", "bcc": "eve@x.example"}
    with site.client() as browser:
        typed = SENT | people | {"body": "Here\r\n& now", "file": "f1", "file_name": "a.pdf", "file_size": "3"}
        answer = browser.post(WRITE, data=typed)
    assert answer.headers["location"] == OUTBOX
    (call,) = site.apis.sent("POST")
    assert call.headers["idempotency-key"] == ID
    assert call.body == {
        "to": [{"email": "ben@x.example", "name": "Ben Berg"}, {"email": "carl@x.example"}],
        "cc": [{"email": "dana@x.example"}],
        "bcc": [{"email": "eve@x.example"}],
        "subject": "Offer <b>",
        "body": "Here\n& now",
        "files": ["f1"],
    }


def test_an_answer_names_the_message_and_leaves_its_recipients_to_outlook(site: Site) -> None:
    site.apis.answers = ANSWERED | {"POST /v1/mail": (202, mail("queued"))}
    with site.client() as browser:
        page = browser.get(f"{WRITE}?conversation={ID}&message={ID}&everybody=true").text
        sent = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page))
        browser.post(WRITE, data=sent | {"body": "Yes."})
    (call,) = site.apis.sent("POST")
    assert call.body == {
        "subject": "",
        "body": "Yes.",
        "files": [],
        "answers": {"message_id": "AAMk=", "everybody": True},
    }


def test_without_javascript_files_come_and_go_and_the_text_stays(site: Site) -> None:
    made = {"id": "f9", "name": "offer.pdf", "media_type": "application/pdf", "size_bytes": 4}
    site.apis.answers = WRITING | {"POST /v1/mail/files": (201, made)}
    with site.client() as browser:
        upload = {"upload": ("C:\\temp\\offer.pdf", b"%PDF", "application/pdf")}
        page = browser.post(WRITE, data=SENT | {"attach": "true"}, files=upload).text
        (call,) = site.apis.sent("POST")
        assert (call.path, call.body, call.headers["content-length"]) == ("/v1/mail/files", b"%PDF", "4")
        assert 'name="file" value="f9"' in page
        assert "Here &amp; now" in page
        held = {"file": "f9", "file_name": "offer.pdf", "file_size": "4"}
        again = browser.post(WRITE, data=SENT | held | {"remove": "f9"}, files={"upload": ("", b"")}).text
    assert 'name="file"' not in again
    assert "Here &amp; now" in again
    assert len(site.apis.sent("POST")) == 1


def test_a_file_that_the_service_refuses_is_said_beside_the_files(site: Site) -> None:
    refusal = problem("file_too_large", "A file may have 150 MB.", 413)
    site.apis.answers = WRITING | {"POST /v1/mail/files": refusal}
    with site.client() as browser:
        answer = browser.post(WRITE, data=SENT, files={"upload": ("a.bin", b"x" * 3_000_000)})
    assert answer.status_code == 413
    assert 'id="files-fault"' in answer.text
    assert "ben@x.example" in answer.text
    assert [call.path for call in site.apis.sent("POST")] == ["/v1/mail/files"]


def test_the_form_of_a_mail_may_be_larger_than_others_and_is_bounded_too(open_site) -> None:  # type: ignore[no-untyped-def]
    site = open_site(mail_form_limit_bytes=4_000_000)
    site.apis.answers = WRITING | {"POST /v1/mail/files": problem("x", "Refused there.", 409)}
    with site.client() as browser:
        sizes = {size: browser.post(WRITE, files={"upload": ("a", b"x" * size)}) for size in (3_000_000, 5_000_000)}
        other = browser.post(f"{PAGE}/share", data={"on": "x" * 3_000_000})
    assert {size: answer.status_code for size, answer in sizes.items()} == {3_000_000: 409, 5_000_000: 413}
    assert other.status_code == 413


def test_a_mails_frame_runs_nothing_and_loads_only_what_was_asked_for(site: Site) -> None:
    site.apis.answers = {f"/v1/mail/messages/{ID}/body": body(held_images=2)}
    with site.client() as browser:
        held, shown = (browser.get(f"{BODY}{more}").headers for more in ("", "?images=shown"))
    policies = [headers["Content-Security-Policy"].split("; ") for headers in (held, shown)]
    for policy in policies:
        assert policy[0] == "default-src 'none'"
        assert "frame-ancestors 'self'" in policy
        assert not any(part.startswith("script-src") for part in policy)
        (sandbox,) = [part for part in policy if part.startswith("sandbox")]
        assert not {"allow-scripts", "allow-forms", "allow-top-navigation"} & set(sandbox.split())
    assert ["img-src 'self' data:" in policy for policy in policies] == [True, False]
    assert "img-src 'self' data: https: http:" in policies[1]
    assert {headers["Referrer-Policy"] for headers in (held, shown)} == {"no-referrer"}
    asked = [call.path for call in site.apis.calls if call.path.endswith("/body")]
    assert len(asked) == 2


@pytest.mark.parametrize("kind", ["text/html", "image/svg+xml", "image/png"])
def test_a_file_of_a_mail_is_saved_and_never_shown_as_a_page_of_ours(site: Site, kind: str) -> None:
    headers = {"Content-Disposition": "inline; filename*=UTF-8''a%20b.html"}
    path = f"/v1/mail/messages/{ID}/attachments/A/B="
    site.apis.answers = {path: lambda: Response(b"<script>1</script>", media_type=kind, headers=headers)}
    with site.client() as browser:
        answer = browser.get(FILE)
    assert answer.content == b"<script>1</script>"
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''a%20b.html"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_file_that_is_gone_in_outlook_is_said_on_a_page(site: Site) -> None:
    site.apis.answers = {f"/v1/mail/messages/{ID}/attachments/A/B=": problem("gone_in_outlook", "It is gone.", 404)}
    with site.client() as browser:
        answer = browser.get(FILE)
    assert answer.status_code == 404
    assert "It is gone." in answer.text


def test_a_conversation_is_shared_with_the_tag_it_was_shown_with(site: Site) -> None:
    site.apis.answers = listed() | {
        f"/v1/mail/conversations/{ID}": whole(message()),
        f"PATCH /v1/mail/conversations/{ID}": {},
    }
    with site.client() as browser:
        page = browser.get(PAGE).text
        sent = dict(re.findall(r'name="(etag|on)" value="([^"]*)"', page.replace("&#34;", "'")))
        for etag in (sent["etag"].replace("'", '"'), 'x"\r\nX: y'):
            answer = browser.post(f"{PAGE}/share", data={"etag": etag, "on": sent["on"]})
            assert answer.headers["location"] == f"{PAGE}?done=shared"
    calls = site.apis.sent("PATCH")
    assert [(call.body, call.headers["if-match"]) for call in calls] == [
        ({"shared": True}, '"7"'),
        ({"shared": True}, '"-"'),
    ]


def test_a_folder_is_followed_by_its_switch(site: Site) -> None:
    site.apis.answers = CONNECTED | {"PUT /v1/mail/mailbox/folders/f/2": {}}
    with site.client() as browser:
        browser.post(f"{MAILBOX}/folders", data={"folder": "f/2", "on": "true"})
    (call,) = site.apis.sent("PUT")
    assert (call.path, call.body) == ("/v1/mail/mailbox/folders/f/2", {"followed": True})


def test_the_navigation_has_mail(site: Site) -> None:
    site.apis.answers = CONNECTED | {"/v1/contacts": {"items": []}}
    with site.client() as browser:
        assert 'href="/mail"' in browser.get("/contacts").text


def test_nobody_in_particular_is_asked_to_sign_in_and_sees_no_mail(site: Site) -> None:
    site.person = None
    with site.client() as browser:
        answers = [*map(browser.get, READ), *map(browser.post, POSTED)]
    assert {answer.status_code for answer in answers} == {401}
    assert site.apis.calls == []


def test_every_page_of_mail_is_named_here() -> None:
    shown = {
        (method, re.sub(r"{.*?}", ID, route.path))
        for router in (conversations.router, writing.router, outbox.router, mailbox.router)
        for route in router.routes
        if isinstance(route, APIRoute)
        for method in route.methods
    }
    named = {("GET", path) for path in READ} | {("POST", path) for path in POSTED}
    assert shown == {(method, path.replace("A%2FB=", ID)) for method, path in named}
