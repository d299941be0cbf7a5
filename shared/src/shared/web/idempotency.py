"""Idempotency-Key: one request makes one thing, however often it is sent.

A service has a table of keys of its own, ``request_key (org_id, user_id, key, request_hash, <thing>, created_at)``.
The key is claimed in the transaction that makes the thing, so that of two requests at the same moment the second waits
and finds the first one's.
"""

import hashlib
import json
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import Header
from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from shared.problems import BadInput, Conflict
from shared.web.identity import Identity
from shared.web.routes import HEADER_MAX
from shared.web.words import STORABLE

IdempotencyKey = Annotated[
    str | None, Header(alias="Idempotency-Key", max_length=HEADER_MAX, include_in_schema=False), STORABLE
]
"""For a route that says ``needs_header("Idempotency-Key", …)`` in its ``openapi_extra``."""


def fingerprint(request: dict[str, Any]) -> str:
    """The same for the same request, whatever the order of its members."""
    return hashlib.sha256(json.dumps(request, sort_keys=True, default=str).encode()).hexdigest()


def require_key(key: str | None) -> str:
    """Raises ``BadInput`` without a key."""
    if not key:
        raise BadInput("idempotency_key_required", "Send an Idempotency-Key header, the same one when you try again.")
    return key


class RequestKeys:
    """The keys of one service; ``thing`` is the column of what a request made."""

    def __init__(self, thing: str) -> None:
        mine = "org_id = :org_id AND user_id = :user_id"
        self._read = text(f"SELECT request_hash, {thing} AS made FROM request_key WHERE {mine} AND key = :key")
        self._claim = text(
            f"""INSERT INTO request_key (org_id, user_id, key, request_hash, {thing})
                VALUES (:org_id, :user_id, :key, :request_hash, :made) ON CONFLICT DO NOTHING RETURNING key"""
        )
        self._forget = text(
            f"""DELETE FROM request_key WHERE {mine}
                AND created_at < clock_timestamp() - make_interval(days => :keep_days)"""
        )

    async def once(
        self,
        session: AsyncSession,
        caller: Identity,
        key: str | None,
        request: dict[str, Any],
        make: Callable[[], Awaitable[None]],
        *,
        made: str,
        keep_days: int,
    ) -> str:
        """The id of what ``key`` stands for: ``made``, by ``make`` now, or by an earlier request.

        ``make`` may refuse before anything is written. Raises ``BadInput`` without a key and ``Conflict`` when it came
        with another request.
        """
        key = require_key(key)
        whose = {"org_id": caller.org_id, "user_id": caller.user_id}
        request_hash = fingerprint(request)
        known = (await session.execute(self._read, whose | {"key": key})).first()
        if known is None:
            await session.execute(self._forget, whose | {"keep_days": keep_days})
            mine = whose | {"key": key, "request_hash": request_hash, "made": made}
            if (await session.execute(self._claim, mine)).first() is not None:
                await make()
                return made
            known = (await session.execute(self._read, whose | {"key": key})).first()
        if known is None or known.request_hash != request_hash:
            raise Conflict("idempotency_key_reused", "This Idempotency-Key came with another request. Send a new one.")
        return str(known.made)
