"""``Content-Range`` of uploads and ``Range`` of downloads."""

import re

_CONTENT = re.compile(r"^bytes (\d+)-(\d+)/(\d+)$")
_ASKED = re.compile(r"^bytes=(\d*)-(\d*)$")


class BadRange(ValueError):
    """The sentence says what is wrong with it."""


def content_range(text: str) -> tuple[int, int, int]:
    """First byte, last byte, total; raises ``BadRange``."""
    found = _CONTENT.match(text.strip())
    if found is None:
        raise BadRange("A Content-Range header such as 'bytes 0-327679/1000000' is required.")
    first, last, total = (int(group) for group in found.groups())
    if first > last or last >= total:
        raise BadRange(f"The Content-Range '{text}' does not fit into its total.")
    return first, last, total


def asked_range(text: str | None, size: int) -> tuple[int, int] | None:
    """First and last byte of a Range header, None without one or with several; raises ``BadRange`` beyond the end."""
    found = _ASKED.match((text or "").strip())
    if found is None or found.groups() == ("", ""):
        return None
    if not found[1]:
        first, last = max(0, size - int(found[2])), size - 1
    else:
        first, last = int(found[1]), min(int(found[2] or size - 1), size - 1)
    if first >= size or first > last:
        raise BadRange(f"The range '{text}' is not satisfiable for {size} bytes.")
    return first, last
