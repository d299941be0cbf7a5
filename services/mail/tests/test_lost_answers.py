"""M1: answers are lost and deliveries are late; nobody gets a mail twice, and no mail is lost or falsely failed."""

import random
from collections import Counter
from typing import Any

import pytest

ANNA, BEN = "anna@contoso.example", "ben@contoso.example"
SEND, DRAFTS = {"path": "*/send"}, {"path": "/me/messages", "method": "POST"}


async def received(house: Any) -> Counter[str]:
    """Subject → how many of it Ben has."""
    return Counter(row["subject"] for row in await house.folder(BEN, "inbox"))


@pytest.mark.parametrize("sent_id", ["same", "new"])
@pytest.mark.parametrize("sent_copy_s", [0, 90])
async def test_a_lost_answer_to_send_is_found_in_sent_items(house: Any, sent_id: str, sent_copy_s: int) -> None:
    await house.microsoft.do("outlook_rules", sent_id=sent_id, sent_copy_s=sent_copy_s)
    await house.connect()
    await house.microsoft.fault("done_but_reset", match=SEND)
    mail = await house.sent()
    assert (mail["status"], mail["problem"]["code"], mail["may_send_again"]) == ("unknown", "answer_lost", False)
    assert (await house.act(mail, "send-again")).json()["code"] == "not_to_be_sent_again"
    await house.settle_down()
    mail = await house.mail(mail)
    assert (mail["status"], mail["problem"]) == ("seen_in_sent", None)
    assert len(await house.published("mail.sent")) == 1
    assert await received(house) == {"Lunch?": 1}
    assert await house.asked("POST", "/send") == 1


async def test_a_send_that_microsoft_never_got_goes_out_after_the_bound(house: Any) -> None:
    await house.connect()
    await house.microsoft.fault("reset", match=SEND)
    mail = await house.sent()
    await house.pass_time(31)
    await house.pass_time(600)
    assert ((await house.mail(mail))["status"], await house.asked("POST", "/send")) == ("unknown", 1)
    await house.pass_time(300)
    assert await house.asked("POST", "/send") == 2
    await house.settle_down()
    mail = await house.mail(mail)
    assert mail["status"] == "seen_in_sent"
    assert "still_a_draft" in [step["what"] for step in mail["history"]]
    assert await received(house) == {"Lunch?": 1}


@pytest.mark.parametrize("late_s", [20, 400, 850])
async def test_a_504_that_delivers_later_is_waited_for(house: Any, late_s: int) -> None:
    await house.connect()
    await house.microsoft.fault("mail_sent_late", seconds=late_s)
    mail = await house.sent()
    assert mail["status"] == "unknown"
    await house.settle_down()
    assert (await house.mail(mail))["status"] == "seen_in_sent"
    assert await received(house) == {"Lunch?": 1}


async def test_a_mail_that_is_nowhere_stays_unknown_until_its_sender_decides(house: Any) -> None:
    await house.connect()
    await house.microsoft.fault("done_but_error", match=SEND, status=504)
    await house.microsoft.fault("mail_not_filed")
    mail = await house.sent()
    await house.settle_down()
    mail = await house.mail(mail)
    assert (mail["status"], mail["problem"]["code"], mail["may_send_again"]) == ("unknown", "outcome_unknown", True)
    assert await house.published("mail.failed") == await house.published("mail.sent") == []
    await house.pass_time(86_400)
    assert await house.jobs("send_mail") == []
    assert await house.asked("POST", "/send") == 1, "nothing is sent unasked"
    assert (await house.act(mail, "send-again")).json()["status"] == "queued"
    await house.settle_down()
    assert (await house.mail(mail))["status"] == "seen_in_sent"
    assert await received(house) == {"Lunch?": 2}, "as its sender was told"


async def test_a_lost_answer_to_the_draft_is_found_again(house: Any) -> None:
    await house.connect()
    await house.microsoft.fault("done_but_reset", match=DRAFTS)
    mail = await house.sent()
    await house.settle_down()
    assert (await house.mail(mail))["status"] == "seen_in_sent"
    assert await house.asked("POST", "/me/messages") - await house.asked("POST", "/send") == 1, "one draft was made"
    assert (await received(house), await house.folder(ANNA, "drafts")) == ({"Lunch?": 1}, [])


async def test_a_draft_that_comes_to_light_late_is_deleted(house: Any) -> None:
    """What was asked for first is not found at once, so a second draft is made and sent; the first is an orphan."""
    await house.connect()
    await house.microsoft.fault("done_but_reset", match=DRAFTS)
    mail = await house.send()
    hidden: list[Any] = []

    async def hide() -> None:
        hidden.extend(row for row in house.simulator.store.all(f"messages/{house.token(ANNA)['oid']}"))
        for row in hidden:
            house.simulator.store.delete(f"messages/{row['user']}", row["id"])

    house.wire.during("GET", "drafts/messages", hide)
    await house.work()
    await house.pass_time(31)
    house.wire.instead = None
    for row in hidden:
        house.simulator.store.put(f"messages/{row['user']}", row["id"], row)
    assert len(await house.folder(ANNA, "drafts")) == 1
    await house.settle_down()
    assert (await house.mail(mail))["status"] == "seen_in_sent"
    await house.pass_time(3600)
    assert (await received(house), await house.folder(ANNA, "drafts")) == ({"Lunch?": 1}, [])


async def test_a_draft_deleted_in_outlook_is_not_sent(house: Any) -> None:
    await house.connect()
    mail = await house.send()

    async def delete() -> None:
        (row,) = await house.folder(ANNA, "drafts")
        for _ in range(2):
            await house.at(ANNA).delete(f"/me/messages/{row['id']}")

    house.wire.during("POST", "/send", delete)
    await house.work()
    house.wire.instead = None
    for _ in range(2):
        await house.sql("UPDATE job SET tried_since = tried_since - interval '3 minutes'")
        await house.pass_time(121)
    mail = await house.mail(mail)
    assert (mail["status"], mail["problem"]["code"]) == ("failed", "draft_gone")
    assert await received(house) == {}


MAILS, SEED = 30, 20261129


async def test_many_sends_with_lost_and_late_answers_arrive_once_each(house: Any) -> None:
    """A smaller form of the bench's thousand; the shares are four times as large, so that each fault strikes."""
    await house.connect()
    draw = random.Random(SEED)
    everyone = {"times": None, "probability": 0.2}
    await house.microsoft.fault("done_but_reset", match=SEND, **everyone)
    await house.microsoft.fault("reset", match=SEND, times=2, probability=0.5)  # a third could end a mail as not sent
    await house.microsoft.fault("done_but_reset", match=DRAFTS, **everyone)
    await house.microsoft.fault("mail_sent_late", seconds=draw.randint(40, 800), **everyone)
    mails = [await house.send(subject=f"No. {number}") for number in range(MAILS)]
    await house.work()
    for _ in range(3):
        await house.settle_down()
    stands = Counter([(await house.mail(mail))["status"] for mail in mails])
    assert stands == {"seen_in_sent": MAILS}
    assert await received(house) == {f"No. {number}": 1 for number in range(MAILS)}
    assert len(await house.published("mail.sent")) == MAILS
    assert await house.published("mail.failed") == []
    assert await house.asked("POST", "/send") > MAILS, "some were sent again, for they still were drafts"
    await house.pass_time(3600)
    assert await house.folder(ANNA, "drafts") == []
