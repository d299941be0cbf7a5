"""Mail as no program should write it, and as some do: kept, told apart and shown, or its state says what is missing."""

from typing import Any

from services.mail.tests.post_office import ADA, ANNA, BO

MB = 1024 * 1024
MANY = [{"emailAddress": {"name": f"P{n}", "address": f"p{n}@many.example"}} for n in range(500)]
HEADERS = [{"name": "References", "value": "not <an id> <<>> " + "<x@y.example>" * 3}]
ODD: dict[str, dict[str, Any]] = {
    "no id": {"internetMessageId": None, "conversationId": None},
    "no id either": {"internetMessageId": "", "conversationId": None},
    "no subject": {"subject": None},
    "a charset that lies": {"bodyPreview": "Gr\ufffd\ufffde \x00", "body": {"contentType": "text", "content": "\x00"}},
    "500 people": {"toRecipients": MANY},
    "people that are none": {"ccRecipients": [{}, {"emailAddress": {"name": "x"}}, {"emailAddress": {"address": "@"}}]},
    "an address in capitals": {"from": {"emailAddress": {"name": "ADA", "address": ADA.upper()}}},
    "references that are none": {"internetMessageHeaders": HEADERS},
    "HTML of 10 MB": {"body": {"contentType": "html", "content": "<p>" + "x" * 10 * MB + "</p>"}},
}
"""What is odd about a mail from Ada → what Microsoft tells of it."""


async def test_odd_mail_is_kept_each_in_a_conversation_of_its_own(house: Any) -> None:
    post = await house.follow()
    store, inbox = house.simulator.store, f"messages/{house.token(ANNA)['oid']}"
    for name, odd in ODD.items():
        made = await post.arrives(ADA, name)
        (row,) = (row for row in store.all(inbox) if made["immutable"] in {row["id"], row.get("immutable")})
        store.put(inbox, row["id"], row | {"body": row["body"] | odd})
    await post.look()
    shown = await post.conversations(limit=100)
    assert len(shown) == len(ODD)
    assert {one["messages"] for one in shown} == {1}
    assert all(one["contact_ids"] == ["c-ada"] for one in shown)
    too_large = []
    for one in shown:
        (message,) = (await post.conversation(one))["messages"]
        body = await house.call("GET", f"/v1/mail/messages/{message['id']}/body")
        if body.status_code == 409:
            too_large.append((one["subject"], body.json()["code"], message["has_body"]))
        else:
            assert body.status_code == 200, (one["subject"], body.text)
    assert too_large == [("HTML of 10 MB", "text_not_kept", False)]
    mailbox = await post.mailbox()
    assert (mailbox["state"], mailbox["skipped"]) == ("in_step", {"text_too_large": 1})


async def test_mails_too_large_to_be_read_together_are_read_apart(house: Any) -> None:
    """What Microsoft answers to twenty requests in one may be longer than any answer is read; so may one mail be."""
    post = await house.follow()
    store, inbox = house.simulator.store, f"messages/{house.token(ANNA)['oid']}"
    sizes = [MB, 9 * MB, 8 * MB, 17 * MB, 10]
    for number, size in enumerate(sizes):
        made = await post.arrives(ADA, f"Mail {number}", text="Dear Anna")
        (row,) = (row for row in store.all(inbox) if made["immutable"] in {row["id"], row.get("immutable")})
        text = {"contentType": "html", "content": "<p>" + "x" * size + "</p>"}
        store.put(inbox, row["id"], row | {"body": row["body"] | {"body": text, "uniqueBody": text | {"content": ""}}})
    await post.look()
    assert await post.subjects() == [(f"Mail {number}", 1) for number in range(len(sizes))]
    kept = {one["subject"]: one for one in await house.rows("message")}
    assert [kept[f"Mail {number}"]["body"] is not None for number in range(len(sizes))] == [
        size != 17 * MB for size in sizes
    ]
    assert (await post.mailbox())["skipped"] == {"text_too_large": 1}
    assert (await post.mailbox())["state"] == "in_step"


async def test_a_mail_within_a_mail_is_a_file_of_it(house: Any) -> None:
    """``message/rfc822``, and one within that: neither is taken for a message of the mailbox."""
    post = await house.follow()
    inmost = {"@odata.type": "#microsoft.graph.message", "subject": "Inmost"}
    held = {"@odata.type": "#microsoft.graph.itemAttachment", "name": "Inmost", "item": inmost}
    inner = {"@odata.type": "#microsoft.graph.message", "subject": "Inner", "attachments": [held]}
    attached = {"@odata.type": "#microsoft.graph.itemAttachment", "name": "Inner", "item": inner}
    await post.writes(BO, subject="Outer", attachments=[attached])
    await post.look()
    (one,) = await post.conversations()
    assert (one["subject"], one["messages"], one["has_attachments"]) == ("Outer", 1, True)
    (message,) = (await post.conversation(one))["messages"]
    (file,) = message["attachments"]
    assert (file["name"], file["inline"]) == ("Inner", False)
    answer = await house.call("GET", f"/v1/mail/messages/{message['id']}/attachments/{file['id']}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/octet-stream"
    assert "Subject: Inner" in answer.text
