"""No secret of a whole life with Microsoft is seen in logs, spans, metrics, events, problems or plain columns."""

import asyncio
import base64
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from aiokafka import AIOKafkaConsumer

from dev.demo import Demo, query_of
from shared.events import ALL

from .conftest import ROOT, RunningPlatform

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
KINDS = {"access_token", "refresh_token", "id_token", "code", "state", "nonce", "code_verifier", "client_secret"}
KINDS |= {"browser_key", "clientState", "upload_url", "link"}


class Watched:
    """The platform in ``watched_platform.py``, and where it writes down what a reader could see."""

    def __init__(self, state: Path, process: "subprocess.Popen[str]") -> None:
        self.state = state
        self.process = process
        self.said: list[str] = []

    def tell(self, line: str) -> None:
        """``dump`` or ``leak``; returns when it is done."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        self.until_done()

    def until_done(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.strip() == "done":
                return
            self.said.append(line)
        raise AssertionError("The platform ended.")

    def secrets(self) -> set[tuple[str, str]]:
        """Kind and value."""
        return {tuple(json.loads(line)) for line in (self.state / "secrets.jsonl").read_text().splitlines()}

    def seen(self) -> dict[str, str]:
        return {path.name: path.read_text() for path in self.state.glob("seen-*.txt")} | {"output": "".join(self.said)}


def forms(value: str) -> set[str]:
    """How a secret may stand in a text."""
    raw = value.encode()
    found = {value, quote(value, safe=""), raw.hex(), base64.b64encode(raw).decode().rstrip("=")}
    found.add(base64.urlsafe_b64encode(raw).decode().rstrip("="))
    return found | ({value.rsplit(".", 1)[1]} if value.startswith("eyJ") and value.count(".") == 2 else set())


def found_in(seen: dict[str, str], secrets: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Kind of secret and where it stands."""
    return {
        (kind, place)
        for kind, value in secrets
        for form in forms(value)
        if form
        for place, read in seen.items()
        if form in read
    }


@pytest.fixture
def watched(own_platform: RunningPlatform) -> Iterator[Watched]:
    script = str(Path(__file__).with_name("watched_platform.py"))
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    # A check of the readiness asks for tokens too, and would take the faults that are meant for what is done below.
    pipes["env"] = {**os.environ, "PROSPO_READINESS_FIRST_CHECK_S": "3600"}
    command = [sys.executable, script, str(own_platform.state), str(own_platform.port)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.STDOUT, **pipes) as process:  # type: ignore[call-overload]
        made = Watched(own_platform.state, process)
        made.until_done()
        yield made
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        process.wait(120)


async def sign_in(demo: Demo) -> tuple[dict[str, Any], str]:
    """What the browser brings back, with its key."""
    started = (
        await demo.call("acme-anna", "POST", "/v1/connection/sign-in", json={"return_to": "/meetings/new"})
    ).json()
    back = query_of(await demo.microsoft.sign_in(started["authorize_url"], "anna@contoso.example"))
    return back | {"browser_key": started["browser_key"]}


async def connect_by_link(demo: Demo) -> None:
    """By an administrator of Microsoft 365 who was sent a link: its page, then both of Microsoft's."""
    made = (await demo.call("acme-admin", "POST", "/v1/tenant/consent/link", json={"tenant": "contoso.example"})).json()
    page, _, token = made["url"].partition("#")
    assert (await demo.http.get(page)).is_success
    own = {"Origin": demo.url, "Sec-Fetch-Site": "same-origin"}
    assert (await demo.http.post(f"{page}/open", data={"token": token}, headers=own)).is_success

    async def leg(name: str, **body: str) -> Any:
        answer = await demo.http.post(f"/v1/tenant/consent/link/{name}", json={"token": token} | body)
        return answer.raise_for_status().json()

    started = await leg("start")
    key = {"browser_key": started["browser_key"]}
    back = await demo.microsoft.approve_admin_consent(started["consent_url"], "admin@contoso.example")
    back = await demo.microsoft.sign_in(
        (await leg("complete", **query_of(back), **key))["sign_in_url"], "admin@contoso.example"
    )
    await leg("sign-in", **query_of(back), **key)
    assert (await demo.http.post(f"{page}/open", data={"token": token}, headers=own)).is_error


async def fail_in_many_ways(demo: Demo) -> list[str]:
    """The problem documents and pages of these."""

    async def ask(persona: str, method: str, path: str, **more: Any) -> str:
        headers = {"Authorization": f"Bearer {await demo.microsoft.prospo_token(persona)}"}
        answer = await demo.http.request(method, path, headers=headers, **more)
        assert answer.is_error, f"{method} {path} was meant to fail"
        return answer.text

    good = await sign_in(demo)
    bad = [good | {"state": "x" * 32}, good | {"code": "y" * 32}, good]
    pages = [await ask("acme-anna", "POST", "/v1/connection/complete", json=body) for body in bad]
    wrong = {"state": "x" * 32, "browser_key": good["browser_key"], "tenant": "t", "admin_consent": "True"}
    pages.append(await ask("acme-admin", "POST", "/v1/tenant/consent/complete", json=wrong))
    refused = {"number": 50076, "error": "interaction_required", "times": 1}  # by Entra itself
    for fault, match in (("token_error", {"grant": "authorization_code"}), ("authorize_error", {})):
        await demo.microsoft.fault(fault, match=match, **refused)
        pages.append(await ask("acme-anna", "POST", "/v1/connection/complete", json=await sign_in(demo)))
    brought = {name: good[name] for name in ("code", "state")}
    for path in ("/integrations/microsoft/callback", "/connectors/microsoft365/callback"):
        answer = await demo.http.get(
            path,
            params=brought,
            headers={"cookie": "prospo_persona=acme-anna"},
        )
        pages.append(answer.text)
    await demo.microsoft.do("sessions_revoke", user="anna@contoso.example")
    await demo.microsoft.fault("server_error", times=2)
    start = (await demo.latest_now() + timedelta(minutes=30)).replace(second=0, microsecond=0)
    body = {"subject": "Second", "start": start.isoformat(), "end": (start + timedelta(minutes=30)).isoformat()}
    headers = {"Authorization": f"Bearer {await demo.microsoft.prospo_token('acme-anna')}", "Idempotency-Key": "second"}
    pages.append((await demo.http.post("/v1/meetings", json=body | {"attendees": []}, headers=headers)).text)
    return pages


async def all_records(bootstrap: str) -> str:
    """Keys, headers and values of every record, once it has been quiet for a while."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    read, quiet = "", 0
    try:
        consumer.subscribe(sorted(ALL.keys() | await consumer.topics()))  # dead letters have topics of their own
        while quiet < 3 or not read:
            batches = await consumer.getmany(timeout_ms=500)
            quiet = 0 if batches else quiet + 1
            for record in (record for batch in batches.values() for record in batch):
                read += f"{record.key!r} {record.headers!r} {record.value!r}\n"
    finally:
        await consumer.stop()
    return read


async def test_no_secret_of_a_whole_life_is_seen_and_a_planted_one_is(watched: Watched) -> None:
    demo = Demo(watched.state, json.loads((watched.state / "platform.json").read_text()))
    await demo.run()
    demo.http = httpx.AsyncClient(base_url=demo.url, timeout=30, trust_env=False)
    await connect_by_link(demo)
    await sign_in(demo)
    await asyncio.to_thread(watched.tell, "dump")  # with a sign-in under way and everything connected
    pages = await fail_in_many_ways(demo)
    await demo.call("acme-anna", "DELETE", "/v1/connection")
    await demo.call("acme-admin", "DELETE", "/v1/tenant")
    await asyncio.to_thread(watched.tell, "dump")
    seen = watched.seen() | {"pages": "\n".join(pages), "events": await all_records(demo.bootstrap)}
    await demo.http.aclose()
    await demo.microsoft.aclose()
    secrets = watched.secrets()
    assert {kind for kind, _ in secrets} >= KINDS
    names = ("seen-log.txt", "seen-spans.txt", "seen-metrics.txt", "seen-rows.txt")
    assert all(len(seen[name]) > 500 for name in names)
    assert "tenant_copy" in seen["seen-rows.txt"]
    assert found_in(seen, secrets) == set()
    await asyncio.to_thread(watched.tell, "leak")
    assert ("refresh_token", "seen-log.txt") in found_in(watched.seen(), secrets)
