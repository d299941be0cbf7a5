"""Reading messages of a mailbox: pages of a round or of a search, of which only mail with contacts is kept.

Of every message addresses, subject and ids are looked at; text, headers and attachments are read of those with a
contact that are not kept yet. A message never changes once it is sent, so nothing is read twice. What left its folder
is asked for by its id: only what is gone, or lies in Deleted Items or Junk, was deleted.
"""

import asyncio
import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from mail import address_queries, mailbox_queries, message_queries, outlook, queries
from mail.addresses import key_of
from mail.outlook import Looked, Text
from mail.refusals import SWITCH
from mail.settings import Settings
from mail.threads import Arrival
from shared.connections import Connection, connection_of
from shared.database.outbox import uuid7
from shared.events import MailReceived
from shared.graph import GraphCaller
from shared.graph.errors import GraphNotFound
from shared.jobs.job import Job, JobWork
from shared.mailboxes import folders as mailbox_folders
from shared.mailboxes import following
from shared.mailboxes.folders import whose
from shared.secrets import Envelope

VERIFIED_AT_ONCE = 200
LATE = timedelta(hours=1)
"""A message may reach the folder so long after the time that it bears."""
LISTED = {
    "code": "mailbox_full",
    "detail": "Your mailbox is full, so Microsoft does not tell what changed. Prospo reads the whole folder instead, "
    "which takes longer. Make room in Outlook.",
}
FOLDER_GONE = {"code": "folder_gone", "detail": "The folder is not in Outlook any more. What was read of it stays."}


class Reader:
    """Reads for one person, for as long as account and switch allow it."""

    def __init__(
        self,
        job: Job,
        person: Connection,
        caller: GraphCaller,
        envelope: Envelope,
        settings: Settings,
        sent_folder: str,
    ) -> None:
        self._job = job
        self._caller = caller
        self._envelope = envelope
        self._settings = settings
        self.whose = whose(job.org_id, person)
        self._sent = sent_folder
        self._own = key_of(person.account.email or "") or ""

    async def require_way(self, work: JobWork) -> None:
        """Raises ``Obstructed``; a change of account or switch waits for this transaction."""
        person = await connection_of(work.session, work.org_id, self.whose["user_id"], hold=True)
        person.require(switch=SWITCH, made_by=self.whose["account"])

    async def read(self, round_: dict[str, Any]) -> None:
        """One round over one folder, from wherever it stands."""
        path, size = outlook.messages_in(round_["folder_id"]), self._settings.mail_page_size
        params = {"$select": outlook.LOOKED_AT}
        page: following.FolderPage | None = None
        try:
            pages = following.changes(self._caller, path, params, cursor=round_["link"], page_size=size)
            async for page in pages:
                await self._keep_page(round_, page)
        except GraphNotFound as error:
            if error.code.lower() in outlook.GONE:
                raise
            async with self._job.unit_of_work(self.whose["user_id"]) as work:
                await mailbox_queries.has_problem(work.session, self.whose, round_["folder_id"], FOLDER_GONE)
            return
        await self._end(round_, page)

    async def _keep_page(self, round_: dict[str, Any], page: following.FolderPage) -> None:
        found = [one for item in page.items if (one := outlook.looked(item)) is not None]
        if page.first and page.full:  # from the beginning, perhaps since Graph forgot the state
            async with self._job.unit_of_work(self.whose["user_id"]) as work:
                round_["number"] = await mailbox_queries.next_round(work.session, self.whose)
            round_["skipped"] = {}
        round_["whole"] = round_["whole"] or page.full
        wanted = await self._wanted(found, round_)
        texts = await outlook.texts(self._caller, wanted)
        rows = await asyncio.to_thread(_rows, wanted, texts, self._settings.mail_body_max_bytes)
        async with self._job.unit_of_work(self.whose["user_id"]) as work:
            await self.require_way(work)
            await message_queries.lock(work.session, self.whose)
            await message_queries.left(work.session, self.whose, round_["folder_id"], page.left)
            await message_queries.seen(
                work.session, self.whose, {one.id: round_["folder_id"] for one in found}, round_["number"]
            )
            await self._keep(work, rows, round_["folder_id"], round_["number"], tell_from=round_["known_until"])
            _count(round_["skipped"], [row["skipped"] for row in rows if row["skipped"]])
            round_["link"], round_["listed"] = page.next_link or round_["link"], page.listed
            await mailbox_queries.go_on(work.session, self.whose, round_)

    async def _wanted(self, found: Sequence[Looked], round_: dict[str, Any]) -> list[Looked]:
        """Select what to read: mail with a contact, no draft, not too old, not kept yet. Count why others are not."""
        addresses = {address for one in found for address in one.addresses} - {self._own}
        ids = {one.id: one.folder_id or round_["folder_id"] for one in found}
        async with self._job.unit_of_work(self.whose["user_id"]) as work:
            known = await message_queries.known(work.session, self.whose, list(ids))
            contacts = await message_queries.with_contacts(work.session, self.whose, sorted(addresses))
            before = await mailbox_queries.forgotten_before(work.session, work.org_id)
        why = {one.id: _left_aside(one, contacts, before) for one in found if one.id not in known}
        _count(round_["skipped"], [reason for reason in why.values() if reason])
        return list({one.id: one for one in found if one.id in why and not why[one.id]}.values())

    async def _keep(
        self, work: JobWork, rows: list[dict[str, Any]], folder_id: str, number: int, *, tell_from: datetime | None
    ) -> None:
        """New messages in their conversations, sealed; each one that was received by now is told of."""
        if not rows:
            return
        keys = sorted({key for row in rows for key in row["keys"]})
        conversations = sorted({row["graph_conversation_id"] for row in rows} - {""})
        threads = await message_queries.threads(work.session, self.whose, keys, conversations)
        for row in sorted(rows, key=lambda row: (row["at"], row["id"])):
            others = frozenset(row["addresses"]) - {self._own}
            threads.place(Arrival(row["id"], row["keys"], row["graph_conversation_id"], others))
        places = [(row, name) for row in rows for name in ("preview", "body") if row[name] is not None]
        sealed = [(place(row["id"], name), row[name]) for row, name in places]
        boxes = await self._envelope.seal_all(work.session, work.org_id, sealed)
        for (row, name), box in zip(places, boxes, strict=True):
            row[name] = box
        for row in rows:
            conversation, why = threads.placed[row["id"]]
            row |= {"conversation_id": threads.now(conversation), "why": why}
            row["folder_id"] = folder_id or row["folder_id"]
            own = row["sender"] == self._own or row["folder_id"] == self._sent
            row["direction"] = "sent" if own else "received"
        added = await message_queries.add(work.session, self.whose, rows, threads, number)
        if tell_from is not None:
            new = [row for row in rows if row["id"] in added and row["direction"] == "received"]
            await self._tell(work, [row for row in new if row["at"] > tell_from - LATE])

    async def _tell(self, work: JobWork, rows: list[dict[str, Any]]) -> None:
        addresses = {address for row in rows for address in row["addresses"]}
        contacts = await address_queries.contacts_of(
            work.session, work.org_id, self.whose["user_id"], sorted(addresses - {self._own})
        )
        for row in sorted(rows, key=lambda row: (row["at"], row["id"])):
            found = {one for address in row["addresses"] for one in contacts.get(address, [])}
            work.outbox.add(
                MailReceived(
                    org_id=work.org_id,
                    aggregate_version=await queries.next_version(work.session, work.org_id, self.whose["user_id"]),
                    user_id=self.whose["user_id"],
                    message_id=row["graph_id"],
                    conversation_id=row["graph_conversation_id"],
                    received_at=row["at"],
                    kept_in=row["conversation_id"],
                    contact_ids=sorted(found)[:100],
                    has_attachments=any(not file["inline"] for file in row["attachments"]),
                )
            )

    async def _end(self, round_: dict[str, Any], page: following.FolderPage | None) -> None:
        async with self._job.unit_of_work(self.whose["user_id"]) as work:
            await self.require_way(work)
            if round_["whole"]:
                await message_queries.not_named(work.session, self.whose, round_["folder_id"], round_["number"])
                followed = await mailbox_queries.followed(work.session, self.whose)
                await message_queries.elsewhere(work.session, self.whose, [row.folder_id for row in followed])
            read = {"folder_id": round_["folder_id"], "name": round_["name"], "whole": round_["whole"]}
            read["delta_link"] = page.cursor if page is not None else None
            await mailbox_folders.have_read(work.session, self.whose, [read])
            await mailbox_queries.end(work.session, self.whose, round_, LISTED if round_["listed"] else None)

    async def verify(self) -> None:
        """Find the messages that left their folders."""
        gone_to: set[str] | None = None
        while True:
            async with self._job.unit_of_work(self.whose["user_id"]) as work:
                ids = await message_queries.doubted(work.session, self.whose, VERIFIED_AT_ONCE)
            if not ids:
                return
            if gone_to is None:
                gone_to = {one.id for one in (await outlook.well_known(self._caller, outlook.LEFT_OUT)).values()}
            found = {one: item async for one, item in following.still_there(self._caller, ids, outlook.whereabouts)}
            there = {one: str(item.get("parentFolderId") or "") for one, item in found.items() if item is not None}
            kept = {one: folder for one, folder in there.items() if folder not in gone_to}
            async with self._job.unit_of_work(self.whose["user_id"]) as work:
                await self.require_way(work)
                number = await message_queries.lock(work.session, self.whose)
                await message_queries.seen(work.session, self.whose, kept, number)
                await message_queries.remove(work.session, self.whose, sorted(found.keys() - kept.keys()))

    async def read_past(self, address: str, link: str | None, found: int) -> None:
        """Past mail with one address, wherever it lies in the mailbox, as far as Microsoft's search finds it."""
        gone_to = {one.id for one in (await outlook.well_known(self._caller, outlook.LEFT_OUT)).values()}
        most, size = self._settings.mail_past_max, self._settings.mail_page_size
        async for items, next_link in outlook.search(self._caller, address, link, size):
            looked = [one for item in items if (one := outlook.looked(item)) is not None]
            round_: dict[str, Any] = {"folder_id": "", "skipped": {}}
            wanted = [one for one in await self._wanted(looked, round_) if one.folder_id not in gone_to]
            texts = await outlook.texts(self._caller, wanted)
            rows = await asyncio.to_thread(_rows, wanted, texts, self._settings.mail_body_max_bytes)
            found += len(items)
            async with self._job.unit_of_work(self.whose["user_id"]) as work:
                await self.require_way(work)
                number = await message_queries.lock(work.session, self.whose)
                await self._keep(work, rows, "", number, tell_from=None)
                more = next_link if found < most else None
                await mailbox_queries.past_found(work.session, self.whose, address, more, found)
            if more is None:
                return


def place(message_id: str, part: str) -> str:
    """The associated data of a sealed part of a message (``preview``, ``body``)."""
    return f"message|{message_id}|{part}"


def _left_aside(one: Looked, contacts: set[str], before: datetime | None) -> str:
    if one.is_draft:
        return "draft"
    if not one.addresses & contacts:
        return "no_contact"
    return "too_old" if before is not None and one.at < before else ""


def _count(skipped: dict[str, int], reasons: Sequence[str]) -> None:
    for reason in reasons:
        skipped[reason] = skipped.get(reason, 0) + 1


def _rows(wanted: Sequence[Looked], texts: dict[str, Text], most: int) -> list[dict[str, Any]]:
    return [_row(one, texts[one.id], most) for one in wanted if one.id in texts]


def _row(one: Looked, text: Text, most: int) -> dict[str, Any]:
    said = {"html": text.html, "text": text.text, "unique": text.unique}
    body = json.dumps({name: value for name, value in said.items() if value}, ensure_ascii=False).encode()
    too_large = text.too_large or len(body) > most
    own = [one.internet_message_id] if one.internet_message_id else []
    return {
        "id": uuid7(),
        "graph_id": one.id,
        "folder_id": one.folder_id,
        "internet_message_id": one.internet_message_id,
        "graph_conversation_id": one.conversation_id,
        "subject": one.subject,
        "people": one.people,
        "addresses": sorted(one.addresses),
        "at": one.at,
        "preview": text.preview.encode() if text.preview else None,
        "body": None if too_large else body,
        "attachments": text.attachments,
        "keys": list(dict.fromkeys([*own, *text.references])),
        "sender": next((key_of(person["address"]) for person in one.people if person["kind"] == "from"), None),
        "skipped": "text_too_large" if too_large else "",
    }
