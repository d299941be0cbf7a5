"""Addresses of places in SharePoint as people copy them from a browser: which site it is, and which folder of it."""

import re
from dataclasses import dataclass
from urllib.parse import parse_qs, quote, unquote, urlsplit

from shared.problems import BadInput

_HOST = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+")
_COLLECTIONS = {"sites", "teams"}
_PAGES = {"_layouts", "sitepages", "forms", "_forms", "lists"}
"""From here on an address names a page of a site or library, not a folder."""
_SHARED_BY_PATH = re.compile(r":[a-z]:", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Address:
    """``site`` is a path such as ``/sites/Sales``, empty for the host's first site; ``path`` names a library of it and
    folders below, and is empty for the site's own library."""

    host: str
    site: str
    path: tuple[str, ...]

    @property
    def url(self) -> str:
        """The address of the site, for people and their tools."""
        return f"https://{self.host}{quote(self.site)}"

    @property
    def graph(self) -> str:
        """The path of the site at Graph."""
        return f"/sites/{self.host}:{quote(self.site)}" if self.site else f"/sites/{self.host}"


def read(text: str) -> Address:
    """Raises ``BadInput`` saying what to paste instead."""
    try:
        url = urlsplit(text.strip())
        host = (url.hostname or "").lower()
    except ValueError:
        raise _unreadable() from None
    if url.scheme != "https" or not _HOST.fullmatch(host):
        raise _unreadable()
    if host.startswith("teams."):
        raise BadInput(
            "address_of_teams",
            "This is an address of Teams. Open the channel's Files in Teams, choose Open in SharePoint, and paste the "
            "address that the browser shows then.",
        )
    return _of_path(host, _segments(url.path, url.query))


def _of_path(host: str, segments: list[str]) -> Address:
    if host.split(".")[0].endswith("-my") or segments[:1] == ["personal"]:
        raise BadInput(
            "address_of_person",
            "This is one person's OneDrive. Choose a site, a library or a channel of the organisation.",
        )
    deep = 2 if segments[:1] and segments[0].lower() in _COLLECTIONS and len(segments) > 1 else 0
    path = segments[deep:]
    pages = [number for number, name in enumerate(path) if name.lower() in _PAGES or name.lower().endswith(".aspx")]
    path = path[: pages[0]] if pages else path
    return Address(host, "".join(f"/{name}" for name in segments[:deep]), tuple(path))


def _segments(path: str, query: str) -> list[str]:
    """The names of the path. A view of a library has the folder it shows in its query."""
    asked = parse_qs(query)
    for name in ("id", "RootFolder"):
        if asked.get(name, [""])[0].startswith("/") and unquote(path).lower().endswith(".aspx"):
            path = quote(asked[name][0])
    segments = [unquote(part) for part in path.split("/") if part]
    if segments and _SHARED_BY_PATH.fullmatch(segments[0]):
        if segments[1:2] != ["r"]:
            raise BadInput(
                "address_of_share",
                "This is a sharing link. Open it in a browser and paste the address that the browser shows then.",
            )
        segments = segments[2:]
    if any(name in {".", ".."} or "/" in name or not name.isprintable() for name in segments):
        raise _unreadable()
    return segments


def _unreadable() -> BadInput:
    return BadInput(
        "address_unreadable",
        "Paste the whole address of a SharePoint site, library or folder as the browser shows it: it begins with "
        "https:// and names your organisation's SharePoint.",
    )
