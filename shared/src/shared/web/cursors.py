"""Signed cursors: where a page of a list begins, for the person and the list that the cursor was made for.

A cursor holds the sort key of the last thing on a page, so that things which change or go between two pages do not
shift what follows. It is signed with a key derived from the key ring: one that was changed, or is another person's or
another list's, opens nothing.
"""

import base64
import binascii
import json
from typing import Annotated

from fastapi import Query

from shared.problems import BadInput
from shared.secrets import KeyRing
from shared.web.identity import Identity
from shared.web.words import STORABLE

_SIGNATURE = 16
SignedCursor = Annotated[str | None, Query(max_length=1000), STORABLE]
"""``next_cursor`` of the page before."""


def make_cursor(ring: KeyRing, caller: Identity, list_: str, after: list[str]) -> str:
    """``after`` is the sort key of the page's last thing."""
    words = json.dumps(after).encode()
    return base64.urlsafe_b64encode(ring.sign(_bound(caller, list_, words)) + words).rstrip(b"=").decode()


def read_cursor(ring: KeyRing, caller: Identity, list_: str, cursor: str | None) -> list[str] | None:
    """The sort key of a cursor of this caller and list; None without one. Raises ``BadInput`` for any other."""
    if cursor is None:
        return None
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise _unknown() from error
    signature, words = raw[:_SIGNATURE], raw[_SIGNATURE:]
    if not ring.signed(_bound(caller, list_, words), signature):
        raise _unknown()
    found: list[str] = json.loads(words)
    return found


def _bound(caller: Identity, list_: str, words: bytes) -> bytes:
    return json.dumps([caller.org_id, caller.user_id, list_]).encode() + words


def _unknown() -> BadInput:
    return BadInput("unknown_cursor", "There is no such page. Take next_cursor of the page before, or none.")
