"""The certificates for which Graph encrypts resource data: made here, and kept sealed in the database.

Each organisation has its own, so what opens one organisation's notifications opens no other's. They prove nothing to
Microsoft, so nobody has to know them, and losing them costs the notifications that are on their way.
"""

import asyncio

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from shared.database.row_security import protecting
from shared.database.unit_of_work import Database
from shared.privacy.erasure import Holding
from shared.secrets import Envelope
from shared.subscriptions.rich import CertificateRing, new_certificate

DDL = [
    """CREATE TABLE IF NOT EXISTS notification_certificate (
        org_id text NOT NULL, id text NOT NULL, sealed bytea NOT NULL,
        made_at timestamptz NOT NULL DEFAULT clock_timestamp(), PRIMARY KEY (org_id, id))""",
    protecting("notification_certificate"),
]
HOLDING = Holding("notification_certificate", withheld="id sealed made_at")
RENEWED_DAYS, KEPT_DAYS = 365, 500
"""A certificate is valid for 730 days; a subscription lives for days and is then renewed with the current one."""
_ALL = text(
    """SELECT id, sealed, made_at > clock_timestamp() - make_interval(days => :days) AS fresh
       FROM notification_certificate WHERE org_id = :org_id ORDER BY made_at DESC, id"""
)
_ADD = text("INSERT INTO notification_certificate (org_id, id, sealed) VALUES (:org_id, :id, :sealed)")
_DROP_OLD = text(
    """DELETE FROM notification_certificate
       WHERE org_id = :org_id AND made_at < clock_timestamp() - make_interval(days => :days)"""
)


class Certificates:
    """The rings of a service's organisations."""

    def __init__(self, db: Database, envelope: Envelope) -> None:
        self._db, self._envelope = db, envelope

    async def ring(self, org_id: str) -> CertificateRing:
        """The ring, with a current certificate that lasts. Two workers may make two at once; the newer is current."""
        async with self._db.unit_of_work(org_id) as work:
            if (found := await self._read(work.session, org_id)) is not None:
                return found
        name, pem = await asyncio.to_thread(new_certificate)
        async with self._db.unit_of_work(org_id) as work:
            sealed = await self._envelope.seal(work.session, org_id, _place(name), pem)
            await work.session.execute(_ADD, {"org_id": org_id, "id": name, "sealed": sealed})
            await work.session.execute(_DROP_OLD, {"org_id": org_id, "days": KEPT_DAYS})
        return await self.ring(org_id)

    async def _read(self, session: AsyncSession, org_id: str) -> CertificateRing | None:
        rows = (await session.execute(_ALL, {"org_id": org_id, "days": RENEWED_DAYS})).all()
        if not rows or not rows[0].fresh:
            return None
        opened = {row.id: await self._envelope.open(session, org_id, _place(row.id), bytes(row.sealed)) for row in rows}
        return CertificateRing.of(opened, rows[0].id)


def _place(name: str) -> str:
    return f"notification_certificate|{name}"
