"""Reading Graph's refusals: an answer's status, headers and body become an error by what the caller does next."""

import base64
import binascii
import json
import random
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from shared.graph.errors import (
    GraphChanged,
    GraphConflict,
    GraphDeltaGone,
    GraphError,
    GraphFull,
    GraphGiveUp,
    GraphNotFound,
    GraphPastEnd,
    GraphReconnect,
    GraphRetry,
    GraphTellAdmin,
    GraphTooLarge,
)
from shared.graph.words import Words, read_words, request_id_of

LONGEST_WAIT_S = 86_400.0
LOCKED_S = 300.0
"""Someone edits the file or checked it out (423); longer than a call's patience, so that a job looks again."""
_LOST_STATE = {
    "resyncchangesapplydifferences",
    "resyncchangesuploaddifferences",
    "resyncrequired",
    "syncstateinvalid",
    "syncstatenotfound",
}
_BY_STATUS: dict[int, type[GraphError]] = {
    401: GraphReconnect,
    402: GraphTellAdmin,
    403: GraphTellAdmin,
    404: GraphNotFound,
    409: GraphConflict,
    410: GraphNotFound,
    412: GraphChanged,
    413: GraphTooLarge,
    416: GraphPastEnd,
    501: GraphGiveUp,
    507: GraphFull,
} | dict.fromkeys((408, 423, 429, 500, 502, 503, 504, 509), GraphRetry)
_CODES: dict[type[GraphError], str] = {
    GraphReconnect: "invalidauthenticationtoken unauthenticated",
    GraphTellAdmin: "accessdenied accessrestricted authorization_requestdenied erroraccessdenied forbidden",
    GraphNotFound: "erroritemnotfound imagenotfound itemnotfound notfound request_resourcenotfound resourcenotfound",
    GraphConflict: "conflict errorfolderexists itemalreadyexists namealreadyexists resourcealreadyexists",
    GraphChanged: "errorirresolvableconflict preconditionfailed resourcemodified",
    GraphTooLarge: "errormessagesizeexceeded requestentitytoolarge",
    GraphPastEnd: "invalidrange",
    GraphRetry: "activitylimitreached applicationthrottled errormailboxstoreunavailable errorservertoobusy "
    "servicenotavailable serviceunavailable timeout toomanyrequests",
}
_BY_CODE = {code: kind for kind, codes in _CODES.items() for code in codes.split()}
_WHATEVER_STATUS: dict[str, type[GraphError]] = {
    "errorquotaexceeded": GraphFull,
    "insufficientstorage": GraphFull,
    "quotalimitreached": GraphFull,
    # With 404: the person has no mailbox in the cloud, so nothing of Outlook's is there at all.
    "mailboxnotenabledforrestapi": GraphTellAdmin,
    "mailboxnotsupportedforrestapi": GraphTellAdmin,
}
_TOO_MANY = {"activitylimitreached", "applicationthrottled", "toomanyrequests", "429"}
_CLAIMS = re.compile(r'(?<![\w-])claims\s*=\s*(?:"\s*)?([^",\s]+)', re.IGNORECASE)
_SECONDS = re.compile(r"\s*\d{1,15}(\.\d{1,15})?\s*", re.ASCII)
_BASE64URL = str.maketrans("-_", "+/")


def refusal(status: int, headers: Mapping[str, str], body: Any, *, attempt: int = 1) -> GraphError:
    """The error of an answer that is no success; ``body`` is its JSON, or None when that cannot be read.

    ``status`` 0 is one that was not told: the code alone decides. ``headers`` ignore case.
    """
    words = read_words(body)
    message = words.message or f"Microsoft answered {status}."
    request_id = request_id_of(headers) or words.request_id
    error = _kind(status, headers, words)(message, status, words.code, request_id)
    if isinstance(error, GraphRetry):
        _say_when(error, headers, attempt)
    if isinstance(error, GraphDeltaGone):
        error.location = headers.get("location")
    if isinstance(error, GraphPastEnd):
        error.total = whole_size(headers.get("content-range", ""))
    error.inner_code = words.inner_code
    return error


def _kind(status: int, headers: Mapping[str, str], words: Words) -> type[GraphError]:
    codes = [words.code.lower(), words.inner_code.lower()]
    if (400 <= status < 500 or status == 0) and _LOST_STATE.intersection(codes):
        return GraphDeltaGone
    if status == 410 and "location" in headers:
        return GraphDeltaGone
    for code in codes:
        if code in _WHATEVER_STATUS:
            return _WHATEVER_STATUS[code]
    if status == 0:  # some write the status where the code belongs
        status = next((int(code) for code in codes if code.isascii() and code.isdigit()), 0)
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status >= 500:
        return GraphRetry
    return next((_BY_CODE[code] for code in codes if code in _BY_CODE), GraphGiveUp)


def _say_when(error: GraphRetry, headers: Mapping[str, str], attempt: int) -> None:
    error.after_s = wait_s(headers, attempt)
    throttled = error.status == 429 or (error.status in {0, 400} and error.code.lower() in _TOO_MANY)
    locked = error.status == 423
    error.maybe_done = not (throttled or locked)
    if locked:
        error.after_s = max(error.after_s, LOCKED_S)


def wait_s(headers: Mapping[str, str], attempt: int = 1) -> float:
    """How long to wait: what the answer says, else 1, 2, 4 … seconds less up to half, so that callers spread."""
    if (said := said_wait_s(headers)) is not None:
        return said
    return float(2 ** (min(attempt, 6) - 1) * random.uniform(0.5, 1))  # noqa: S311 - spreading load


def said_wait_s(headers: Mapping[str, str]) -> float | None:
    """The greater of ``Retry-After`` and SharePoint's ``RateLimit-Reset``; None when neither can be read."""
    said = [_retry_after_s(headers.get("retry-after", "")), read_seconds(headers.get("ratelimit-reset", ""))]
    known = [seconds for seconds in said if seconds is not None]
    return min(max(known), LONGEST_WAIT_S) if known else None


def _retry_after_s(value: str) -> float | None:
    """Seconds or an HTTP date, as RFC 9110 has it."""
    if (seconds := read_seconds(value)) is not None:
        return seconds
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def read_seconds(value: str) -> float | None:
    """``5`` or ``2.128``."""
    return float(value) if _SECONDS.fullmatch(value) else None


def claims_challenge(header: str) -> str | None:
    """The claims (a JSON object) of a continuous access evaluation challenge, which Graph sends in base64."""
    found = _CLAIMS.search(header)
    if found is None:
        return None
    padded = found[1].strip().translate(_BASE64URL).rstrip("=")
    try:
        claims = base64.b64decode(padded + "=" * (-len(padded) % 4)).decode()
        return claims if isinstance(json.loads(claims), dict) else None
    except (binascii.Error, ValueError):
        return None


def whole_size(content_range: str) -> int | None:
    """The total of ``bytes 0-9/100``."""
    size = content_range.rpartition("/")[2]
    return int(size) if size.isascii() and size.isdigit() else None
