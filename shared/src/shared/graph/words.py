"""Reads error bodies of Graph's services, each of which spells them in its own way.

``innerError`` and ``innererror``, ``request-id`` and ``requestId``, codes that are numbers or empty, messages that are
objects, bodies that are no JSON: all occur in what Microsoft publishes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

_DEPTH = 5


@dataclass(frozen=True, slots=True)
class Words:
    """``inner_code`` is the first code inside; each is empty when nothing was said."""

    code: str = ""
    message: str = ""
    inner_code: str = ""
    request_id: str = ""


def read_words(body: Any) -> Words:
    """The words of a refusal's body; ``body`` is its JSON, or None when that cannot be read."""
    error = field_of(body, "error", "odata.error")
    if isinstance(error, str):  # as Entra has it
        return Words(error, _text(field_of(body, "error_description")))
    if error is None and field_of(body, "message", "detail") is not None:
        error = body  # without an envelope
    if not isinstance(error, dict):
        return Words()
    inner_code, request_id = _inner(error)
    return Words(_text(field_of(error, "code")), _message(field_of(error, "message", "detail")), inner_code, request_id)


def request_id_of(headers: Mapping[str, str]) -> str:
    """The request id that Microsoft's support asks for; SharePoint names it differently. ``headers`` ignore case."""
    return headers.get("request-id") or headers.get("sprequestguid") or ""


def field_of(said: Any, *names: str) -> Any:
    """The first of ``names`` that an object has, whatever its case and dashes."""
    if not isinstance(said, dict):
        return None
    for name in names:
        if said.get(name) is not None:
            return said[name]
    wanted = {_plain(name) for name in names}
    return next((value for key, value in said.items() if value is not None and _plain(str(key)) in wanted), None)


def moment(value: Any) -> datetime | None:
    """A time of Graph's, with up to seven digits of a second and perhaps no zone; None when it is none."""
    try:
        found = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _inner(error: dict[str, Any]) -> tuple[str, str]:
    """Code and request id from inside; one may be deeper than the other."""
    code = request_id = ""
    inner: Any = field_of(error, "innerError")
    for _ in range(_DEPTH):
        if not isinstance(inner, dict):
            break
        code = code or _text(field_of(inner, "code"))
        request_id = request_id or _text(field_of(inner, "request-id"))
        inner = field_of(inner, "innerError")
    return code, request_id


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")


def _message(said: Any) -> str:
    return _text(field_of(said, "value")) if isinstance(said, dict) else _text(said)


def _text(value: Any) -> str:
    """Codes are texts, but a number now and then."""
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
