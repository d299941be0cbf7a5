"""Links to one file that need no sign-in: signed, with an end, and revocable by their row or by the key.

A link is signature, organisation, link and end in base64url. The signature is made with a key of the ring, so nobody
makes a link for another file or a later end, and a key that leaves the ring ends all links that it signed. The row
says which file it is, and whether somebody revoked it.
"""

import base64
import binascii
import json
import time
from dataclasses import dataclass
from datetime import datetime

from shared.problems import NotFound
from shared.secrets import KeyRing

PAGE = "/files/link"
"""A page of the console; it passes the token on in a body."""
LONGEST_S = 30 * 86_400
_SIGNATURE = 16
_PURPOSE = b"storage|file link|"


@dataclass(frozen=True, slots=True)
class Opened:
    """Which link of which organisation; whether it is still good the row says."""

    org_id: str
    link_id: str


def make(ring: KeyRing, org_id: str, link_id: str, expires_at: datetime) -> str:
    words = json.dumps([org_id, link_id, int(expires_at.timestamp())]).encode()
    return base64.urlsafe_b64encode(ring.sign(_PURPOSE + words) + words).rstrip(b"=").decode()


def read(ring: KeyRing, token: str) -> Opened:
    """Raises ``NotFound`` for what no key of the ring signed, and after its end."""
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise unknown() from error
    signature, words = raw[:_SIGNATURE], raw[_SIGNATURE:]
    if not ring.signed(_PURPOSE + words, signature):
        raise unknown()
    org_id, link_id, expires_at = json.loads(words)
    if time.time() >= expires_at:
        raise unknown()
    return Opened(org_id, link_id)


def unknown() -> NotFound:
    """The same for whatever is wrong with it."""
    return NotFound("link_not_found", "This link has ended or was revoked. Ask whoever sent it for a new one.")
