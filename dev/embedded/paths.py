"""Paths that a gateway refuses before it routes: those that a service behind it may read differently.

A rule by prefix holds only when gateway and service see the same path. Dot segments, encoded slashes, backslashes and
control characters are where they differ, so no such path is passed on.
"""

import re
from urllib.parse import unquote_to_bytes

_ENCODED_SLASH = re.compile(rb"%(?:2f|5c)", re.IGNORECASE)
_UNSEEN = re.compile(rb"[\x00-\x1f\x7f\\]")


def is_plain(raw_path: bytes) -> bool:
    """Whether every reader takes the path as it was sent, however often it is decoded."""
    read, before = raw_path, b""
    while read != before:
        if _ENCODED_SLASH.search(read) or _UNSEEN.search(read) or {b".", b".."} & set(read.split(b"/")):
            return False
        read, before = unquote_to_bytes(read), read
    return True
