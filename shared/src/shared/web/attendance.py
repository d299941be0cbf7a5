"""Asks meetings whether a person reads a recording or transcript as an attendee whose organizer shares it.

Asked at each read and never kept: what the organizer takes back is closed at once.
"""

from typing import Literal

import httpx

from shared.problems import Unavailable
from shared.settings import ServiceSettings
from shared.web.identity import Identity, ServiceTokens
from shared.web.internal import InternalClient

_WITHIN_S = 3
"""A request of a person waits, and with it a connection to the database."""


class Attendance:
    """One connection pool to meetings."""

    def __init__(self, settings: ServiceSettings, service_tokens: ServiceTokens) -> None:
        self._internal = InternalClient(settings, service_tokens, _WITHIN_S)

    async def aclose(self) -> None:
        await self._internal.aclose()

    async def reads(self, caller: Identity, kind: Literal["recording", "transcript"], id_: str) -> bool:
        """``id_`` is the file of a recording, the artefact of a transcript. Raises ``Unavailable``."""
        asked = {"org_id": caller.org_id, "user_id": caller.user_id, "kind": kind, "id": id_}
        try:
            answer = await self._internal.post("meetings", "shared-artefacts", asked)
        except httpx.RequestError as error:
            raise _no_answer() from error
        if answer.status_code != httpx.codes.OK:
            raise _no_answer()
        return answer.json().get("readable") is True


def _no_answer() -> Unavailable:
    detail = "Whether this is shared with you cannot be told right now. Try again in a minute."
    return Unavailable("meetings_unreachable", detail, retry_after_s=60)
