"""The main job against the embedded platform: the demo, a restart, and what is left after SIGKILL at every step."""

import asyncio
import random
import subprocess
import time
from collections import Counter
from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaConsumer

from m365_simulator.client import SimulatorClient
from shared.events import ALL

from .conftest import ROOT, RunningPlatform

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
ONCE = ["tenant.connected", "user.connected", "meeting.scheduled", "recording.imported", "transcript.imported"]
READ_S = 30
STEPS = 7
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


async def test_the_demo_does_the_main_job_and_its_state_survives_a_restart(platform: RunningPlatform) -> None:
    platform.start()
    lines = await asyncio.to_thread(demo_lines, platform)
    assert lines[-1] == "The main job is done, every step of it."
    assert platform.stop() == 0
    described = platform.start()
    await check_one_of_each(described)
    meeting = (await as_persona(described, "acme-anna", "/v1/meetings"))["items"][0]
    assert meeting["status"] == "ended"


@pytest.mark.timeout(1500)  # some lives wait until what the last one held is free again
async def test_sigkill_at_every_step_of_the_demo_leaves_one_of_each(platform: RunningPlatform) -> None:
    """Kill after the first line not yet survived, start again, go on, until a demo says nothing new."""
    jitter = random.Random(8365)
    # The board's events come by themselves, so one could be the first new line after a demo that came to its end.
    platform.environment["PROSPO_READINESS_FIRST_CHECK_S"] = "3600"
    described = platform.start()
    survived: set[str] = set()
    request: str | None = None
    while await asyncio.to_thread(die_at_a_new_line, platform, survived, jitter.random() * 0.2):
        request = kept_request(platform, request)
        described = platform.start()
    assert len([name for name in survived if name.startswith("●")]) == STEPS
    assert {f"event {topic}" for topic in ONCE} <= survived
    await check_one_of_each(described)


def kept_request(platform: RunningPlatform, request: str | None) -> str | None:
    """The demo's meeting, kept over lives: one may come to its end before its death, and the next would book anew."""
    kept = platform.state / "demo.json"
    if request and not kept.exists():
        kept.write_text(request)
    return kept.read_text() if kept.exists() else None


def die_at_a_new_line(platform: RunningPlatform, survived: set[str], wait_s: float) -> bool:
    """Run the demo until it says something new, then SIGKILL the platform. Whether it said something new."""
    with platform.demo() as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            name = without_ids(line)
            if name and name not in survived:
                survived.add(name)
                time.sleep(wait_s)  # the behaviour: death comes a moment later, each time another
                platform.kill()
                demo.kill()  # it may be waiting for events only, and with patience
                demo.communicate(timeout=60)
                return True
        assert demo.wait(10) == 0
        return False


def without_ids(line: str) -> str:
    """A step, or an event's topic; what the lines between them say differs from run to run."""
    if line.startswith("●"):
        return line.strip()
    words = line.split()
    return " ".join(words[:2]) if words[:1] == ["event"] else ""


def test_a_second_platform_on_the_same_state_is_refused(platform: RunningPlatform) -> None:
    platform.start()
    second = subprocess.run(platform.command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert second.returncode == 1
    assert "already running" in second.stderr
