"""Secrets at rest: AES-256-GCM, one data key per organisation, wrapped by a key from a ring of files.

The associated data is ``organisation|place`` (place = ``table|row``), so a blob copied to another row or organisation
does not open. Blob: one version byte, 16 bytes of data key id, 12 bytes of nonce, ciphertext with tag.
"""

import base64
import hashlib
import hmac
import os
import secrets
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Row, text
from sqlmodel.ext.asyncio.session import AsyncSession

from shared.database.row_security import protecting
from shared.problems import ConfigurationError

DDL = [
    """CREATE TABLE IF NOT EXISTS data_key (
        id uuid PRIMARY KEY, org_id text NOT NULL, ring_key_id text NOT NULL, wrapped bytea NOT NULL,
        active boolean NOT NULL DEFAULT true, created_at timestamptz NOT NULL DEFAULT clock_timestamp())""",
    "CREATE UNIQUE INDEX IF NOT EXISTS data_key_active ON data_key (org_id) WHERE active",
    protecting("data_key"),
]

_VERSION = b"\x01"
_NONCE = 12
_KEY_BYTES = 32
OPENED_MAX, OPENED_S = 1000, 300
"""How many opened data keys a process keeps, and for how long."""

_ACTIVE = text("SELECT id, ring_key_id, wrapped FROM data_key WHERE org_id = :org_id AND active")
_BY_ID = text("SELECT id, ring_key_id, wrapped FROM data_key WHERE org_id = :org_id AND id = :id")
_ADD = text(
    """INSERT INTO data_key (id, org_id, ring_key_id, wrapped) VALUES (:id, :org_id, :ring_key_id, :wrapped)
       ON CONFLICT (org_id) WHERE active DO NOTHING"""
)
_FOREIGN = text(
    """SELECT id, org_id, ring_key_id, wrapped FROM data_key WHERE ring_key_id <> :current AND id > :after
       ORDER BY id LIMIT :batch FOR UPDATE"""
)
_REWRAP = text("UPDATE data_key SET ring_key_id = :ring_key_id, wrapped = :wrapped WHERE id = :id")


def digest(secret: str) -> str:
    """SHA-256 in hex: how a random secret is kept to be recognised, or is named without being shown.

    Whatever JSON can hold has one, also half a surrogate pair, which is nobody's secret.
    """
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


class Unreadable(Exception):
    """The blob was changed, belongs elsewhere, or its key is gone."""


@dataclass(frozen=True, slots=True)
class KeyRing:
    """Key-encryption keys by id; ``current`` wraps new data keys, the others still open old ones."""

    keys: dict[str, bytes]
    current: str
    folder: Path | None = None

    @classmethod
    def load(cls, folder: Path) -> "KeyRing":
        """Read ``<id>.key`` files and ``current``. Raises ``ConfigurationError`` saying what is missing."""
        try:
            current = (folder / "current").read_text().strip()
            keys = {path.stem: base64.b64decode(path.read_text()) for path in folder.glob("*.key")}
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"There is no readable key ring in {folder}. Set PROSPO_KEY_RING_DIR to a folder with <id>.key "
                "files and a file named current."
            ) from error
        if current not in keys or any(len(key) != _KEY_BYTES for key in keys.values()):
            raise ConfigurationError(
                f"The key ring in {folder} lacks the key it names as current, or one is not 32 bytes."
            )
        return cls(keys, current, folder)

    @classmethod
    def create(cls, folder: Path) -> "KeyRing":
        """Add a new key to the folder and make it the current one; a reader sees both whole or not at all."""
        name = uuid.uuid4().hex[:12]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _write(folder / f"{name}.key", base64.b64encode(secrets.token_bytes(_KEY_BYTES)))
            _write(folder / "current", name.encode())
        except OSError as error:
            raise ConfigurationError(
                f"The key ring in {folder} cannot be written ({type(error).__name__}). Make the new key where the "
                "ring's files are kept, and hand it out from there."
            ) from error
        return cls.load(folder)

    def reread(self) -> "KeyRing":
        """The ring as its files are now: an operator adds and removes keys while services run."""
        return KeyRing.load(self.folder) if self.folder else self

    def sign(self, words: bytes) -> bytes:
        """16 bytes that only a holder of the current key makes of ``words``."""
        return _signature(self.keys[self.current], words)

    def signed(self, words: bytes, signature: bytes) -> bool:
        """Whether a key of the ring, also a former one, signed ``words``, each compared in constant time."""
        return any(hmac.compare_digest(_signature(key, words), signature) for key in self.keys.values())

    def wrap(self, org_id: str, key: bytes) -> bytes:
        nonce = os.urandom(_NONCE)
        return nonce + AESGCM(self.keys[self.current]).encrypt(nonce, key, f"data_key|{org_id}".encode())

    def unwrap(self, org_id: str, ring_key_id: str, wrapped: bytes) -> bytes:
        if ring_key_id not in self.keys:
            raise Unreadable(
                f"The key ring has no key {ring_key_id}. Put the file {ring_key_id}.key back into its folder."
            )
        box = AESGCM(self.keys[ring_key_id])
        try:
            return box.decrypt(wrapped[:_NONCE], wrapped[_NONCE:], f"data_key|{org_id}".encode())
        except (InvalidTag, ValueError) as error:
            raise Unreadable("The data key was changed or belongs to another organisation.") from error


class Envelope:
    """Seals and opens small secrets inside the caller's transaction."""

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring
        self._opened: dict[tuple[str, str], tuple[float, bytes]] = {}

    async def seal(self, session: AsyncSession, org_id: str, place: str, plaintext: bytes) -> bytes:
        """Encrypt for one place (``table|row``) of one organisation."""
        return (await self.seal_all(session, org_id, [(place, plaintext)]))[0]

    async def seal_all(self, session: AsyncSession, org_id: str, items: Sequence[tuple[str, bytes]]) -> list[bytes]:
        """The same for many ``(place, plaintext)``, with one look for the key."""
        if not items:
            return []
        key_id, key = await self._active_key(session, org_id)
        head, box = _VERSION + uuid.UUID(key_id).bytes, AESGCM(key)
        nonces = [os.urandom(_NONCE) for _ in items]
        return [
            head + nonce + box.encrypt(nonce, plaintext, _aad(org_id, place))
            for nonce, (place, plaintext) in zip(nonces, items, strict=True)
        ]

    async def open(self, session: AsyncSession, org_id: str, place: str, blob: bytes) -> bytes:
        """Decrypt. Raises ``Unreadable`` when the blob was changed or belongs to another place or organisation."""
        if blob[:1] != _VERSION or len(blob) <= 17 + _NONCE:
            raise Unreadable("This is not a sealed secret.")
        key = await self._key(session, org_id, str(uuid.UUID(bytes=blob[1:17])))
        nonce, sealed = blob[17 : 17 + _NONCE], blob[17 + _NONCE :]
        try:
            return AESGCM(key).decrypt(nonce, sealed, _aad(org_id, place))
        except InvalidTag as error:
            raise Unreadable("The secret was changed or belongs to another place.") from error

    async def rewrap(
        self, session: AsyncSession, after: uuid.UUID, batch: int
    ) -> tuple[uuid.UUID | None, int, list[str]]:
        """Wrap up to ``batch`` data keys behind ``after`` with the ring's current key. Needs the system scope.

        Returns the last one seen (None at the end), how many were wrapped, and the ids of those that do not open.
        """
        self._ring = self._ring.reread()
        values = {"current": self._ring.current, "after": after, "batch": batch}
        rows = (await session.execute(_FOREIGN, values)).all()
        lost: list[str] = []
        for row in rows:
            try:
                key = self._unwrap(row.org_id, row)
            except Unreadable:
                lost.append(str(row.id))
                continue
            values = {"id": row.id, "ring_key_id": self._ring.current, "wrapped": self._ring.wrap(row.org_id, key)}
            await session.execute(_REWRAP, values)
        return (rows[-1].id if rows else None), len(rows) - len(lost), lost

    @property
    def ring(self) -> KeyRing:
        """The ring as it was last read."""
        return self._ring

    async def _active_key(self, session: AsyncSession, org_id: str) -> tuple[str, bytes]:
        row = (await session.execute(_ACTIVE, {"org_id": org_id})).first()
        if row is None:
            # A key that has meanwhile left the ring must not wrap anything new: nobody could ever open it again.
            self._ring = self._ring.reread()
            wrapped = self._ring.wrap(org_id, secrets.token_bytes(_KEY_BYTES))
            values = {"id": uuid.uuid4(), "org_id": org_id, "ring_key_id": self._ring.current, "wrapped": wrapped}
            await session.execute(_ADD, values)
            row = (await session.execute(_ACTIVE, {"org_id": org_id})).one()
        return str(row.id), self._unwrap(org_id, row)

    async def _key(self, session: AsyncSession, org_id: str, key_id: str) -> bytes:
        until, known = self._opened.get((org_id, key_id), (0.0, b""))
        if until < time.monotonic():
            row = (await session.execute(_BY_ID, {"org_id": org_id, "id": key_id})).first()
            if row is None:
                raise Unreadable("The data key of this secret is gone or belongs to another organisation.")
            known = self._unwrap(org_id, row)
            self._remember(org_id, key_id, known)
        return known

    def _remember(self, org_id: str, key_id: str, key: bytes) -> None:
        """Keep a data key in memory for a while, and not too many, so that shredded keys soon leave the process too."""
        now = time.monotonic()
        self._opened = {place: kept for place, kept in self._opened.items() if kept[0] >= now}
        while len(self._opened) >= OPENED_MAX:
            del self._opened[next(iter(self._opened))]
        self._opened[org_id, key_id] = now + OPENED_S, key

    def _unwrap(self, org_id: str, row: Row[Any]) -> bytes:
        """A key that this process does not know may have come to the ring after its start."""
        if row.ring_key_id not in self._ring.keys:
            self._ring = self._ring.reread()
        return self._ring.unwrap(org_id, row.ring_key_id, bytes(row.wrapped))


def _signature(key: bytes, words: bytes) -> bytes:
    """Sign with a key derived from the ring's, because a key that wraps data keys must not sign."""
    own = hmac.digest(key, b"prospo|signature", "sha256")
    return hmac.digest(own, words, "sha256")[:16]


def _write(path: Path, content: bytes) -> None:
    """The whole file or none, durable, and for its owner only."""
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    draft.replace(path)


def _aad(org_id: str, place: str) -> bytes:
    return f"{org_id}|{place}".encode()
