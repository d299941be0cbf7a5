"""What is seen of the whole platform from outside, on one that all these tests share."""

import asyncio
import json
import os
import re
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer

from dev.demo import Demo, Json

from . import switching
from .conftest import ROOT, RunningPlatform
from .generating import DOCUMENTS, ask_everything
from .visiting import CONNECT, Visitor, fields_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
STRANGERS = ["globex-carl", "globex-admin", "acme-ben"]


def routes() -> Iterator[tuple[str, str]]:
    """Method and path template of every public operation that names something by its id."""
    for path in sorted((ROOT / "contracts/openapi").glob("*.json")):
        for template, methods in json.loads(path.read_text())["paths"].items():
            # An upload's address is its secret, and a link's. A folder that mail follows is one of the caller's own
            # mailbox, and none of Prospo's.
            if "{" in template and not template.startswith(("/v1/uploads/", "/v1/files/shared/", "/v1/mail/mailbox/")):
                yield from ((method.upper(), template) for method in methods)


def ids_of(meeting: dict[str, Any]) -> dict[str, str]:
    """Path parameter → Anna's real id."""
    transcript_id = meeting["transcript"]["content_url"].rsplit("/", 1)[1]
    return {
        "meeting_id": meeting["id"],
        "transcript_id": transcript_id,
        "artefact_id": transcript_id,
        "file_id": meeting["recording"]["content_url"].split("/")[3],
    }


async def ids_of_contacts(demo: Demo, run: dict[str, Any]) -> dict[str, str]:
    """The same of what Anna imported."""
    (contact,) = (await demo.call("acme-anna", "GET", "/v1/contacts", params={"limit": 1})).json()["items"]
    return {"run_id": run["id"], "folder_id": run["folders"][0]["id"], "contact_id": contact["id"]}


async def ids_of_upload(demo: Demo) -> dict[str, str]:
    """The same of a file that Anna uploads, with a link to it."""
    key = {"Idempotency-Key": "walked"}
    more: Json = {"params": {"name": "walked.txt"}, "content": b"walked", "headers": key}
    file = (await demo.call("acme-anna", "POST", "/v1/files/uploads/small", **more)).json()
    link = (await demo.call("acme-anna", "POST", f"/v1/files/{file['id']}/links", json={})).json()
    return {"file_id": file["id"], "link_id": link["id"]}


def ids_of_mail(conversation: Json) -> dict[str, str]:
    """The same of what Anna wrote."""
    sent = conversation["messages"][0]
    about = {"conversation_id": conversation["id"], "message_id": sent["id"], "mail_id": sent["mail_id"]}
    return about | {"attachment_id": sent["attachments"][0]["id"]}


async def ids_of_series(demo: Demo) -> dict[str, str]:
    """The same of a series of meetings, which is cancelled at once."""
    start = datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(days=1)
    times = {"start": start.isoformat(), "end": (start + timedelta(minutes=30)).isoformat()}
    wanted = {"subject": "Daily", "repeats": {"every": "day", "count": 2}} | times
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    made = (await demo.call("acme-anna", "POST", "/v1/meetings/series", json=wanted, headers=headers)).json()
    await demo.call("acme-anna", "DELETE", f"/v1/meetings/series/{made['id']}")
    return {"series_id": made["id"]}


@pytest.fixture
async def imported(demo: Demo) -> Json:
    """A finished import of Anna's contacts."""
    await demo.connect_tenant()
    await demo.connect_user()
    return await demo.import_contacts()


@pytest.fixture
async def written(demo: Demo, imported: Json) -> Json:
    """Anna's conversation with the contact that was imported."""
    assert imported["status"] == "finished"
    return await demo.write_and_be_answered()


async def ben_has_no_account(demo: Demo) -> None:
    """Anna invites him to her meetings; without an account he is a stranger to them."""
    if (await demo.call("acme-ben", "GET", "/v1/connection")).json()["status"] == "connected":
        await demo.call("acme-ben", "DELETE", "/v1/connection")

    async def refused() -> Json | None:
        answer: Json = (await demo.ask("acme-ben", "GET", "/v1/meetings/attended")).json()
        return answer if answer.get("code") == "account_not_connected" else None

    await demo.until(refused, "meetings knows that Ben has no account")


async def test_nobody_else_finds_what_is_annas(demo: Demo, held: Json, imported: Json, written: Json) -> None:
    """Neither the meeting with recording and transcript, nor her import, contacts, files and mail."""
    await ben_has_no_account(demo)
    ids = ids_of(held) | await ids_of_contacts(demo, imported) | ids_of_mail(written)
    ids |= await ids_of_series(demo)
    of_upload = ids | await ids_of_upload(demo)
    walked: set[str] = set()
    tokens = {persona: await demo.microsoft.prospo_token(persona) for persona in STRANGERS}
    for method, template in routes():
        known = of_upload if "/uploads/" in template or "/links" in template else ids
        path = re.sub(r"\{(\w+)\}", lambda found, known=known: known[found[1]], template)  # type: ignore[misc]
        if method == "GET":
            await demo.call("acme-anna", method, path)
        for token in tokens.values():
            headers = {"Authorization": f"Bearer {token}"}
            answer = await demo.http.request(method, path, headers=headers, json={} if method != "GET" else None)
            assert answer.status_code == 404, f"{method} {template}: {answer.status_code} {answer.text}"
        walked.add(template)
    assert {"/v1/meetings/{meeting_id}", "/v1/transcripts/{transcript_id}", "/v1/files/{file_id}/content"} <= walked
    assert {"/v1/contacts/{contact_id}", "/v1/contacts/imports/{run_id}/rows"} <= walked
    assert {"/v1/mail/{mail_id}", "/v1/mail/messages/{message_id}/body"} <= walked


async def test_the_log_of_the_main_job_holds_no_secret(demo: Demo, held: Json) -> None:
    assert held["ended"]
    secrets = [row["clientState"] for row in (await demo.microsoft.state())["subscriptions"]]
    assert len(secrets) >= 2
    written = "".join(path.read_text(errors="replace") for path in demo.state.glob("*.log"))
    assert "partitions.assigned" in written
    assert [secret for secret in secrets if secret in written] == []
    assert re.search(r"eyJ[\w-]{8,}\.[\w-]+\.", written) is None
    assert re.search(r"[?&]code=1\.", written) is None


@pytest.fixture
async def archive(demo: Demo, platform: RunningPlatform, tmp_path: Path) -> AsyncIterator[Path]:
    """The folder in which the program of the how-to page runs, as it stands there."""
    page = (ROOT / "docs/how-to/call-the-api-as-a-program.md").read_text()
    (tmp_path / "archive.py").write_text(page.partition("```python\n")[2].partition("```")[0])
    where = {"KAFKA": demo.bootstrap, "ISSUER": f"{platform.described['simulator_url']}/prospo-issuer", "API": demo.url}
    secret = {"CLIENT_SECRET": "for-development-only"}
    program = await asyncio.create_subprocess_exec(
        sys.executable, "archive.py", cwd=tmp_path, env={**os.environ, **where, **secret}
    )
    yield tmp_path
    program.kill()
    await program.wait()


async def test_another_teams_program_gets_the_bytes_and_is_noted(demo: Demo, held: Json, archive: Path) -> None:
    file_id = ids_of(held)["file_id"]
    copy = archive / f"{file_id}.mp4"

    async def there() -> Json | None:
        return {"yes": True} if copy.exists() else None

    await demo.until(there, "the program of the how-to page has the recording")
    assert copy.read_bytes() == (await demo.call("acme-anna", "GET", f"/v1/files/{file_id}/content")).content
    trail = (await demo.call("acme-admin", "GET", "/v1/files/audit", params={"action": "file.read"})).json()["items"]
    lines = [line for line in trail if line["target"] == file_id]
    assert [(line["actor"], line["details"]["user_id"]) for line in lines] == [("program:acme-archive", "acme-anna")]


async def test_an_ordinary_client_reads_at_the_address_that_is_kept(demo: Demo, held: Json) -> None:
    assert demo.bootstrap == f"127.0.0.1:{(demo.state / 'kafka-port').read_text()}"
    assert await told(demo, "recording.imported", meeting_id=held["id"])


async def test_an_import_of_contacts_is_told_to_an_ordinary_client(demo: Demo, imported: Json) -> None:
    """A new person in Outlook comes through the gateway to the event, which names nobody."""
    mine = await told(demo, "contacts.imported", run_id=imported["id"])
    assert (mine["user_id"], mine["created"]) == ("acme-anna", imported["outcome"]["created"])
    assert mine["created"] >= 1
    assert "@" not in json.dumps(mine)


async def told(demo: Demo, topic: str, **about: str) -> Json:
    """The event about this, which a client in a group of its own reads on the topic from its beginning."""
    group = f"another-{uuid.uuid4()}"
    consumer = Consumer({"bootstrap.servers": demo.bootstrap, "group.id": group, "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    try:
        while messages := await asyncio.to_thread(consumer.consume, 1, 30):
            event: Json = json.loads(messages[0].value()) if messages[0].error() is None else {}
            if about.items() <= event.items():
                return event
    finally:
        await asyncio.to_thread(consumer.close)
    raise AssertionError(f"No event of {topic} is about {about}.")


@pytest.fixture
async def visitor(unconnected: Demo) -> AsyncIterator[Visitor]:
    made = Visitor(unconnected.url, unconnected.microsoft)
    await made.connect_the_organisation()
    yield made
    await made.http.aclose()


async def test_both_ways_in_lead_back_to_where_the_person_was(visitor: Visitor) -> None:
    await visitor.become("acme-anna")
    ended = await visitor.go(
        CONNECT, fields_of(await visitor.page("/meetings/new"), "Connect Now"), "anna@contoso.example"
    )
    assert ended.headers["location"] == "/meetings/new"
    assert "Schedule and invite" in await visitor.page("/meetings/new")

    await visitor.become("acme-ben")
    fields = fields_of(await visitor.page("/integrations"), "Connect Microsoft Account")
    refused = await visitor.go(CONNECT, fields, "anna@contoso.example")
    assert refused.status_code == 409
    assert "Another person of your organisation" in refused.text
    assert 'href="/integrations"' in refused.text
    assert "Support code" in refused.text

    ended = await visitor.go(CONNECT, fields, "ben@contoso.example")
    assert ended.headers["location"] == "/integrations"
    assert "ben@contoso.example" in await visitor.page("/integrations")

    assert "What your administrator has to allow" not in await visitor.page("/integrations")


async def test_an_unusable_account_is_told_where_the_sign_in_began(visitor: Visitor) -> None:
    await visitor.become("acme-anna")
    fields = fields_of(await visitor.page("/meetings/new"), "Connect Now")
    refused = await visitor.go(CONNECT, fields, "unlicensed@contoso.example")
    assert refused.status_code == 409
    assert "no mailbox in Exchange Online" in refused.text
    assert "Ask your Microsoft 365 administrator" in refused.text
    assert 'href="/meetings/new"' in refused.text
    assert "Connect Now" in await visitor.page("/meetings/new")


async def test_the_switch_acts_at_once_and_a_disconnect_ends_it(demo: Demo) -> None:
    """One journey for all of it: to begin another one takes longer than the rest."""
    await demo.connect_tenant()
    await demo.record_automatically()
    await demo.connect_user()
    await switching.hold_while_off(demo)
    await switching.hold_when_on_again(demo)
    later = await switching.record_by_hand_while_off(demo)
    await switching.leave_microsoft(demo, later)
    await switching.leave_microsoft_alone(demo, later)


@pytest.mark.parametrize("service", DOCUMENTS)
async def test_generated_requests_are_answered_as_described(service: str, demo: Demo) -> None:
    """As an organisation that no other test uses: they reach its hourly limits, and end its connection."""
    headers = {"Authorization": f"Bearer {await demo.microsoft.prospo_token('globex-admin')}"}
    await asyncio.to_thread(ask_everything, service, demo.url, headers)
