"""Whether people's contacts can be read. The service contacts tries it with people's tokens, which stay there."""

from datetime import datetime
from typing import Any

import httpx

from shared.settings import ServiceSettings
from shared.web.identity import ServiceTokens
from shared.web.internal import InternalClient
from tenant_connector.readiness import reasons
from tenant_connector.readiness.probes import PEOPLE_TRIED, Known
from tenant_connector.readiness.verdicts import Evidence, Found, Outcome, Unanswered

NAME = "contacts_access"
_NO_ANSWER = "Prospo's service for contacts could not be asked just now."
_NOT_ASKED = "The people who were tried are not connected any more, or contacts import was switched just now."


class ContactsClient:
    """Asks contacts to try Microsoft as some people."""

    def __init__(self, settings: ServiceSettings, service_tokens: ServiceTokens) -> None:
        self._internal = InternalClient(settings, service_tokens, timeout=60)

    async def aclose(self) -> None:
        await self._internal.aclose()

    async def look(self, org_id: str, known: Known) -> Outcome:
        """The verdict on ``contacts_access``. One person who is answered speaks for the tenant."""
        if not known.contacts_on:
            return reasons.contacts_off()
        people = sorted(known.people, key=lambda one: one.lacking)[:PEOPLE_TRIED]
        if not people:
            return reasons.nobody(NAME)
        tried = await self._ask(org_id, [person.user_id for person in people])
        if tried is None:
            return Unanswered(NAME, _NO_ANSWER)
        return _verdict(tried)

    async def _ask(self, org_id: str, user_ids: list[str]) -> list[dict[str, Any]] | None:
        try:
            answer = await self._internal.post("contacts", "contact-access", {"org_id": org_id, "user_ids": user_ids})
        except httpx.RequestError:
            return None
        if answer.status_code != httpx.codes.OK:
            return None
        tried: list[dict[str, Any]] = answer.json()["tried"]
        return tried


def _verdict(tried: list[dict[str, Any]]) -> Outcome:
    evidence = tuple(_evidence(one) for one in tried if one["status"])
    outcomes = {one["outcome"]: one for one in tried}
    if "read" in outcomes:
        return Found(NAME, "ready", reasons.CONTACTS_READ, evidence=evidence)
    if "no_answer" in outcomes:
        return Unanswered(NAME, f"Microsoft could not be asked just now: {outcomes['no_answer']['message']}")
    if "refused" in outcomes:
        return reasons.contacts_refused(outcomes["refused"]["message"], evidence)
    return Unanswered(NAME, _NOT_ASKED)


def _evidence(one: dict[str, Any]) -> Evidence:
    at = datetime.fromisoformat(one["at"])
    return Evidence("GET", one["path"], one["status"], at, one["code"], one["request_id"])
