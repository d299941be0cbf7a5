"""Addresses within a drive: ``root:/a/b:/content``, ``items/{id}:/name:/content``, ``root/delta(token='x')``."""

import re
from dataclasses import dataclass

from m365_simulator.wire import GraphError

_FORM = re.compile(
    r"^(?P<start>root|items/[^/:]+)(?::(?P<path>/[^:]*)?(?::(?P<after>/.*)?)?|(?P<tail>/.*)?)$",
    re.IGNORECASE,
)
_ONE = re.compile(r"^(?P<name>permissions|versions)/(?P<key>[^/()]+)$", re.IGNORECASE)
_CALL = re.compile(r"^(?P<name>[\w.$]+)\((?P<given>.*)\)$")
_GIVEN = re.compile(r"^(?:\w+\s*=\s*)?'(?P<text>(?:[^']|'')*)'$")


@dataclass(frozen=True, slots=True)
class Address:
    """``start`` is ``root`` or an item id, ``path`` leads on, ``action`` is the segment after it in lower case.

    ``key`` is the id that stands behind the action; the action is then ``permissions/{key}`` or ``versions/{key}``.
    """

    start: str
    path: tuple[str, ...]
    action: str
    argument: str | None
    key: str | None = None


def parse(rest: str) -> Address:
    """Raises 400 for what is no address."""
    if not rest:
        return Address("", (), "", None)
    if _called(rest)[0] in ("search", "recent", "sharedwithme"):
        rest = f"root/{rest}"
    found = _FORM.match(rest)
    if found is None:
        raise GraphError(400, "invalidRequest", f"Resource not found for the segment '{rest.split('/')[0]}'.")
    path = tuple(part for part in (found["path"] or "").split("/") if part)
    start, after = found["start"].partition("/")[2] or "root", (found["after"] or found["tail"] or "").strip("/")
    if one := _ONE.match(after):
        return Address(start, path, f"{one['name'].lower()}/{{key}}", None, one["key"])
    return Address(start, path, *_called(after))


def _called(text: str) -> tuple[str, str | None]:
    found = _CALL.match(text)
    if found is None:
        return text.lower(), None
    given = _GIVEN.match(found["given"].strip())
    if given is None:
        raise GraphError(400, "invalidRequest", f"The function call '{text}' cannot be read.")
    return found["name"].lower(), given["text"].replace("''", "'")
