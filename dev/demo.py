"""``make demo``: the main job through the public API, every step and every event printed as it happens.

Works against the running platform, or starts one for the while. An interrupted demo is finished by the next: the
meeting's idempotency key is kept beside the platform's state until the record is complete.
"""

import argparse
import asyncio
import json
import sys
import time
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from dev.embedded.child import NotStarted, running, start_platform
from m365_simulator.client import SimulatorClient
from m365_simulator.tls import usual_trust
from shared.events import ALL

PATIENCE_S = 150
"""What a killed worker held is another's after 90 s."""
SITE = "https://contoso.sharepoint.example/sites/Sales"
Json = dict[str, Any]


class DemoFailed(Exception):
    """A step of the main job did not happen."""


class Demo:
    """One person's view of the platform: its gateway, Microsoft's pages, and the events."""

    def __init__(self, state: Path, described: Json) -> None:
        self.state = state
        self.url: str = described["url"]
        self.bootstrap: str = described["kafka_bootstrap_servers"]
        self.microsoft = SimulatorClient(described["simulator_url"])
        self.http = httpx.AsyncClient(base_url=self.url, timeout=30, trust_env=False, verify=usual_trust())
        self.seen: dict[str, tuple[str, Json]] = {}
        self.client = ""
        """The address of the contact that was imported."""

    async def run(self) -> None:
        reading = asyncio.create_task(self.print_events())
        try:
            await self.connect_tenant()
            await self.record_automatically()
            await self.connect_user()
            meeting = await self.schedule()
            await self.let_it_happen(meeting)
            record = await self.wait_for_artefacts(meeting["id"])
            run = await self.import_contacts()
            conversation = await self.write_and_be_answered()
            file = await self.keep_in_sharepoint()
            await self.check_events(record["id"], run["id"], conversation, file["id"])
            await self.print_record(record)
            (self.state / "demo.json").unlink(missing_ok=True)
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            await self.http.aclose()

    async def call(self, persona: str, method: str, path: str, **more: Any) -> httpx.Response:
        return self.good(await self.ask(persona, method, path, **more))

    async def try_to(self, persona: str, method: str, path: str, **more: Any) -> Json | None:
        """None for a 409: an event has not reached the service yet; and for a 412: one just did."""
        answer = await self.ask(persona, method, path, **more)
        return None if answer.status_code in {409, 412} else self.good(answer).json()

    async def ask(self, persona: str, method: str, path: str, **more: Any) -> httpx.Response:
        token = await self.microsoft.prospo_token(persona)
        headers = {"Authorization": f"Bearer {token}", **more.pop("headers", {})}
        return await self.http.request(method, path, headers=headers, **more)

    @staticmethod
    def good(answer: httpx.Response) -> httpx.Response:
        if answer.is_error:
            asked = f"{answer.request.method} {answer.request.url.path}"
            raise DemoFailed(f"{asked} answered {answer.status_code}: {answer.text}")
        return answer

    async def connect_tenant(self) -> None:
        step("The Org Admin connects the organisation's tenant")
        tenant = (await self.call("acme-admin", "GET", "/v1/tenant")).json()
        if tenant["status"] != "connected":
            if tenant["status"] != "proving":
                started = (await self.call("acme-admin", "POST", "/v1/tenant/consent", json={})).json()
                back = await self.microsoft.approve_admin_consent(started["consent_url"], "admin@contoso.example")
                key = {"browser_key": started["browser_key"]}
                answer = await self.call("acme-admin", "POST", "/v1/tenant/consent/complete", json=query_of(back) | key)
                back = await self.microsoft.sign_in(answer.json()["sign_in_url"], "admin@contoso.example")
                await self.call("acme-admin", "POST", "/v1/tenant/consent/sign-in", json=query_of(back) | key)
                say("consented, and signed in as an administrator of that tenant")
            tenant = await self.until(self.tenant_connected, "the tenant is proven")
        say(f"connected to {tenant['display_name']} ({tenant['tid']})")

    async def tenant_connected(self) -> Json | None:
        tenant: Json = (await self.call("acme-admin", "GET", "/v1/tenant")).json()
        if tenant["status"] == "failed":
            raise DemoFailed(f"The tenant could not be connected: {tenant['problem']}")
        return tenant if tenant["status"] == "connected" else None

    async def record_automatically(self) -> None:
        step("The Org Admin turns auto-recording on")
        features = await self.until(lambda: self.switch("auto_recording", on=True), "auto-recording is on")
        say(f"features: {features}")

    async def switch(self, name: str, *, on: bool) -> Json | None:
        """A switch of the organisation; all of them as they are then, or None while what it needs is not known."""
        tenant = await self.call("acme-admin", "GET", "/v1/tenant")
        features: Json = tenant.json()["features"]
        if features[name] == on:
            return features
        wanted: Json = {"json": {name: on}, "headers": {"If-Match": tenant.headers["etag"]}}
        changed = await self.try_to("acme-admin", "PATCH", "/v1/tenant/features", **wanted)
        return changed and changed["features"]

    async def connect_user(self) -> None:
        step("Anna connects her Microsoft account")
        connection = (await self.call("acme-anna", "GET", "/v1/connection")).json()
        if connection["status"] != "connected":
            started = await self.until(self.start_sign_in, "user-auth knows the tenant")
            back = await self.microsoft.sign_in(started["authorize_url"], "anna@contoso.example")
            body = query_of(back) | {"browser_key": started["browser_key"]}
            await self.call("acme-anna", "POST", "/v1/connection/complete", json=body)
            connection = (await self.call("acme-anna", "GET", "/v1/connection")).json()
        say(f"signed in as {connection['account']['name']} <{connection['account']['email']}>")

    async def start_sign_in(self) -> Json | None:
        body = {"return_to": "/meetings/new"}
        return await self.try_to("acme-anna", "POST", "/v1/connection/sign-in", json=body)

    async def schedule(self) -> Json:
        step("Anna schedules a Teams meeting")
        kept = self.state / "demo.json"
        if not kept.exists():
            start = (await self.latest_now() + timedelta(minutes=30)).replace(second=0, microsecond=0)
            body = {
                "subject": "Quarterly review",
                "start": start.isoformat(),
                "end": (start + timedelta(minutes=30)).isoformat(),
                "attendees": [{"email": "ben@contoso.example", "name": "Ben"}, {"email": "client@customer.example"}],
            }
            kept.write_text(json.dumps({"key": str(uuid.uuid4()), "body": body}))
        request = json.loads(kept.read_text())
        meeting: Json = await self.until(lambda: self.post_meeting(request), "meetings knows Anna's connection")
        if not meeting["join_url"]:
            meeting = await self.until(lambda: self.meeting_if(meeting["id"], "join_url"), "the join link is there")
        say(f"join link {meeting['join_url']}")
        # A meeting booked before meetings knew of the switch follows it a moment later.
        return await self.until(lambda: self.meeting_if(meeting["id"], "auto_recording"), "it records by itself")

    async def latest_now(self) -> datetime:
        """Microsoft's clock is ahead after an earlier demo, and it turns nothing on for a meeting that has begun."""
        return max(datetime.now(UTC), datetime.fromisoformat((await self.microsoft.state())["now"]))

    async def post_meeting(self, request: Json) -> Json | None:
        key = {"Idempotency-Key": request["key"]}
        return await self.try_to("acme-anna", "POST", "/v1/meetings", json=request["body"], headers=key)

    async def meeting_if(self, meeting_id: str, field: str) -> Json | None:
        meeting: Json = (await self.call("acme-anna", "GET", f"/v1/meetings/{meeting_id}")).json()
        if meeting["status"] == "failed":
            raise DemoFailed(f"The meeting could not be scheduled: {meeting['problem']}")
        return meeting if meeting[field] else None

    async def let_it_happen(self, meeting: Json) -> None:
        step("The meeting takes place (the simulator's clock moves on)")
        await self.until(self.subscribed, "recording-ingest listens for Anna's recordings")
        await self.microsoft.let_meeting_happen(meeting["join_url"])
        say("held, recorded and transcribed by Microsoft")

    async def subscribed(self) -> Json | None:
        resources = " ".join(row["resource"] for row in (await self.microsoft.state())["subscriptions"])
        return {"yes": True} if "getAllRecordings" in resources and "getAllTranscripts" in resources else None

    async def wait_for_artefacts(self, meeting_id: str) -> Json:
        step("The recording and the transcript arrive in the meeting record by themselves")
        record: Json = await self.until(lambda: self.complete_record(meeting_id), "both are imported")
        say("both are imported")
        return record

    async def complete_record(self, meeting_id: str) -> Json | None:
        record: Json = (await self.call("acme-anna", "GET", f"/v1/meetings/{meeting_id}")).json()
        for kind in ("recording", "transcript"):
            if (record[kind] or {}).get("status") == "unavailable":
                raise DemoFailed(f"The {kind} will not arrive: {record[kind]['reason']}")
        arrived = all((record[kind] or {}).get("status") == "imported" for kind in ("recording", "transcript"))
        return record if arrived and record["ended"] else None

    async def import_contacts(self) -> Json:
        """The import, finished; it brings at least the contact that it puts into Anna's Outlook first."""
        step("Anna imports her Outlook contacts")
        address = f"client-{uuid.uuid4().hex[:8]}@customer.example"
        contact = {"givenName": "Clara", "surname": "Client", "emailAddresses": [{"address": address}]}
        await self.microsoft.do("contact_add", user="anna@contoso.example", contact=contact)
        found = await self.until(self.contact_folders, "contacts knows Anna's connection")
        body = {"folders": [folder["id"] for folder in found["items"]]}
        key = {"Idempotency-Key": str(uuid.uuid4())}
        made = (await self.call("acme-anna", "POST", "/v1/contacts/imports", json=body, headers=key)).json()
        plan = await self.until(lambda: self.import_if(made["id"], "planned"), "the preview is there")
        say(f"preview     {plan['plan']}")
        await self.call("acme-anna", "POST", f"/v1/contacts/imports/{made['id']}/start", json={})
        run = await self.until(lambda: self.import_if(made["id"], "finished"), "the import is finished")
        listed = (await self.call("acme-anna", "GET", "/v1/contacts", params={"query": address})).json()["items"]
        if [one["emails"] for one in listed] != [[address]]:
            raise DemoFailed(f"The contact with the address {address} was not imported once: {listed}")
        say(f"imported    {run['outcome']}, among them {listed[0]['name']} <{address}>")
        self.client = address
        return run

    async def contact_folders(self) -> Json | None:
        return await self.try_to("acme-anna", "GET", "/v1/contacts/folders")

    async def import_if(self, run_id: str, status: str) -> Json | None:
        run: Json = (await self.call("acme-anna", "GET", f"/v1/contacts/imports/{run_id}")).json()
        if run["status"] == "failed":
            raise DemoFailed(f"The contacts could not be imported: {run['problem']}")
        return run if run["status"] == status else None

    async def write_and_be_answered(self) -> Json:
        """The conversation with the contact: Anna's mail is there by itself, its answer with the next look."""
        step("Anna writes to the contact from Prospo, and the contact answers")
        file = await self.until(self.put_file, "mail knows of the connection")
        body = {"to": [{"email": self.client}], "subject": "Our offer", "body": "Here it is.", "files": [file["id"]]}
        key = {"Idempotency-Key": str(uuid.uuid4())}
        mail = (await self.call("acme-anna", "POST", "/v1/mail", json=body, headers=key)).json()
        first = await self.until(lambda: self.conversation_of(1), "the mail is in the conversation")
        sent = first["messages"][0]
        if sent["mail_id"] != mail["id"]:
            raise DemoFailed(f"The conversation has another mail than the one that was sent: {sent}")
        answer = {"subject": "RE: Our offer", "text": "We take it.", "reply_to": sent["message_id"]}
        await self.microsoft.do("mail_arrives", user="anna@contoso.example", sender=self.client, **answer)
        await self.call("acme-anna", "POST", "/v1/mail/mailbox/refresh")  # Microsoft tells of no mail without Mail.Read
        whole = await self.until(lambda: self.conversation_of(2), "the answer is in the same conversation")
        for one in whole["messages"]:
            say(f"{one['direction']:<11} {one['subject']}: {one['preview']}")
        return whole

    async def put_file(self) -> Json | None:
        named, offer = {"name": "offer.txt"}, b"10 pieces, 100 EUR"
        return await self.try_to("acme-anna", "POST", "/v1/mail/files", params=named, content=offer)

    async def conversation_of(self, messages: int) -> Json | None:
        path = "/v1/mail/conversations"
        found = (await self.call("acme-anna", "GET", path, params={"address": self.client})).json()["items"]
        if not found or found[0]["messages"] < messages:
            return None
        whole: Json = (await self.call("acme-anna", "GET", f"{path}/{found[0]['id']}")).json()
        return whole

    async def keep_in_sharepoint(self) -> Json:
        """A file of Anna's in the library that the Org Admin chooses. Later files go to Prospo's own storage again."""
        step("The Org Admin chooses a library in SharePoint, and Anna keeps a file there")
        await self.granted_site()
        chosen = (await self.call("acme-admin", "PUT", "/v1/storage/location", json={"address": SITE})).json()
        if not chosen["chosen"]:
            raise DemoFailed(f"The library could not be chosen: {chosen['steps']}")
        await self.until(lambda: self.switch("sharepoint_storage", on=True), "tenant-connector knows the library")
        await self.until(lambda: self.location_if(in_use=True), "storage knows that SharePoint is switched on")
        name, offer = f"offer-{uuid.uuid4().hex[:8]}.txt", b"10 pieces, 100 EUR"
        key = {"Idempotency-Key": str(uuid.uuid4())}
        to, named = "/v1/files/uploads/small", {"name": name, "content_type": "text/plain"}
        file: Json = (await self.call("acme-anna", "POST", to, params=named, content=offer, headers=key)).json()
        await self.until(lambda: self.in_sharepoint(file["id"]), "the file is in SharePoint")
        if (await self.call("acme-anna", "GET", f"/v1/files/{file['id']}/content")).content != offer:
            raise DemoFailed("The file that SharePoint gives is not the one that was sent.")
        say(f"kept        {name} in {chosen['name']} ({SITE})")
        await self.until(lambda: self.switch("sharepoint_storage", on=False), "SharePoint is switched off")
        await self.until(lambda: self.location_if(in_use=False), "storage knows that SharePoint is switched off")
        return file

    async def granted_site(self) -> None:
        """What administrators of theirs do: the site is there, and Prospo may write to it."""
        path = urlsplit(SITE).path
        if path not in [row["path"] for row in (await self.microsoft.state())["sites"]]:
            await self.microsoft.do("site_add", tenant="contoso.example", name=path.rpartition("/")[2])
        await self.microsoft.do("site_grant", site=path, role="write")

    async def in_sharepoint(self, file_id: str) -> Json | None:
        found = (await self.call("acme-admin", "GET", "/v1/storage/files", params={"placed": "sharepoint"})).json()
        return next((one for one in found["items"] if one["id"] == file_id and one["state"] == "stored"), None)

    async def location_if(self, *, in_use: bool) -> Json | None:
        shown: Json = (await self.call("acme-admin", "GET", "/v1/storage/location")).json()
        return shown if shown["in_use"] == in_use else None

    async def check_events(self, meeting_id: str, run_id: str, conversation: Json, file_id: str) -> None:
        wanted = {
            "meeting.scheduled",
            "meeting.ended",
            "recording.imported",
            "transcript.imported",
            "contacts.imported",
            "mail.sent",
            "mail.received",
            "file.stored",
        }
        about = {meeting_id, run_id, conversation["id"], conversation["messages"][0]["mail_id"], file_id}
        named = ("meeting_id", "run_id", "mail_id", "kept_in", "file_id")

        async def all_seen() -> Json | None:
            told = self.seen.values()
            mine = [topic for topic, data in told if about & {data.get(name) for name in named}]
            return {"seen": mine} if wanted <= set(mine) else None

        seen = (await self.until(all_seen, f"the events {', '.join(sorted(wanted))} are on Kafka"))["seen"]
        doubled = [topic for topic in wanted - {"meeting.ended"} if seen.count(topic) != 1]
        if doubled:
            raise DemoFailed(f"These events came more than once with different ids: {doubled}")

    async def print_record(self, record: Json) -> None:
        step("The meeting record")
        recording, transcript = record["recording"], record["transcript"]
        video = await self.call("acme-anna", "GET", recording["content_url"], headers={"Range": "bytes=0-1023"})
        if video.status_code != 206:
            raise DemoFailed(f"The recording is not playable in ranges: {video.status_code}")
        say(f"subject     {record['subject']}, {record['status']} ({record['ended']['source']})")
        say(f"join link   {record['join_url']}")
        say(f"attendees   {', '.join(person['email'] for person in record['attendees'])}")
        say(f"recording   {recording['size_bytes']} bytes in {recording['location']}")
        say(f"            {self.url}{recording['content_url']}")
        say(f"transcript  speakers: {', '.join(transcript['speakers'])}")
        said = (await self.call("acme-anna", "GET", transcript["content_url"])).json()
        for line in said["lines"][:3]:
            say(f"            {line['speaker']}: {line['text']}")

    async def print_events(self) -> None:
        often = {"metadata_max_age_ms": 1000}  # a topic is there with its first event
        consumer = AIOKafkaConsumer(bootstrap_servers=self.bootstrap, auto_offset_reset="earliest", **often)
        await consumer.start()
        try:
            consumer.subscribe(sorted(ALL))
            async for message in consumer:
                headers = {name: value.decode() for name, value in message.headers}
                identity = headers.get("ce_id", f"{message.topic}/{message.partition}/{message.offset}")
                if identity not in self.seen and message.value is not None:  # a tombstone: somebody was erased
                    self.seen[identity] = (message.topic, json.loads(message.value))
                    say(f"event  {message.topic:<22} {headers.get('ce_source', ''):<18} {identity}")
        finally:
            await consumer.stop()

    async def until(self, look: Callable[[], Awaitable[Json | None]], what: str) -> Json:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            found = await look()
            if found is not None:
                return found
            await asyncio.sleep(0.2)
        raise DemoFailed(f"Waited {PATIENCE_S} s and it did not come true that {what}.")


def query_of(url: str) -> Json:
    return dict(parse_qsl(urlsplit(url).query))


def step(sentence: str) -> None:
    print(f"\n● {sentence}", flush=True)


def say(line: str) -> None:
    print(f"  {line}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m dev.demo")
    parser.add_argument("--state-dir", type=Path, default=Path(".run"))
    parser.add_argument("--port", type=int, default=8365, help="for the platform it starts when none runs")
    given = parser.parse_args()
    state: Path = given.state_dir.resolve()
    process, described = None, running(state)
    try:
        if described is None:
            process, described = start_platform(state, given.port)
        asyncio.run(Demo(state, described).run())
    except (DemoFailed, NotStarted) as failure:
        sys.exit(f"\nThe demo failed. {failure}")
    except (httpx.HTTPError, KafkaError) as error:
        sys.exit(f"\nThe demo failed: the platform went away ({type(error).__name__}). Run it again; it goes on.")
    finally:
        if process is not None:
            process.terminate()
            process.wait(timeout=30)
    print("\nThe main job is done, every step of it.")


if __name__ == "__main__":
    main()
