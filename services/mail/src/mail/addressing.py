"""Following the addresses of contacts: asked of the service contacts after its events, kept in a copy of our own."""

from typing import Any

import httpx

from mail import address_queries, mailbox_queries
from mail.address_queries import Known
from mail.settings import Settings
from mail.work import ForgetStrangers, ReadPast
from shared.jobs import Again
from shared.jobs.job import Job, JobWork
from shared.web.identity import ServiceTokens
from shared.web.internal import InternalClient

_HELD_S = 2.0
"""A transaction of contacts that is still open keeps later changes back for about so long."""


class ContactsClient:
    """Asks contacts for pages of addresses."""

    def __init__(self, settings: Settings, service_tokens: ServiceTokens) -> None:
        self._internal = InternalClient(settings, service_tokens)
        self._page_size = settings.addresses_page_size

    async def aclose(self) -> None:
        await self._internal.aclose()

    async def changed(self, org_id: str, after: str) -> dict[str, Any]:
        """``items`` (contact_id, user_id, shared, addresses), ``cursor`` and ``more``. Raises ``Again``."""
        body = {"org_id": org_id, "after": after, "limit": self._page_size}
        try:
            answer = await self._internal.post("contacts", "addresses", body)
        except httpx.RequestError as error:
            raise Again("contacts does not answer", after_s=10, counts=False) from error
        if answer.status_code != httpx.codes.OK:
            raise Again(f"contacts answers {answer.status_code}", after_s=30, counts=False)
        page: dict[str, Any] = answer.json()
        return page


async def follow(job: Job, client: ContactsClient) -> None:
    """Read every page that there is since the last time, each kept in a transaction of its own."""
    more = True
    while more:
        async with job.unit_of_work() as work:
            cursor = await address_queries.cursor(work.session, job.org_id)
        page = await client.changed(job.org_id, cursor)
        async with job.unit_of_work() as work:
            if await address_queries.cursor(work.session, job.org_id) == cursor:
                await _keep(work, page["items"])
                await address_queries.set_cursor(work.session, job.org_id, page["cursor"])
        more = page["more"]
        if more and not page["items"]:
            raise Again("a transaction of contacts is open", after_s=_HELD_S, counts=False)


async def _keep(work: JobWork, items: list[dict[str, Any]]) -> None:
    """Keep changed addresses. New ones have past mail searched, removed ones have their conversations checked."""
    rows = [
        {"contact_id": item["contact_id"], "user_id": item["user_id"], "shared": item["shared"], "address": address}
        for item in items
        for address in dict.fromkeys(item["addresses"])
    ]
    ids = [item["contact_id"] for item in items]
    before = await address_queries.replace(work.session, work.org_id, ids, rows)
    after = {Known(row["user_id"], row["address"], row["shared"]) for row in rows}
    everybody = await mailbox_queries.everybody(work.session, work.org_id)
    was, now = _seen_by(before, everybody), _seen_by(after, everybody)
    for user_id in everybody:
        new = now.get(user_id, set()) - was.get(user_id, set())
        if new:
            await mailbox_queries.want_past(work.session, work.org_id, user_id, sorted(new))
            work.queue(ReadPast(user_id=user_id))
        if was.get(user_id, set()) - now.get(user_id, set()):
            work.queue(ForgetStrangers(user_id=user_id))


def _seen_by(known: set[Known], everybody: list[str]) -> dict[str, set[str]]:
    """Person → addresses, of people whose mailboxes are followed."""
    found: dict[str, set[str]] = {user_id: set() for user_id in everybody}
    for one in known:
        for user_id in everybody if one.shared else [one.user_id]:
            found.setdefault(user_id, set()).add(one.address)
    return found
