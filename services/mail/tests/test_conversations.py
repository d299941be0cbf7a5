"""Conversations with contacts: what is kept, how mails belong together, and why one may be missing."""

from typing import Any

from services.mail.tests.post_office import ADA, BO

ANNA, BEN = "anna@contoso.example", "ben@contoso.example"


async def test_only_mail_with_contacts_is_kept(house: Any) -> None:
    """For other mail only a counter is kept; no text of it is read."""
    post = await house.follow()
    await post.arrives(ADA, "Offer", text="100 or 90?")
    await post.arrives("stranger@else.example", "Spam", text="secret words")
    await post.writes(BO, subject="Lunch")
    await house.work()
    await post.look()
    assert await post.subjects() == [("Lunch", 1), ("Offer", 1)]
    (offer,) = await post.conversations(address=ADA.upper())
    assert offer["contact_ids"] == ["c-ada"]
    assert (offer["last_direction"], offer["shared"], offer["mine"], offer["owner_id"]) == (
        "received",
        False,
        True,
        "anna",
    )
    assert await post.subjects(contact_id="c-bo") == [("Lunch", 1)]
    assert await post.subjects(query="LUN fourth") == [("Lunch", 1)]
    (message,) = (await post.conversation(offer))["messages"]
    assert (message["from"]["address"], message["direction"], message["preview"]) == (ADA, "received", "100 or 90?")
    shown = await house.call("GET", f"/v1/mail/messages/{message['id']}/body")
    assert shown.json() == {"html": None, "text": "100 or 90?", "folds": [], "held_images": 0}
    rows = str([await house.rows(table) for table in ("message", "conversation", "message_reference", "outbox")])
    assert "Spam" not in rows
    assert "100 or 90" not in rows, "texts are sealed"
    assert (await post.mailbox())["skipped"] == {"no_contact": 1}


async def test_an_answer_from_outlook_itself_goes_on_with_the_conversation(house: Any) -> None:
    """M5. Answers and answers to them; a mail that only has the same subject is another conversation."""
    post = await house.follow()
    first = await post.arrives(ADA, "Offer")
    await post.answers(first)
    await house.work()
    await post.arrives(ADA, "RE: Offer", reply_to=first["immutable"])
    await post.arrives(BO, "Offer")
    await post.look()
    assert await post.subjects() == [("Offer", 1), ("Offer", 3)]
    (long,) = await post.conversations(contact_id="c-ada")
    whole = await post.conversation(long)
    assert [one["direction"] for one in whole["messages"]] == ["received", "sent", "received"]


async def test_our_own_sending_joins_the_conversation(house: Any) -> None:
    post = await house.follow()
    mail = await house.sent(to=[{"email": ADA}], subject="Plan")
    await house.microsoft.advance(10)
    await post.look()
    (one,) = await post.conversations()
    (message,) = (await post.conversation(one))["messages"]
    assert (message["mail_id"], message["direction"]) == (mail["id"], "sent")


async def test_a_mail_is_told_once_when_it_arrives_and_past_mail_is_not(house: Any) -> None:
    await house.post.arrives(ADA, "Old")
    post = await house.follow()
    assert await house.published("mail.received") == []
    new = await post.arrives(ADA, "New")
    await post.look()
    await house.sql("UPDATE mailbox_folder SET delta_link = NULL")
    await post.look()
    (told,) = await house.published("mail.received")
    assert (told["message_id"], told["contact_ids"], told["has_attachments"]) == (new["immutable"], ["c-ada"], False)
    assert told["kept_in"] in {one["id"] for one in await post.conversations()}
    assert "New" not in str(told)


async def test_a_new_contact_brings_past_conversations(house: Any) -> None:
    """By search, from wherever they lie; a contact who goes takes them along, out of Prospo."""
    post = await house.follow()
    await house.work()
    await post.arrives("carla@old.example", "Years ago", folder="Archive")
    await post.arrives("carla@old.example", "Junk", folder="junkemail")
    await post.arrives("carla@old.example", "Last week")
    await post.look()
    assert await post.subjects() == []
    await post.knows("c-carla", "carla@old.example")
    assert await post.subjects() == [("Last week", 1), ("Years ago", 1)]
    assert await house.published("mail.received") == []
    assert (await post.mailbox())["backfill"] == {"contacts_left": 0}
    await post.knows("c-carla")
    assert await post.subjects() == []
    assert await house.rows("message") == []


async def test_a_notification_brings_a_mail_in(house: Any) -> None:
    post = await house.follow()
    await house.work()
    assert (await post.mailbox())["subscription"] == "on"
    await post.arrives(ADA, "Told")
    await house.microsoft.settle()
    assert await house.rows("graph_notification")
    await house.work()
    assert await post.subjects() == [("Told", 1)]


async def test_a_refused_subscription_is_asked_for_again_only_later(house: Any) -> None:
    """The mailbox is looked at all the same, and its owner reads that Microsoft does not tell us of changes."""
    match = {"path": "/subscriptions", "method": "POST"}
    await house.microsoft.fault("refused", times=None, match=match, status=403, code="ErrorAccessDenied")
    post = await house.follow()
    await house.work()
    asked = await house.asked(part="/subscriptions")
    assert ((await post.mailbox())["subscription"], asked > 0) == ("refused", True)
    await post.arrives(ADA, "Not told")
    await post.look()
    assert await post.subjects() == [("Not told", 1)]
    assert await house.asked(part="/subscriptions") == asked
    await house.microsoft.clear_faults()
    await house.sql("UPDATE graph_subscription SET refused_until = clock_timestamp()")
    await post.look()
    assert (await post.mailbox())["subscription"] == "on"


async def test_a_forged_notification_sets_nothing_off(house: Any) -> None:
    """Whoever does not know the subscription's secret is answered as Microsoft is, and nothing is looked at."""
    await house.follow()
    await house.work()
    asked = await house.asked("GET", "/delta")
    (subscription, *_) = (await house.microsoft.state())["subscriptions"]
    forged = {"subscriptionId": subscription["id"], "changeType": "created", "resource": "x", "clientState": "guess"}
    answer = await house.http.post("/webhooks/graph", json={"value": [forged]})
    assert answer.status_code == 202
    assert await house.rows("graph_notification") == []
    await house.work()
    assert await house.asked("GET", "/delta") == asked
