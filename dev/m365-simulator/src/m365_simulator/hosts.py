"""Which names a development surface answers: those of this machine, and those that one setting adds.

A tunnel brings requests for its own name, and a web page that had its name resolved to 127.0.0.1 (DNS rebinding) brings
requests for that name. Neither may reach what needs no sign-in. A proxy that replaces ``Host`` leaves the name it was
asked for in ``X-Forwarded-Host``, so both are judged.
"""

import re
from collections.abc import Iterable

Headers = Iterable[tuple[bytes, bytes]]
_THIS_MACHINE = re.compile(r"localhost|(?:[a-z0-9-]+\.)+localhost|127\.0\.0\.1|\[::1\]")
_PORT = re.compile(r":[0-9]{1,5}$")
REFUSED = "This answers names of this machine only, such as localhost. DEVELOPMENT_HOSTS adds others."


def is_known(headers: Headers, more: str = "") -> bool:
    """Whether every name the request was sent to is this machine's, or one of ``more`` (with a space between)."""
    named = [value.decode("latin-1") for name, value in headers if name == b"host"]
    passed_on = [value.decode("latin-1") for name, value in headers if name == b"x-forwarded-host"]
    names = named + [name.strip() for value in passed_on for name in value.split(",")]
    return len(named) == 1 and all(_is_one_of(name.lower(), more.lower().split()) for name in names)


def _is_one_of(name: str, more: list[str]) -> bool:
    host = _PORT.sub("", name)
    return host in more or _THIS_MACHINE.fullmatch(host) is not None
