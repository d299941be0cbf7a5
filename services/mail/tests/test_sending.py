"""Sending as the user: what goes out, what it says of itself, and what is refused before anything is asked."""

from typing import Any

import pytest

ANNA, BEN, CARL = "anna@contoso.example", "ben@contoso.example", "carl@fabrikam.example"


async def test_a_mail_goes_out_once_and_is_seen_in_sent_items(house: Any) -> None:
    """M3: the recipient sees the user's own address and name, and the user has the copy."""
    await house.connect()
    people = {"to": [{"email": "Ben@CONTOSO.example", "name": "Ben"}], "cc": [{"email": BEN}], "bcc": [{"email": CARL}]}
    mail = await house.send(**people, subject="Grüße", body="<p>Suppe</p>", content_type="html")
    assert (mail["status"], mail["may_cancel"]) == ("queued", True)
    assert [(one["kind"], one["email"]) for one in mail["recipients"]] == [("to", "Ben@contoso.example"), ("bcc", CARL)]
    await house.work()
    mail = await house.mail(mail)
    assert (mail["status"], mail["problem"], mail["may_cancel"]) == ("accepted", None, False)
    await house.pass_time(31)
    mail = await house.mail(mail)
    assert mail["status"] == "seen_in_sent"
    assert [step["what"] for step in mail["history"]] == ["drafted", "sending", "accepted", "seen_in_sent"]
    assert mail["history"][0]["request_id"], "what Microsoft's support asks for"
    (arrived,) = await house.folder(BEN, "inbox")
    assert arrived["from"]["emailAddress"] == {"name": "Anna Andersson", "address": ANNA}
    assert (arrived["subject"], arrived["ccRecipients"], arrived["bccRecipients"]) == ("Grüße", [], [])
    assert "Suppe" in arrived["body"]["content"]
    (kept,) = await house.folder(ANNA, "sentitems")
    assert kept["internetMessageId"] == arrived["internetMessageId"]
    assert await house.folder(ANNA, "drafts") == []
    (told,) = await house.published("mail.sent")
    assert (told["mail_id"], told["conversation_id"]) == (mail["id"], kept["conversationId"])
    assert not {"subject", "recipients", "body"} & set(told)
    await house.settle_down()
    assert {one["kind"] for one in await house.jobs()} == {"sync_mailbox"}
    calls = await house.asked("", "/messages") - await house.asked("", "/delta")
    assert calls == 3, "draft, send and one look: one call more than without looking"


async def test_the_same_key_is_the_same_mail(house: Any) -> None:
    await house.connect()
    first = await house.send(key="k")
    await house.work()
    again = await house.send(key="k")
    assert (again["id"], again["status"]) == (first["id"], "accepted")
    other = await house.call("POST", "/v1/mail", **house.asks(key="k", subject="Other"))
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_key_reused")
    without = house.asks() | {"headers": {}}
    assert (await house.call("POST", "/v1/mail", **without)).json()["code"] == "idempotency_key_required"
    await house.pass_time(60)
    assert len(await house.folder(BEN, "inbox")) == 1


async def test_a_mail_is_cancelled_until_microsoft_is_asked(house: Any) -> None:
    await house.connect()
    mail = await house.send()
    assert (await house.act(mail, "cancel")).json()["status"] == "cancelled"
    assert (await house.act(mail, "cancel")).status_code == 200
    await house.work()
    assert await house.asked("POST", "/messages") == 0
    late = await house.sent()
    refused = await house.act(late, "cancel")
    assert (refused.status_code, refused.json()["code"]) == (409, "too_late")
    await house.pass_time(60)
    assert len(await house.folder(BEN, "inbox")) == 1
    assert [row["id"] for row in (await house.call("GET", "/v1/mail")).json()["items"]] == [late["id"], mail["id"]]


async def test_a_cancel_during_the_draft_leaves_no_draft(house: Any) -> None:
    await house.connect()
    mail = await house.send()

    async def cancel() -> None:
        assert (await house.act(mail, "cancel")).status_code == 200

    house.wire.during("POST", "/me/messages", cancel)
    await house.work()
    house.wire.instead = None
    assert (await house.mail(mail))["status"] == "cancelled"
    await house.settle_down()
    assert await house.folder(ANNA, "drafts") == await house.folder(BEN, "inbox") == []
    assert {one["kind"] for one in await house.jobs()} == {"sync_mailbox"}


async def test_a_reply_stands_in_the_thread_with_its_headers_and_quote(house: Any) -> None:
    """M4: the recipient's mail program puts it to the conversation that is there."""
    await house.connect()
    theirs = {"subject": "Offer", "body": {"contentType": "text", "content": "100 or 90?"}}
    people = [{"emailAddress": {"address": address}} for address in (ANNA, CARL)]
    sent = await house.at(BEN).post("/me/sendMail", json={"message": theirs | {"toRecipients": people}})
    assert sent.status_code == 202
    await house.microsoft.advance(60)
    (original,) = await house.folder(ANNA, "inbox")
    answers = {"message_id": original["id"], "everybody": True}
    mail = await house.sent(to=[], subject="", body="90, please.", answers=answers)
    assert mail["status"] == "accepted", mail
    await house.pass_time(60)
    (arrived,) = await house.folder(BEN, "inbox", **{"$select": "subject,body,toRecipients,internetMessageHeaders"})
    headers = {one["name"]: one["value"] for one in arrived["internetMessageHeaders"]}
    assert headers["References"] == original["internetMessageId"]
    assert arrived["subject"] == "RE: Offer"
    assert arrived["body"]["content"].index("90, please.") < arrived["body"]["content"].index("100 or 90?")
    assert {one["emailAddress"]["address"] for one in arrived["toRecipients"]} == {BEN, CARL}
    (kept,) = await house.folder(ANNA, "sentitems")
    assert kept["conversationId"] == original["conversationId"] == (await house.mail(mail))["conversation_id"]
    gone = await house.sent(to=[], answers=answers | {"message_id": "AAkNothing"})
    assert (gone["status"], gone["problem"]["code"]) == ("failed", "original_gone")


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({"to": []}, "no_recipients"),
        ({"to": [{"email": f"p{n}@x.example"} for n in range(501)]}, "too_many_recipients"),
        ({"to": [{"email": "nobody"}]}, "to.0.email"),
        ({"to": [{"email": "a@b@c.example"}]}, "to.0.email"),
        ({"to": [{"email": "ben@contoso.example\r\nBcc: all@contoso.example"}]}, "to.0.email"),
        ({"to": [{"email": BEN, "name": "Ben\r\nBcc: all@contoso.example"}]}, "to.0.name"),
        ({"subject": "Lunch\r\nBcc: all@contoso.example"}, "subject"),
        ({"body": "x" * 1_000_001}, "text_too_long"),
        ({"body": "a\x00b"}, "body"),
        ({"files": ["not-there"]}, "file_not_found"),
        ({"content_type": "rtf"}, "content_type"),
        ({"answers": {"everybody": True}}, "answers.message_id"),
    ],
)
async def test_what_cannot_be_sent_is_refused_with_the_field(house: Any, wanted: Any, says: str) -> None:
    await house.connect()
    refused = await house.call("POST", "/v1/mail", **house.asks(**wanted))
    assert refused.status_code in {413, 422}, refused.text
    problem = refused.json()
    assert says in {problem["code"], *(error["field"] for error in problem.get("errors", []))}
    assert (await house.call("GET", "/v1/mail")).json()["items"] == []


async def test_a_mail_to_as_many_as_allowed_goes_to_each_once(house: Any) -> None:
    await house.connect()
    people = [{"email": f"p{n}@x.example"} for n in range(499)] + [{"email": BEN}, {"email": BEN.upper()}]
    mail = await house.sent(to=people)
    (kept,) = await house.folder(ANNA, "sentitems")
    addresses = {one["emailAddress"]["address"].lower() for one in kept["toRecipients"]}
    assert (mail["status"], len(kept["toRecipients"]), len(addresses)) == ("accepted", 500, 500)


async def test_limits_are_said_before_anything_is_uploaded(house: Any) -> None:
    said = (await house.call("GET", "/v1/mail/limits")).json()
    assert (said["recipients_max"], said["file_max_bytes"]) == (500, 150 * 1024 * 1024)


@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        ({"code": "ErrorInvalidRecipients", "status": 400}, "recipients_refused"),
        ({"code": "ErrorMessageSizeExceeded", "status": 413}, "too_large"),
        ({"code": "ErrorSendAsDenied", "status": 403}, "send_as_denied"),
        ({"code": "MailboxNotEnabledForRESTAPI", "status": 404}, "no_mailbox"),
        ({"code": "ErrorQuotaExceeded", "status": 403}, "mailbox_full"),
        ({"code": "ErrorSomethingElse", "status": 400}, "microsoft_refused"),
    ],
)
async def test_what_microsoft_refuses_is_failed_with_the_reason(house: Any, refusal: Any, code: str) -> None:
    await house.connect()
    await house.microsoft.fault("refused", match={"path": "*/send"}, **refusal)
    mail = await house.sent()
    assert (mail["status"], mail["problem"]["code"], mail["may_send_again"]) == ("failed", code, True)
    assert "Nothing was sent." in mail["problem"]["detail"]
    assert [told["code"] for told in await house.published("mail.failed")] == [code]
    assert await house.folder(ANNA, "drafts") == []
    assert (await house.act(mail, "send-again")).json()["status"] == "queued"
    await house.settle_down()
    assert (await house.mail(mail))["status"] == "seen_in_sent"
    assert len(await house.folder(BEN, "inbox")) == 1
    assert (await house.act(mail, "send-again")).json()["code"] == "not_to_be_sent_again"


async def test_a_throttled_send_goes_out_when_microsoft_says_so(house: Any) -> None:
    await house.connect()
    await house.microsoft.fault("throttle", match={"path": "*/send"}, retry_after=300)
    mail = await house.sent()
    assert (mail["status"], mail["problem"]) == ("queued", None)
    assert (await house.jobs("send_mail"))[0]["attempt"] == 0, "waiting for Microsoft is not held against it"
    await house.pass_time(301)
    await house.settle_down()
    assert (await house.mail(mail))["status"] == "seen_in_sent"
    assert len(await house.folder(BEN, "inbox")) == 1


async def test_a_mail_of_anna_is_nobody_elses(house: Any) -> None:
    await house.connect()
    mail = await house.send()
    for what, method in (("", "GET"), ("/cancel", "POST"), ("/send-again", "POST")):
        for who in ({"user": "ben"}, {"org": "globex"}):
            assert (await house.call(method, f"/v1/mail/{mail['id']}{what}", **who)).status_code == 404
    assert (await house.call("GET", "/v1/mail", user="ben")).json()["items"] == []
    file = await house.uploaded("a.txt", b"private")
    stolen = await house.call("POST", "/v1/mail", **house.asks("ben", to=[{"email": CARL}], files=[file]))
    assert stolen.json()["code"] == "file_not_found"
    assert (await house.call("DELETE", f"/v1/mail/files/{file}", user="ben")).status_code == 404


async def test_the_text_of_a_mail_is_sealed_at_rest(house: Any) -> None:
    await house.connect()
    await house.send(body="unmistakable", files=[await house.uploaded("a.txt", b"unmistakable too")])
    kept = [*await house.rows("outgoing_mail"), *await house.rows("mail_file_part"), *await house.rows("job")]
    assert kept
    assert b"unmistakable" not in b"".join(
        value if isinstance(value, bytes) else str(value).encode() for row in kept for value in row.values()
    )
