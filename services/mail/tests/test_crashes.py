"""M2: a worker dies at every commit and around every call of Microsoft; each mail arrives once all the same."""

import re
from typing import Any

import pytest

from mail.main import create_service
from mail.settings import Settings
from shared.testing.harness import StartService
from tests.e2e.crashing import LEASES_END, MortalWorkers, Watched

ANNA, BEN = "anna@contoso.example", "ben@contoso.example"
MB = 1024 * 1024


class Workers(MortalWorkers):
    def __init__(self, house: Any, start_service: StartService) -> None:
        self.house = house
        house.simulator.app = Watched(house.simulator.app, "Microsoft", re.compile("/me/|AttachmentSessions"))
        super().__init__(lambda: start_service(create_service, Settings, "mail"), house.simulator.app)

    async def work(self) -> None:
        """Everything is done at last, by however many; time passes whenever nothing is due."""
        for _ in range(400):
            await self.house.sql("DELETE FROM job WHERE kind <> 'send_mail'")  # following has a walk of its own
            if await self.live():
                await self.house.sql(LEASES_END)
            elif not await self.house.jobs("send_mail"):
                return
            await self.pass_time(31)
        raise AssertionError("it does not end")

    async def pass_time(self, seconds: float) -> None:
        await self.house.microsoft.advance(seconds)
        await self.house.sql(
            """UPDATE outgoing_mail SET attempted_at = attempted_at - make_interval(secs => :seconds),
               accepted_at = accepted_at - make_interval(secs => :seconds)""",
            seconds=seconds,
        )
        await self.house.sql(
            "UPDATE job SET run_at = run_at - make_interval(secs => :seconds) WHERE state = 'waiting'", seconds=seconds
        )


@pytest.mark.parametrize("sent_id", ["same", "new"])
async def test_death_at_every_step_sends_each_mail_once(house: Any, start_service: StartService, sent_id: str) -> None:
    """A mail with a small and a large file, and an answer. Every point is deadly once, before it and after it."""
    await house.microsoft.do("outlook_rules", sent_id=sent_id)
    await house.connect()
    arrives = await house.microsoft.do("mail_arrives", user=ANNA, sender=BEN, subject="Offer", text="100 or 90?")
    files = [await house.uploaded("a.txt", b"small"), await house.uploaded("b.bin", b"y" * 5 * MB)]
    first = await house.send(subject="With files", files=files)
    workers = Workers(house, start_service)
    await workers.work()
    answer = await house.send(to=[], subject="", body="90.", answers={"message_id": arrives["immutable"]})
    await workers.work()
    await house.hurry()
    await house.work()
    assert [(await house.mail(mail))["status"] for mail in (first, answer)] == ["seen_in_sent", "seen_in_sent"]
    inbox = await house.folder(BEN, "inbox", **{"$expand": "attachments"})
    shown = {row["subject"]: sorted(one["name"] for one in row["attachments"]) for row in inbox}
    assert shown == {"With files": ["a.txt", "b.bin"], "RE: Offer": []}
    assert len(inbox) == 2
    (written,) = [row for row in inbox if row["subject"] == "RE: Offer"]
    assert written["body"]["content"].count("90.") == 1
    assert await house.folder(ANNA, "drafts") == []
    assert len(await house.published("mail.sent")) == 2
    assert await house.published("mail.failed") == []
    assert_all_is_tried(workers.survived)


def assert_all_is_tried(survived: set[str]) -> None:
    """Every table of the way and every call, on both sides."""
    for side in ("before", "after"):
        points = " | ".join(point for point in survived if point.startswith((f"mail: {side}", side)))
        for table in ("outgoing_mail", "mail_file", "mail_step", "outbox"):
            assert f" {table}" in points, (side, table)
        for call in ("POST /v1.0/me/messages at", "/send at", "createReply", "PATCH", "createUploadSession", "PUT"):
            assert call in points, (side, call)
