"""Whose mail it is: its owner's alone, unless they share a conversation; the database holds that by itself too."""

from typing import Any

from sqlalchemy import text

from mail import conversation_queries
from services.mail.tests.post_office import ADA, ANNA, BO

BEN = "ben@contoso.example"


async def test_the_mail_of_one_person_is_never_shown_to_another(house: Any) -> None:
    """M13. Unless its owner shares the conversation, and for as long."""
    post = await house.follow()
    await post.arrives(ADA, "Offer", text="100 or 90?")
    await post.look()
    (offer,) = await post.conversations()
    (message,) = (await post.conversation(offer))["messages"]
    paths = (f"conversations/{offer['id']}", f"messages/{message['id']}/body")
    paths += (f"messages/{message['id']}/attachments/a",)
    assert await post.conversations("ben") == []
    for path in paths:
        assert (await house.call("GET", f"/v1/mail/{path}", user="ben")).status_code == 404, path
        assert (await house.call("GET", f"/v1/mail/{path}", org="globex")).status_code == 404, path
    shared = await post.share(offer)
    assert (shared.status_code, shared.json()["shared"]) == (200, True)
    (seen,) = await post.conversations("ben")
    assert (seen["mine"], seen["owner_id"], seen["contact_ids"]) == (False, "anna", [])
    (shown,) = (await post.conversation(seen, "ben"))["messages"]
    assert (shown["preview"], shown["message_id"]) == ("100 or 90?", None)
    assert (await house.call("GET", f"/v1/mail/{paths[1]}", user="ben")).json()["text"] == "100 or 90?"
    assert await post.conversations("ben", contact_id="c-ada") == [], "nor are Anna's contacts"
    refused = await house.call("PATCH", f"/v1/mail/{paths[0]}", user="ben", json={"shared": False})
    assert (refused.status_code, refused.json()["code"]) == (409, "not_yours")
    await post.arrives(ADA, "Offer", user=ANNA)
    await post.look()
    assert len(await post.conversations("ben")) == 1, "what is not of the conversation stays Anna's"
    await post.share(seen, on=False)
    assert await post.conversations("ben") == []


async def test_sharing_wants_the_version_that_was_read(house: Any) -> None:
    post = await house.follow()
    await post.arrives(ADA)
    await post.look()
    (offer,) = await post.conversations()
    path = f"/v1/mail/conversations/{offer['id']}"
    tag = (await house.call("GET", path)).headers["ETag"]
    assert (await house.call("PATCH", path, json={"shared": True})).status_code == 428
    await post.share(offer)
    late = await house.call("PATCH", path, json={"shared": False}, headers={"If-Match": tag})
    assert (late.status_code, late.json()["code"]) == (412, "conversation_changed")


async def test_the_database_itself_shows_nobody_elses_mail(house: Any) -> None:
    """Without any condition on the person, as when a query forgets it; nor does it let anybody write there."""
    post = await house.follow()
    await post.arrives(ADA)
    await post.look()
    db = house.service.db
    wanted = [("anna", "acme", True), ("ben", "acme", False), ("", "acme", False), ("anna", "globex", False)]
    await house.sent(files=[await house.uploaded("a.txt", b"a")])
    await house.uploaded("b.txt", b"b")
    own = ("conversation", "message", "message_reference")
    of_jobs = ("outgoing_mail", "mail_step", "mail_file", "mail_file_part", "request_key", "mailbox", "mailbox_folder")
    for table in (*own, *of_jobs, "folder_health", "contact_address"):
        count = text(f"SELECT count(*) FROM {table} WHERE user_id = 'anna'")
        for user, org, there in wanted:
            async with db.unit_of_work(org, user) as work:
                seen = (await work.session.execute(count)).scalar_one() > 0
            assert seen is (there or (table not in own and (user, org) == ("", "acme"))), (table, user, org)
    (offer,) = await post.conversations()
    await post.share(offer)
    async with db.unit_of_work("acme", "ben") as work:
        await conversation_queries.share(work.session, "acme", offer["id"], on=False)
        deleted = await work.session.execute(text("DELETE FROM message RETURNING id"))
        assert list(deleted) == []
    assert len(await post.conversations("ben")) == 1


async def test_one_thread_in_two_mailboxes_joins_where_it_is_shared(house: Any) -> None:
    """A mail to Anna and Ben, Ada's answer to Anna alone: Ben sees it when Anna shares, and each mail once."""
    post = await house.follow()
    await post.knows("b-ada", ADA, user="ben")
    await post.writes(ADA, BEN, subject="Plan")
    await house.work()
    await post.look()
    (sent,) = await post.conversations()
    sent_id = next(one["message_id"] for one in (await post.conversation(sent))["messages"])
    await post.arrives(ADA, "RE: Plan", reply_to=sent_id)
    await post.look()
    assert (await post.subjects(), await post.subjects("ben")) == ([("Plan", 2)], [("Plan", 1)])
    (own,) = await post.conversations("ben")
    assert len((await post.conversation(own, "ben"))["messages"]) == 1
    await post.share(sent)
    assert await post.subjects("ben") == [("Plan", 1)], "Ben's own conversation stands for both"
    joined = (await post.conversation(own, "ben"))["messages"]
    assert [one["subject"] for one in joined] == ["Plan", "RE: Plan"]
    assert len((await post.conversation(sent))["messages"]) == 2


async def test_a_file_is_read_with_its_owners_token(house: Any) -> None:
    """Microsoft is asked as Anna when Ben opens it; the answer runs nothing in a browser."""
    post = await house.follow()
    file = {"@odata.type": "#microsoft.graph.fileAttachment", "name": "b\u00fcro.html", "contentType": "text/html"}
    await post.writes(BO, subject="Files", attachments=[file | {"contentBytes": "PGI+aGk8L2I+"}])
    await post.look()
    (one,) = await post.conversations()
    assert one["has_attachments"] is True
    (message,) = (await post.conversation(one))["messages"]
    (found,) = message["attachments"]
    assert (found["name"], found["size"], found["inline"]) == ("b\u00fcro.html", 9, False)
    path = f"/v1/mail/messages/{message['id']}/attachments/{found['id']}"
    await post.share(one)
    answer = await house.call("GET", path, user="ben")
    assert (answer.status_code, answer.content) == (200, b"<b>hi</b>")
    headers = {name: answer.headers[name] for name in ("content-type", "x-content-type-options", "content-disposition")}
    assert headers["content-type"] == "application/octet-stream"
    assert headers["content-disposition"].startswith("attachment; filename*=UTF-8''b%C3%BCro.html")
    assert (headers["x-content-type-options"], "sandbox" in answer.headers["content-security-policy"]) == (
        "nosniff",
        True,
    )
    assert await house.asked("GET", "/$value") == 1
    await house.hear(house.person(2, connected=False))
    refused = await house.call("GET", path, user="ben")
    assert (refused.status_code, refused.json()["code"]) == (409, "account_not_connected")
