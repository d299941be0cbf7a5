"""The online meeting behind an event, in Graph's JSON: its id, lobby, presenters and automatic recording."""

from typing import Any
from urllib.parse import quote

from meetings.problems import RECORDING_NOT_CHANGED
from shared.graph import GraphCaller
from shared.graph.errors import GraphGiveUp, GraphNotFound, GraphTellAdmin

REFUSED = "auto_recording_refused"
OPTIONS_REFUSED = "options_refused"


async def find(caller: GraphCaller, join_url: str) -> str | None:
    """The id behind a join link; None while Microsoft does not know it yet, which is normal just after booking."""
    quoted = join_url.replace("'", "''")
    try:
        found = await caller.get("/me/onlineMeetings", {"$filter": f"JoinWebUrl eq '{quoted}'"})
    except GraphNotFound:
        return None
    entity = _entity(found)
    return str(entity["id"]) if entity.get("id") else None


async def set_first_options(caller: GraphCaller, online_id: str, options: dict[str, str]) -> dict[str, Any]:
    """Set lobby and presenters of a new meeting. When Microsoft refuses them the meeting can be used all the same.

    Returns the ``problem`` of the meeting's record, or nothing.
    """
    try:
        await set_options(caller, online_id, options)
    except (GraphTellAdmin, GraphGiveUp) as error:
        detail = "Microsoft did not accept who waits in the lobby or may present; choose it in the meeting's options in"
        return {"problem": {"code": OPTIONS_REFUSED, "detail": f"{detail} Teams. Microsoft says: {error}"}}
    return {}


async def set_options(caller: GraphCaller, online_id: str, options: dict[str, str]) -> None:
    """Set who waits in the lobby, and who may present."""
    wanted: dict[str, Any] = {}
    if options.get("lobby"):
        wanted["lobbyBypassSettings"] = {"scope": options["lobby"]}
    if options.get("presenters"):
        wanted["allowedPresenters"] = options["presenters"]
    if wanted:
        await caller.patch(_path(online_id), wanted)


async def options_of(caller: GraphCaller, online_id: str) -> dict[str, str]:
    """Read who waits in the lobby and who may present. What Microsoft does not say is left out."""
    found = _entity(await caller.get(_path(online_id)))
    scope = (found.get("lobbyBypassSettings") or {}).get("scope")
    told = {"lobby": scope, "presenters": found.get("allowedPresenters")}
    return {name: str(value) for name, value in told.items() if value}


async def set_recording(caller: GraphCaller, online_id: str, *, on: bool) -> dict[str, Any]:
    """Ask for automatic recording or for none. Returns ``auto_recording`` and, when it was refused, the ``problem``.

    A refused recording leaves a usable meeting. Raises ``GraphGiveUp`` when Microsoft does not turn it off.
    """
    try:
        accepted = await turn_recording(caller, online_id, on=on)
    except (GraphTellAdmin, GraphGiveUp) as error:
        if not on:
            raise
        return _refused(f" {error}")
    if accepted and not on:
        raise GraphGiveUp("Microsoft keeps the automatic recording on.", code=RECORDING_NOT_CHANGED)
    return _refused("") if on and not accepted else {"auto_recording": accepted}


async def turn_recording(caller: GraphCaller, online_id: str, *, on: bool) -> bool:
    """Ask for automatic recording, or for none. Returns what Microsoft says it is now.

    Recording by hand stays allowed. A meeting in progress goes on as it began.
    """
    options = {"recordAutomatically": on} | ({"allowRecording": True, "allowTranscription": True} if on else {})
    answer = await caller.patch(_path(online_id), options)
    return bool(_entity(answer).get("recordAutomatically", on))


def _refused(says: str) -> dict[str, Any]:
    detail = f"Microsoft did not accept automatic recording; start it by hand in the meeting.{says}"
    return {"auto_recording": False, "problem": {"code": REFUSED, "detail": detail}}


def _entity(answer: dict[str, Any]) -> dict[str, Any]:
    """The meeting of an answer: some of Microsoft's are a list of one, some wrap it, some are the meeting itself."""
    value = answer.get("value", answer)
    found: dict[str, Any] = next(iter(value), {}) if isinstance(value, list) else value or {}
    return found


def _path(online_id: str) -> str:
    return f"/me/onlineMeetings/{quote(online_id, safe='')}"
