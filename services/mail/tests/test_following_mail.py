"""Following folders: nothing is lost, doubled or deleted by a hint, and each trouble is a state that says so."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from services.mail.tests.post_office import ADA, BO
from shared.testing.examples import leaving
from shared.testing.waiting import waits_for_a_lock

ANNA = "anna@contoso.example"


@pytest.mark.parametrize("sent_copy_s", [0, 25])
async def test_an_own_mail_is_in_its_conversation_at_once(house: Any, sent_copy_s: int) -> None:
    """Neither the next look nor a notification is waited for; nor where Sent Items has the copy late."""
    await house.microsoft.do("outlook_rules", sent_copy_s=sent_copy_s)
    post = await house.follow()
    await house.work()
    await house.sql("UPDATE mailbox_folder SET read_at = clock_timestamp() + interval '1 day'")
    mail = await house.sent(to=[{"email": ADA}], subject="Order")
    assert (await post.subjects() == [("Order", 1)]) is (sent_copy_s == 0)
    await house.microsoft.advance(31)
    await house.hurry("send_mail")
    await house.work()
    assert (await house.mail(mail))["status"] == "seen_in_sent"
    assert await post.subjects() == [("Order", 1)]


@pytest.mark.parametrize("back", [False, True])
async def test_mail_that_is_moved_neither_disappears_nor_doubles(house: Any, back: bool) -> None:
    """M6. By a rule to a folder that nobody follows, or away and back between two looks."""
    post = await house.follow()
    await house.microsoft.do("outlook_rules", moved_reason="deleted")
    offer = await post.arrives(ADA, "Offer")
    await post.look()
    for folder in ("Away", "inbox")[: 1 + back]:
        await house.microsoft.do("mail_move", user=ANNA, message=offer["immutable"], folder=folder)
    await post.look()
    assert await post.subjects() == [("Offer", 1)]
    await house.sql("UPDATE mailbox_folder SET swept_at = '2020-01-01'")
    await post.look()
    assert await post.subjects() == [("Offer", 1)]
    assert len(await house.rows("message")) == 1


async def test_deleted_mail_does_not_come_back(house: Any) -> None:
    """M7. In Deleted Items, for good, and when the folder is read whole again."""
    post = await house.follow()
    first, second = await post.arrives(ADA, "First"), await post.arrives(BO, "Second")
    await post.look()
    await house.microsoft.do("mail_delete", user=ANNA, message=first["immutable"])
    await post.look()
    assert await post.subjects() == [("Second", 1)]
    await house.microsoft.do("mail_delete", user=ANNA, message=second["immutable"])
    await house.microsoft.do("mail_delete", user=ANNA, message=second["immutable"])
    await house.microsoft.fault("delta_lost", times=1, match={"path": "*/messages/delta"})
    await post.look()
    await house.sql("UPDATE mailbox_folder SET swept_at = '2020-01-01'")
    await post.look()
    assert await post.subjects() == []
    assert await house.rows("conversation") == await house.rows("message_reference") == []


async def test_nothing_is_missed_after_410_or_a_week_without_us(house: Any) -> None:
    """M8. What arrived meanwhile is told, what was there before is not."""
    await house.post.arrives(ADA, "Before")
    post = await house.follow()
    await house.hear(house.person(2, connected=False))
    await house.work()
    assert (await post.mailbox())["problem"]["code"] == "account_not_connected"
    await post.arrives(ADA, "Meanwhile")
    await house.microsoft.fault("delta_lost", times=2, match={"path": "*/messages/delta"})
    await house.hear(house.person(3))
    await house.work()
    assert await post.subjects() == [("Before", 1), ("Meanwhile", 1)]
    assert len(await house.published("mail.received")) == 1
    shown = await post.mailbox()
    assert (shown["state"], shown["problem"]) == ("in_step", None)
    assert shown["last_round_at"] < shown["next_round_at"]


async def test_a_full_mailbox_is_still_followed(house: Any) -> None:
    """M9. By listing, which the mailbox's page says; what was deleted is found all the same."""
    post = await house.follow()
    first = await post.arrives(ADA, "First")
    await post.look()
    await house.microsoft.fault("mailbox_full", times=None)
    await post.arrives(ADA, "Second")
    await house.microsoft.do("mail_delete", user=ANNA, message=first["immutable"])
    await post.look()
    assert await post.subjects() == [("Second", 1)]
    assert {one["problem"]["code"] for one in (await post.mailbox())["folders"]} == {"mailbox_full"}
    await house.microsoft.clear_faults()
    await post.look()
    assert {one["problem"] for one in (await post.mailbox())["folders"]} == {None}


@pytest.mark.parametrize(
    ("refusal", "state", "code"),
    [
        ({"status": 404, "code": "MailboxNotEnabledForRESTAPI"}, "no_mailbox", "no_mailbox"),
        ({"status": 404, "code": "MailboxNotSupportedForRESTAPI"}, "no_mailbox", "no_mailbox"),
        ({"status": 404, "code": "ErrorNonExistentMailbox"}, "no_mailbox", "no_mailbox"),
        ({"status": 403, "code": "ErrorAccessDenied"}, "stopped", "permission_missing"),
        ({"status": 503, "code": "ServiceUnavailable"}, "waiting", "microsoft_unavailable"),
    ],
)
async def test_a_mailbox_that_cannot_be_read_says_why(house: Any, refusal: Any, state: str, code: str) -> None:
    """None, one on a server of the organisation's, one that was deleted; and it is read as soon as it can be."""
    post = await house.follow()
    await house.work()
    await post.arrives(ADA, "Offer")
    await house.microsoft.fault("refused", times=None, match={"path": "*/messages/delta*"}, **refusal)
    await post.look()
    shown = await post.mailbox()
    assert (shown["state"], shown["problem"]["code"]) == (state, code)
    assert shown["next_round_at"] is not None
    await house.microsoft.clear_faults()
    house.wait(3600)
    await post.look()
    assert ((await post.mailbox())["state"], await post.subjects()) == ("in_step", [("Offer", 1)])


async def test_a_person_adds_a_folder_and_leaves_one(house: Any) -> None:
    post = await house.follow()
    await house.work()
    await post.arrives(ADA, "Filed", folder="Projects/Litware")
    await post.arrives(ADA, "Thrown away", folder="deleteditems")
    await post.look()
    assert await post.subjects() == []
    listed = (await house.call("GET", "/v1/mail/mailbox/folders")).json()["items"]
    filed = next(one for one in listed if one["path"] == "Projects / Litware")
    assert (filed["items"], filed["followed"]) == (1, False)
    path = f"/v1/mail/mailbox/folders/{filed['id']}"
    added = await house.call("PUT", path, json={"followed": True})
    assert added.status_code == 200, added.text
    await house.work()
    assert await post.subjects() == [("Filed", 1)]
    left = await house.call("PUT", path, json={"followed": False})
    assert [one["followed"] for one in left.json()["folders"] if one["id"] == filed["id"]] == [False]
    await post.arrives(ADA, "Later", folder="Projects/Litware")
    await post.look()
    assert await post.subjects() == [("Filed", 1)]
    for name in ("deleteditems", "drafts"):
        folder = (await house.at(ANNA).get(f"/me/mailFolders/{name}")).json()["id"]
        refused = await house.call("PUT", f"/v1/mail/mailbox/folders/{folder}", json={"followed": True})
        assert (refused.status_code, refused.json()["code"]) == (409, "folder_not_followed")


@pytest.mark.parametrize(
    ("stop", "go"),
    [
        ({"tenant": {"on": False}}, {"tenant": {}}),
        ({"tenant": {"connected": False}}, {"tenant": {}}),
        ({"person": {"connected": False}}, {"person": {}}),
    ],
)
async def test_switch_and_disconnect_stop_at_once_and_go_on(house: Any, stop: Any, go: Any) -> None:
    """In the middle of a round too: nothing that was read is kept after the switch. Nobody else has a round then."""
    post = await house.follow("anna")
    await house.work()
    assert (await house.microsoft.state())["subscriptions"] != []
    await post.arrives(ADA, "Offer")

    async def hear(version: int, what: Any) -> None:
        await house.hear(*(getattr(house, name)(version, **more) for name, more in what.items()))

    house.wire.during("GET", "/messages/delta", lambda: hear(2, stop), done=True)
    await post.look()
    house.wire.instead = None
    await house.work()
    assert await post.subjects() == []
    assert (await post.mailbox())["state"] == "stopped"
    if "tenant" in stop and not stop["tenant"].get("on", True):
        assert (await house.microsoft.state())["subscriptions"] == []
    for path in ("mailbox/refresh", "files?name=offer.pdf"):
        assert (await house.call("POST", f"/v1/mail/{path}", content=b"%PDF")).status_code == 409
    await hear(3, go)
    await house.work()
    assert await post.subjects() == [("Offer", 1)]


async def test_an_accepted_mail_locks_in_the_order_of_a_round(house: Any) -> None:
    """The job's row before the folders, or the ends of a round and of a sending lock each other out."""
    await house.follow()
    await house.work()
    await house.send()
    async with house.service.db.system_work() as ending:
        for table in ("job WHERE kind = 'sync_mailbox' AND", "mailbox_folder WHERE", "mailbox WHERE"):
            whose = "payload ->> 'user_id'" if "job" in table else "user_id"
            held = text(f"SELECT 1 FROM {table} {whose} = 'anna' FOR UPDATE NOWAIT")
            assert (await ending.session.execute(held)).all()
            if "job" in table:
                sending = asyncio.create_task(house.work())
                assert await waits_for_a_lock(house, sending)
    await sending
    (mail,) = (await house.call("GET", "/v1/mail")).json()["items"]
    assert mail["status"] in {"accepted", "seen_in_sent"}


@pytest.mark.parametrize("settings", [{"mail_past_searches": 2}])
async def test_many_new_contacts_have_the_folders_read_whole(house: Any) -> None:
    post = await house.follow()
    await house.work()
    for number in range(4):
        await post.arrives(f"p{number}@many.example", f"Mail {number}")
    await post.look()
    house.post.contacts.log += [
        {"contact_id": f"c{number}", "user_id": "anna", "shared": False, "addresses": [f"p{number}@many.example"]}
        for number in range(3)
    ]
    await post.knows("c3", "p3@many.example")
    assert await post.subjects() == [(f"Mail {number}", 1) for number in range(4)]
    assert (await post.mailbox())["backfill"] == {"contacts_left": 0}


async def test_mail_older_than_the_organisation_keeps_is_deleted(house: Any) -> None:
    """And does not come back when the folder is read whole, until the organisation keeps it again."""
    post = await house.follow()
    await post.arrives(ADA, "Old")
    await post.arrives(BO, "New")
    store, inbox = house.simulator.store, f"messages/{house.token(ANNA)['oid']}"
    for row in store.all(inbox):
        if row["body"]["subject"] == "Old":
            then = datetime.now(UTC) - timedelta(days=200)
            store.put(inbox, row["id"], row | {"body": row["body"] | {"receivedDateTime": then.isoformat()}})
    await post.look()
    assert await post.subjects() == [("New", 1), ("Old", 1)]
    refused = await house.call("PUT", "/v1/mail/retention", json={"keep_days": 90})
    assert refused.status_code == 403
    for days, there in ((90, [("New", 1)]), (None, [("New", 1), ("Old", 1)])):
        await house.call("PUT", "/v1/mail/retention", user="boss", roles=("org_admin",), json={"keep_days": days})
        await house.work()
        await house.sql("UPDATE mailbox_folder SET swept_at = '2020-01-01'")
        await post.look()
        assert await post.subjects() == there
        assert (await post.mailbox())["skipped"].get("too_old", 0) == 2 - len(there)


async def test_a_disconnect_removes_the_subscriptions_in_the_persons_name(house: Any) -> None:
    await house.follow()
    await house.work()
    whose = "SELECT user_id FROM graph_subscription ORDER BY 1"
    assert [row.user_id for row in await house.sql(whose)] == ["anna", "anna", "ben", "ben"]
    await house.hear(leaving(house.person(2)))
    await house.work()
    assert len((await house.microsoft.state())["subscriptions"]) == 2
    assert [row.user_id for row in await house.sql(whose)] == ["ben", "ben"]
    assert [(one["removed"], one["left"]) for one in await house.published("mail.traces_removed")] == [(2, [])]
