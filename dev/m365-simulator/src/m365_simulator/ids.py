"""Ids that are the same in every run of the same seed, and never given twice by one store."""

import base64
import hashlib
import random
import uuid

from .store import Store

_SPACE = uuid.UUID("5b6fb0a4-5d0f-4f5f-9d5e-0d0c8f1b3650")


class Ids:
    """Numbered per kind, so that one kind's ids do not depend on how many others were made."""

    def __init__(self, store: Store, seed: str) -> None:
        self._store = store
        self._seed = seed
        self._passing = random.Random(seed)

    def _next(self, kind: str) -> str:
        row = self._store.get("counters", kind) or {"value": 0}
        self._store.put("counters", kind, {"value": row["value"] + 1})
        return f"{self._seed}/{kind}/{row['value'] + 1}"

    def guid(self, kind: str) -> str:
        return str(uuid.uuid5(_SPACE, self._next(kind)))

    def text(self, kind: str, size: int = 48) -> str:
        """``size`` characters of base64url, for ids and codes that are opaque to callers."""
        digest = hashlib.shake_256(self._next(kind).encode()).digest(size)
        return base64.urlsafe_b64encode(digest).decode()[:size]

    def passing(self) -> str:
        """A GUID that nobody keeps, such as a request id."""
        return str(uuid.UUID(int=self._passing.getrandbits(128), version=4))
