"""What can be browsed for files, in Microsoft's words: teams and their channels, sites, their libraries and folders.

Read with the token of the person who browses, so nobody sees more than at Microsoft; whether Prospo itself reaches a
site is asked with the application's own.
"""

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal
from urllib.parse import parse_qsl, quote, urlsplit

from shared.graph import BatchRequest, GraphCaller
from shared.graph.errors import GraphError, GraphNotFound, GraphRetry
from shared.problems import BadInput

Kind = Literal["teams", "channels", "sites", "libraries", "folders"]
AT_ONCE = "50"
NO_GRANT = (
    "Prospo may not write here yet: its grant on this site is missing. Choose the place all the same; Prospo then "
    "shows the grant to send to whoever may give it."
)
_NOT_OPENED = "This channel has no folder for files yet. Open its Files once in Teams, then look here again."
_NOT_SHOWN = "Microsoft does not show the files of this channel to you: {0}"
_HIDDEN = "Microsoft does not show where this is."


@dataclass(frozen=True, slots=True)
class Place:
    """``address`` is what storage takes for it, or None. ``inside`` and ``of`` list what is in it.

    ``says`` is why it cannot be chosen or written to. ``root`` is the path at which Prospo's own access is looked up.
    """

    name: str
    address: str | None = None
    inside: Kind | None = None
    of: str = ""
    says: str = ""
    root: str = ""


@dataclass(frozen=True, slots=True)
class Listed:
    places: list[Place]
    cursor: str | None


async def listed(caller: GraphCaller, kind: Kind, of: str, named: str, cursor: str | None) -> Listed:
    """One page. Raises ``GraphError``, and ``BadInput`` for a cursor that is none."""
    path, params = _question(kind, of, named)
    answer = await caller.get(path, _of_cursor(cursor) if cursor else params)
    found = [item for item in answer.get("value") or [] if isinstance(item, dict)]
    if kind == "channels":
        places = await _channels(caller, of, found)
    else:
        places = [place for item in found if (place := _READ[kind](item, of)) is not None]
    return Listed(places, _cursor_of(answer.get("@odata.nextLink")))


async def with_access(application: GraphCaller, places: list[Place]) -> list[Place]:
    """The same, each that Prospo does not reach with the reason. Raises ``GraphError`` when nothing was answered."""
    roots = sorted({place.root for place in places if place.root and place.address})
    answers = await application.batch([BatchRequest("GET", f"{root}?$select=id") for root in roots])
    closed = {root for root, answer in zip(roots, answers, strict=True) if _is_closed(answer.error)}
    return [replace(place, says=place.says or NO_GRANT) if place.root in closed else place for place in places]


def _is_closed(error: GraphError | None) -> bool:
    return error is not None and not isinstance(error, GraphRetry) and error.status in {403, 404}


def _question(kind: Kind, of: str, named: str) -> tuple[str, dict[str, str]]:
    if kind == "teams":
        return "/me/joinedTeams", {}
    if kind == "channels":
        return f"/teams/{quote(of, safe='')}/channels", {}
    if kind == "sites":
        return "/sites", {"search": named or "*", "$top": AT_ONCE}
    if kind == "libraries":
        return f"/sites/{quote(of, safe=',')}/drives", {"$select": "id,name,webUrl,driveType", "$top": AT_ONCE}
    drive, _, item = of.partition("/")
    path = f"/drives/{quote(drive, safe='!')}/items/{quote(item or 'root', safe='!')}/children"
    return path, {"$select": "id,name,webUrl,folder", "$top": AT_ONCE}


def _team(item: dict[str, Any], _of: str) -> Place | None:
    return Place(str(item.get("displayName")), None, "channels", str(item.get("id")))


def _site(item: dict[str, Any], _of: str) -> Place | None:
    """People's own OneDrives are sites too, and no place for an organisation's files."""
    address, key = str(item.get("webUrl") or ""), str(item.get("id"))
    host = (urlsplit(address).hostname or "").split(".")[0]
    if host.endswith("-my") or not address.startswith("https://"):
        return None
    return Place(
        str(item.get("displayName") or address), address, "libraries", key, root=f"/sites/{quote(key, safe=',')}"
    )


def _library(item: dict[str, Any], _of: str) -> Place | None:
    if item.get("driveType") not in {None, "documentLibrary"}:
        return None
    key = str(item.get("id"))
    root = f"/drives/{quote(key, safe='!')}"
    return Place(str(item.get("name")), str(item.get("webUrl")), "folders", f"{key}/root", root=root)


def _folder(item: dict[str, Any], of: str) -> Place | None:
    if "folder" not in item:
        return None
    drive = of.partition("/")[0]
    inside = f"{drive}/{item.get('id')}"
    root = f"/drives/{quote(drive, safe='!')}"
    return Place(str(item.get("name")), str(item.get("webUrl")), "folders", inside, root=root)


_READ = {"teams": _team, "sites": _site, "libraries": _library, "folders": _folder}


async def _channels(caller: GraphCaller, team: str, items: Iterable[dict[str, Any]]) -> list[Place]:
    """Channels with their folders; a private or shared channel has its folder in a site of its own."""
    named = [(str(item.get("displayName")), str(item.get("id"))) for item in items]
    base = f"/teams/{quote(team, safe='')}/channels"
    asked = [BatchRequest("GET", f"{base}/{quote(key, safe='')}/filesFolder") for _, key in named]
    answers = await caller.batch(asked) if asked else []
    return [_channel(name, answer.body, answer.error) for (name, _), answer in zip(named, answers, strict=True)]


def _channel(name: str, folder: Any, error: GraphError | None) -> Place:
    if isinstance(error, GraphNotFound):
        return Place(name, says=_NOT_OPENED)
    if error is not None:
        return Place(name, says=_NOT_SHOWN.format(error.message))
    said = folder if isinstance(folder, dict) else {}
    drive = str((said.get("parentReference") or {}).get("driveId") or "")
    if not said.get("webUrl") or not drive:
        return Place(name, says=_HIDDEN)
    root = f"/drives/{quote(drive, safe='!')}"
    return Place(name, str(said["webUrl"]), "folders", f"{drive}/{said.get('id')}", root=root)


def _cursor_of(link: Any) -> str | None:
    """The question of Graph's link to the next page; the path is ours."""
    query = urlsplit(link).query if isinstance(link, str) else ""
    return base64.urlsafe_b64encode(query.encode()).decode().rstrip("=") if query else None


def _of_cursor(cursor: str) -> dict[str, str]:
    try:
        query = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
        return dict(parse_qsl(query, strict_parsing=True))
    except (binascii.Error, ValueError) as error:
        raise BadInput("bad_cursor", "Ask for the first page again: this is no cursor of this list.") from error
