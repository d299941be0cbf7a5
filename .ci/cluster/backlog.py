# ruff: noqa: INP001 - a program of the cluster stage, not a package
"""Meetings of Anna's take place, one after another, each with a recording and a transcript. She is connected already.

usage, in the development image: python - <gateway> <simulator> <how many> < backlog.py
"""

import asyncio
import sys
import uuid
from datetime import timedelta
from pathlib import Path

from dev.demo import Demo

AT_A_TIME = 4


async def schedule(demo: Demo, number: int) -> list[str]:
    """Their join links, in the order of their times."""
    begins, places = await demo.latest_now() + timedelta(minutes=30), asyncio.Semaphore(AT_A_TIME)

    async def one(count: int) -> str:
        start = begins + timedelta(minutes=5 * count)
        body = {"subject": f"Review {count}", "start": start.isoformat(), "attendees": []}
        body["end"] = (start + timedelta(minutes=5)).isoformat()
        request = {"key": str(uuid.uuid4()), "body": body}
        async with places:
            meeting = await demo.until(lambda: demo.post_meeting(request), "it is scheduled")
            if not meeting["join_url"]:
                meeting = await demo.until(lambda: demo.meeting_if(meeting["id"], "join_url"), "the join link is there")
        return str(meeting["join_url"])

    return await asyncio.gather(*(one(count) for count in range(number)))


async def main(gateway: str, simulator: str, number: int) -> None:
    demo = Demo(Path(), {"url": gateway, "kafka_bootstrap_servers": "", "simulator_url": simulator})
    async with demo.http, demo.microsoft:
        for link in await schedule(demo, number):
            await demo.microsoft.let_meeting_happen(link)


asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
