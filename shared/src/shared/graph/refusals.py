"""Reading Graph's refusals: an answer's status, headers and body become an error by what the caller does next."""

import base64
import json
import random
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from shared.graph.errors import (
    GraphDeltaGone,
    GraphError,
    GraphGiveUp,
    GraphNotFound,
    GraphPastEnd,
    GraphReconnect,
    GraphRetry,
    GraphTellAdmin,
)

LONGEST_WAIT_S = 86_400.0
_LOST_STATE = {"syncstatenotfound", "syncstateinvalid", "resyncrequired"}
_CLAIMS = re.compile(r'(?<![\w-])claims\s*=\s*"([^"]*)"', re.IGNORECASE)
_BASE64URL = str.maketrans("-_", "+/")


def refusal(status: int, headers: Mapping[str, str], body: Any, *, attempt: int = 1) -> GraphError:
    """The error of an answer that is no success; ``body`` is its JSON, or None when that cannot be read."""
    code, message, inner_code = _words(status, body)
    error = _by_status(status, headers, message, code)
    if isinstance(error, GraphRetry):
        error.after_s = wait_s(headers, attempt)
        error.maybe_done = status != 429
    if isinstance(error, GraphDeltaGone):
        error.location = headers.get("location")
    if isinstance(error, GraphPastEnd):
        error.total = whole_size(headers.get("content-range", ""))
    error.inner_code = inner_code
    return error


def _by_status(status: int, headers: Mapping[str, str], message: str, code: str) -> GraphError:
    said = message, status, code, headers.get("request-id", "")
    lost = (400 <= status < 500 and code.lower() in _LOST_STATE) or (status == 410 and "location" in headers)
    if lost:
        return GraphDeltaGone(*said)
    match status:
        case 401:
            return GraphReconnect(*said)
        case 403:
            return GraphTellAdmin(*said)
        case 404 | 410:
            return GraphNotFound(*said)
        case 408 | 429 | 500 | 502 | 503 | 504 | 509:
            return GraphRetry(*said)
        case 416:
            return GraphPastEnd(*said)
    return GraphGiveUp(*said)


def _words(status: int, body: Any) -> tuple[str, str, str]:
    """Code, message and inner code; some services spell ``innererror``."""
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return "", f"Microsoft answered {status}.", ""
    inner = error.get("innerError") or error.get("innererror")
    inner_code = inner.get("code") if isinstance(inner, dict) else None
    message = str(error.get("message") or f"Microsoft answered {status}.")
    return str(error.get("code") or ""), message, str(inner_code or "")


def wait_s(headers: Mapping[str, str], attempt: int = 1) -> float:
    """How long to wait: what the answer says, else 1, 2, 4 … seconds less up to half, so that callers spread."""
    said = [_retry_after_s(headers.get("retry-after", "")), _seconds(headers.get("ratelimit-reset", ""))]
    known = [seconds for seconds in said if seconds is not None]
    if known:
        return min(max(known), LONGEST_WAIT_S)
    return float(2 ** (min(attempt, 6) - 1) * random.uniform(0.5, 1))  # noqa: S311 - spreading load


def _retry_after_s(value: str) -> float | None:
    """Seconds or an HTTP date, as RFC 9110 has it."""
    if (seconds := _seconds(value)) is not None:
        return seconds
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def _seconds(value: str) -> float | None:
    return float(value) if re.fullmatch(r"\s*\d{1,15}(\.\d+)?\s*", value) else None


def claims_challenge(header: str) -> str | None:
    """The claims (a JSON object) of a continuous access evaluation challenge, which Graph sends in base64."""
    found = _CLAIMS.search(header)
    if found is None or not found[1]:
        return None
    padded = found[1].strip().translate(_BASE64URL).rstrip("=")
    try:
        claims = base64.b64decode(padded + "=" * (-len(padded) % 4)).decode()
        return claims if isinstance(json.loads(claims), dict) else None
    except ValueError:
        return None


def whole_size(content_range: str) -> int | None:
    """The total of ``bytes 0-9/100``."""
    size = content_range.rpartition("/")[2]
    return int(size) if size.isascii() and size.isdigit() else None
