"""Limits on what costs much: so often an hour, for a person or for a whole organisation, over all pods.

A limit is a bucket that holds an hour's worth and refills evenly, kept as the one moment at which it will be full again
(the generic cell rate algorithm). The service's own database counts, on its clock, by one upsert in a transaction of
its own: what was refused later, or rolled back, was asked for all the same. A refusal takes nothing out of the bucket.

A row stays for each person and limit that was ever met, so the table is bounded by people (and links that they made);
an erasure takes them.
"""

import math
from typing import Any, Literal

from fastapi import Depends, Request
from sqlalchemy import text

from shared.database.row_security import protecting
from shared.database.unit_of_work import Database
from shared.problems import TooMany
from shared.web.routes import Caller

DDL = [
    """CREATE TABLE IF NOT EXISTS rate_limit (
        org_id text NOT NULL, user_id text NOT NULL, name text NOT NULL, granted boolean NOT NULL DEFAULT true,
        full_at timestamptz NOT NULL, PRIMARY KEY (org_id, user_id, name))""",
    protecting("rate_limit"),
]
HOUR_S = 3600.0

# The row is locked by the conflict, so two pods take turns; now() of the statement is one moment for all of it.
_NEXT = "greatest(held.full_at, statement_timestamp()) + make_interval(secs => :step_s)"
_FITS = f"({_NEXT} <= statement_timestamp() + make_interval(secs => :hour_s))"
_TAKE = text(
    f"""INSERT INTO rate_limit AS held (org_id, user_id, name, full_at)
        VALUES (:org_id, :user_id, :name, statement_timestamp() + make_interval(secs => :step_s))
        ON CONFLICT (org_id, user_id, name) DO UPDATE
        SET granted = {_FITS}, full_at = CASE WHEN {_FITS} THEN {_NEXT} ELSE held.full_at END
        RETURNING granted,
            extract(epoch FROM full_at - statement_timestamp())::float + :step_s - :hour_s AS wait_s"""
)

Of = Literal["person", "organisation", "link"]
_WHO: dict[Of, str] = {
    "person": "You have done this",
    "organisation": "Your organisation has done this",
    "link": "This link was used",
}


async def take(db: Database, org_id: str, user_id: str, name: str, per_hour: int) -> float:
    """0 when it may be done once more, else the seconds until it may. ``user_id`` is empty for an organisation.

    Of a link that stands in for a person it is the link's hash.
    """
    values = {"org_id": org_id, "user_id": user_id, "name": name, "step_s": HOUR_S / per_hour, "hour_s": HOUR_S}
    async with db.unit_of_work(org_id) as work:
        row = (await work.session.execute(_TAKE, values)).one()
    return 0.0 if row.granted else max(float(row.wait_s), 0.001)


def limited(name: str, *, per_hour: str, of: Of = "person") -> Any:
    """A route's dependency: ``dependencies=[limited("consent", per_hour="consents_per_hour")]``.

    ``per_hour`` names the setting with the figure. Beyond it the answer is 429 with ``Retry-After``.
    """

    async def check(request: Request, caller: Caller) -> None:
        service = request.app.state.service
        figure = int(getattr(service.settings, per_hour))
        await spend(service.db, caller.org_id, caller.user_id if of == "person" else "", name, figure, of)

    return Depends(check)


async def spend(db: Database, org_id: str, user_id: str, name: str, per_hour: int, of: Of) -> None:
    """``take`` that raises ``TooMany``."""
    wait_s = await take(db, org_id, user_id, name, per_hour)
    if wait_s > 0:
        raise _too_many(wait_s, of)


def _too_many(wait_s: float, of: Of) -> TooMany:
    seconds = math.ceil(wait_s)
    when = f"{seconds} seconds" if seconds < 120 else f"{math.ceil(seconds / 60)} minutes"
    detail = f"{_WHO[of]} very often in the last hour. Try again in {when}."
    return TooMany("too_many_requests", detail, retry_after_s=seconds)
