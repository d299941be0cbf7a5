"""The main job against the embedded platform as a process: the demo, two kills, a restart."""

import asyncio
import json
import subprocess
import time
import uuid
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaConsumer

from dev.services import SERVICES
from m365_simulator.client import SimulatorClient
from shared.events import ALL

from .conftest import ROOT, RunningPlatform, ask
from .in_process import LEASES, ONCE

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
READ_S = 30
DEMO_S = 400
"""Longer than the demo's own patience, which says what did not come true."""


def demo_lines(platform: RunningPlatform) -> list[str]:
    """Run the demo to its end; its output. It must succeed."""
    demo = platform.demo()
    out, _ = demo.communicate(timeout=DEMO_S)
    assert demo.returncode == 0, out
    return out.splitlines()


async def all_events(bootstrap: str) -> dict[str, set[str]]:
    """Topic → the distinct event ids an ordinary client reads, once every topic of ``ONCE`` has one.

    Of one emitter's events under a key, the later ones must have no lower version.
    """
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    found: dict[str, set[str]] = {}
    versions: dict[tuple[str, bytes], dict[str, int]] = {}
    deadline = time.monotonic() + READ_S
    try:
        consumer.subscribe(sorted(ALL))
        quiet = 0
        while quiet < 3 or not set(ONCE) <= set(found):
            assert time.monotonic() < deadline, f"only these topics have events: {sorted(found)}"
            batches = await consumer.getmany(timeout_ms=500)
            quiet = 0 if batches else quiet + 1
            for message in (message for batch in batches.values() for message in batch):
                headers = {name: value.decode() for name, value in message.headers}
                found.setdefault(message.topic, set()).add(headers["ce_id"])
                if message.topic != "tenant.readiness_changed":  # counts for itself
                    counted = versions.setdefault((headers["ce_source"], message.key), {})
                    counted[headers["ce_id"]] = int(headers["ce_aggregateversion"])
    finally:
        await consumer.stop()
    for counted in versions.values():
        in_time = [counted[identity] for identity in sorted(counted)]  # UUIDv7
        assert in_time == sorted(in_time), versions
    return found


async def as_persona(described: dict[str, Any], persona: str, path: str) -> Any:
    async with SimulatorClient(described["simulator_url"]) as microsoft:
        token = await microsoft.prospo_token(persona)
    async with httpx.AsyncClient(base_url=described["url"], trust_env=False) as http:
        answer = await http.get(path, headers={"Authorization": f"Bearer {token}"})
        return answer.raise_for_status().json()


async def check_one_of_each(described: dict[str, Any]) -> None:
    """One meeting here and at Microsoft, one recording, one transcript, each event once in effect."""
    async with SimulatorClient(described["simulator_url"]) as microsoft:
        state = await microsoft.state()
    made = [(row["id"], row["created"], row["body"].get("transactionId")) for row in state["events"]]
    assert len(made) == 1, made
    assert Counter(row["kind"] for row in state["artefacts"]) == {"recordings": 1, "transcripts": 1}
    assert Counter(row["resource"] for row in state["subscriptions"]).most_common(1)[0][1] == 1
    (meeting,) = (await as_persona(described, "acme-anna", "/v1/meetings"))["items"]
    assert meeting["recording"]["status"] == meeting["transcript"]["status"] == "imported"
    events = await all_events(described["kafka_bootstrap_servers"])
    assert {topic: len(events[topic]) for topic in ONCE} == dict.fromkeys(ONCE, 1)
    ledger = await as_persona(described, "acme-anna", f"/v1/ledger/{meeting['id']}")
    assert Counter(item["kind"] for item in ledger["artefacts"]) == {"recording": 1, "transcript": 1}


STATES = {"tenant_connector": "tenant.state", "user_auth": "user.state", "meetings": "meeting.state"}
AGED = "UPDATE outbox_sent SET sent_at = sent_at - interval '1 year' WHERE topic LIKE '%.state'"
DEADLY = ("● Anna schedules a Teams meeting", "event artefact.detected")
"""What a demo says just before the platform dies: each time it has more to lose."""


async def test_the_main_job_survives_two_kills_and_a_restart(own_platform: RunningPlatform) -> None:
    """A process really dies here; ``test_crashes`` has every point of the job."""
    # The board's events come by themselves, and would be among those that are counted.
    own_platform.environment["PROSPO_READINESS_FIRST_CHECK_S"] = "3600"
    request = json.dumps({"key": str(uuid.uuid4()), "body": body_of_a_meeting()})
    for last_words in DEADLY:
        own_platform.start()
        (own_platform.state / "demo.json").write_text(request)
        await asyncio.to_thread(die_at, own_platform, last_words)
        for service in SERVICES:
            await ask(own_platform.state, service.replace("-", "_"), LEASES)  # they end by time
    own_platform.start()
    (own_platform.state / "demo.json").write_text(request)  # also if a demo came to its end before its death
    lines = await asyncio.to_thread(demo_lines, own_platform)
    assert lines[-1] == "The main job is done, every step of it."
    assert_a_second_one_is_refused(own_platform)
    for service in STATES:
        await ask(own_platform.state, service, AGED)
    assert own_platform.stop() == 0
    described = own_platform.start()
    await check_one_of_each(described)
    assert set(STATES.values()) <= set(await all_events(described["kafka_bootstrap_servers"]))
    meeting = (await as_persona(described, "acme-anna", "/v1/meetings"))["items"][0]
    assert meeting["status"] == "ended"


def body_of_a_meeting() -> dict[str, Any]:
    start = (datetime.now(UTC) + timedelta(minutes=30)).replace(second=0, microsecond=0)
    times = {"start": start.isoformat(), "end": (start + timedelta(minutes=30)).isoformat()}
    return {"subject": "Quarterly review", "attendees": []} | times


def die_at(platform: RunningPlatform, last_words: str) -> None:
    """Run the demo until it says this, then SIGKILL the platform."""
    with platform.demo() as demo:
        assert demo.stdout is not None
        assert any(last_words in " ".join(line.split()) for line in demo.stdout), "the demo ended before"
        platform.kill()
        demo.kill()  # it may be waiting for events only, and with patience
        demo.communicate(timeout=60)


def assert_a_second_one_is_refused(platform: RunningPlatform) -> None:
    second = subprocess.run(platform.command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert second.returncode == 1
    assert "already running" in second.stderr
