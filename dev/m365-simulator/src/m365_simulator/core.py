"""The simulator itself: state, virtual clock, faults, and the background work of meetings and notifications."""

import asyncio
import contextlib
import datetime
import uuid
from typing import Any

import httpx
from fastapi import FastAPI

from .directory import revoke_tenant, seed_directory
from .settings import SimulatorSettings
from .signing import Signer
from .store import Row, Store
from .tls import ensure_certificates

FAULTS = {
    "throttle": "Graph answers 429 with Retry-After (retry_after seconds, 2 unless given)",
    "server_error": "Graph answers 503",
    "token_invalid_grant": "the token endpoint answers invalid_grant",
    "cut_download": "a recording's body ends half-way",
    "delay_artefacts": "recordings and transcripts take `seconds` longer",
    "drop_notifications": "a notification is lost",
    "duplicate_notifications": "a notification is sent twice",
    "revoke_consent": "at once: the consent of `tenant` is withdrawn",
}
ARTEFACT_DELAY_S = 300
TICK_S = 0.2
RETRY_FOR_S = 4 * 3600


def stamp(moment: datetime.datetime) -> str:
    return moment.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def moment_of(text: str) -> datetime.datetime:
    """An ISO time, UTC unless it says otherwise; raises ValueError."""
    found = datetime.datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=datetime.UTC)


def real_now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


class Simulator:
    """``app`` is the ASGI application; ``start`` and ``stop`` frame the background work."""

    def __init__(self, settings: SimulatorSettings, outbound: httpx.AsyncClient | None) -> None:
        self.settings = settings
        self.store = Store(settings.state_dir)
        seed_directory(self.store)
        self.certificate, self.key = ensure_certificates(settings.state_dir)
        self.entra = Signer(self.store, "entra")
        self.prospo = Signer(self.store, "prospo")
        self.outbound = outbound or httpx.AsyncClient(timeout=10)
        self.calls: list[Row] = []
        self.app: FastAPI
        self._background: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._background = asyncio.create_task(self._run(), name="simulator-background")

    async def stop(self) -> None:
        if self._background is not None:
            self._background.cancel()
            await asyncio.gather(self._background, return_exceptions=True)
        await self.outbound.aclose()
        self.store.close()

    async def _run(self) -> None:
        while True:
            self.tick()
            await self.deliver()
            await asyncio.sleep(TICK_S)

    def now(self) -> datetime.datetime:
        """Virtual time: the real clock plus what was skipped."""
        return real_now() + datetime.timedelta(seconds=self._setting("clock_offset_s") or 0)

    def advance(self, seconds: float) -> None:
        self.store.put("settings", "clock_offset_s", {"value": (self._setting("clock_offset_s") or 0) + seconds})

    def _setting(self, name: str) -> Any:
        return (self.store.get("settings", name) or {"value": None})["value"]

    @property
    def recording_size(self) -> int | None:
        size: int | None = self._setting("recording_size")
        return size

    def add_fault(self, name: str, body: Row) -> None:
        if name == "revoke_consent":
            for tenant in self.store.all("tenants"):
                if body.get("tenant") in (None, tenant["id"], tenant["domain"]):
                    revoke_tenant(self.store, tenant["id"])
            return
        self.store.put("faults", name, {"times": 1, **body})

    def take_fault(self, name: str) -> Row | None:
        """The fault, once, if it is due."""
        fault = self.store.get("faults", name)
        if fault is None:
            return None
        fault["times"] -= 1
        if fault["times"] <= 0:
            self.store.delete("faults", name)
        else:
            self.store.put("faults", name, fault)
        return fault

    def tick(self) -> None:
        """Let every meeting that is over have its artefacts."""
        for meeting in self.store.all("meetings"):
            if meeting["cancelled"] or meeting["happened"] or self.now() < self.ready_at(meeting):
                continue
            with self.store.together():
                delay = None if meeting["delay_s"] else self.take_fault("delay_artefacts")
                if delay is not None:
                    meeting["delay_s"] = delay.get("seconds", 600)
                else:
                    self._happen(meeting)
                self.store.put("meetings", meeting["id"], meeting)

    def ready_at(self, meeting: Row) -> datetime.datetime:
        return moment_of(meeting["end"]) + datetime.timedelta(seconds=ARTEFACT_DELAY_S + meeting["delay_s"])

    def let_happen(self, meeting: Row) -> None:
        """Move the clock past the meeting's end and its artefact delay; the meeting is then over."""
        missing = (self.ready_at(meeting) - self.now()).total_seconds()
        self.advance(max(0.0, missing + 1))
        self.tick()

    def _happen(self, meeting: Row) -> None:
        meeting["happened"] = True
        if not (meeting["recordAutomatically"] or meeting["recorded_by_hand"]):
            return
        call, pair = str(uuid.uuid4()), str(uuid.uuid4())
        kinds = ["recordings", *(["transcripts"] if meeting["allowTranscription"] is not False else [])]
        for kind in kinds:
            artefact = self._artefact(meeting, kind, call, pair)
            self.store.put("artefacts", artefact["id"], artefact)
            self.notify(artefact)

    def _artefact(self, meeting: Row, kind: str, call: str, pair: str) -> Row:
        return {
            "id": f"VjI{uuid.uuid4().hex}",
            "kind": kind,
            "meeting": meeting["id"],
            "tenant": meeting["tenant"],
            "organizer": meeting["organizer"],
            "callId": call,
            "contentCorrelationId": pair,
            "createdDateTime": meeting["start"],
            "endDateTime": meeting["end"],
            "available": stamp(real_now()),
        }

    def notify(self, artefact: Row) -> None:
        """Queue the notification for each subscription that covers the artefact."""
        kind = "getAllRecordings" if artefact["kind"] == "recordings" else "getAllTranscripts"
        covering = {
            f"users/{artefact['organizer']}/onlineMeetings/{kind}",
            f"communications/onlineMeetings/{kind}",
            f"communications/onlineMeetings/{artefact['meeting']}/{artefact['kind']}",
        }
        for subscription in self.store.all("subscriptions"):
            alive = moment_of(subscription["expirationDateTime"]) > real_now()
            if alive and subscription["tenant"] == artefact["tenant"] and subscription["resource"] in covering:
                self._queue(subscription, artefact)

    def _queue(self, subscription: Row, artefact: Row) -> None:
        if self.take_fault("drop_notifications"):
            return
        copies = 2 if self.take_fault("duplicate_notifications") else 1
        kind = "callRecording" if artefact["kind"] == "recordings" else "callTranscript"
        resource = f"communications/onlineMeetings('{artefact['meeting']}')/{artefact['kind']}('{artefact['id']}')"
        item = {
            "id": str(uuid.uuid4()),
            "subscriptionId": subscription["id"],
            "clientState": subscription.get("clientState"),
            "changeType": "created",
            "resource": resource,
            "resourceData": {"@odata.type": f"#Microsoft.Graph.{kind}", "@odata.id": resource, "id": artefact["id"]},
            "tenantId": artefact["tenant"],
            "subscriptionExpirationDateTime": subscription["expirationDateTime"],
        }
        now = real_now().timestamp()
        for _ in range(copies):
            key = str(uuid.uuid4())
            row = {"id": key, "url": subscription["notificationUrl"], "item": item, "queued": now}
            self.store.put("deliveries", key, {**row, "attempts": 0, "next": now})

    async def deliver(self) -> None:
        """One round of the deliveries that are due."""
        now = real_now().timestamp()
        due = [row for row in self.store.all("deliveries") if row["next"] <= now]
        await asyncio.gather(*(self._deliver(row) for row in due))

    async def _deliver(self, row: Row) -> None:
        status = None
        with contextlib.suppress(httpx.HTTPError):
            status = (await self.outbound.post(row["url"], json={"value": [row["item"]]})).status_code
        now = real_now().timestamp()
        if (status is not None and 200 <= status < 300) or now - row["queued"] > RETRY_FOR_S:
            self.store.delete("deliveries", row["id"])
            return
        row["attempts"] += 1
        row["next"] = now + min(60.0, 0.25 * 2 ** min(row["attempts"], 10))
        self.store.put("deliveries", row["id"], row)
