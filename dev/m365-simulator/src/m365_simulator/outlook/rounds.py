"""Delta queries of Outlook's folders: the first request binds $select and filters, later ones carry a token only."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from urllib.parse import quote, urlencode

from fastapi.responses import JSONResponse

from m365_simulator import changelog
from m365_simulator.faults import fault
from m365_simulator.odata import Allows, Query, parse_filter
from m365_simulator.store import Row
from m365_simulator.wire import Caller, GraphError, sound

from .items import about
from .rules import rule

TOKENS = ("$skiptoken", "$deltatoken")
FULL = fault("mailbox_full", "delta queries of the mailbox are answered 403 ErrorQuotaExceeded; plain lists still work")


@dataclass(frozen=True, slots=True)
class Changes:
    """``shown`` gives an item by its id in the log."""

    collection: str
    kind: str
    context: str
    allows: Allows
    shown: Callable[[str], Row | None]
    immutable: bool
    filters: tuple[str, ...] = ()
    rank_by: str | None = None
    change_types: bool = False
    """Whether ``changeType`` is taken: created, updated or deleted alone."""
    most: int = 1000
    """The largest page, whatever is asked for."""


def _url(caller: Caller, params: dict[str, str]) -> str:
    base = f"{caller.simulator.settings.graph_url}{caller.request.url.path}"
    return f"{base}?{urlencode(params, quote_via=quote, safe='$,()')}"


def _state(caller: Caller, changes: Changes) -> Row:
    params = dict(caller.request.query_params)
    given = [(name, params[name]) for name in TOKENS if params.get(name)]
    if not given:
        fresh = {name: value for name, value in params.items() if name != "$deltatoken"}
        allows = replace(changes.allows, other=(*changes.allows.other, *TOKENS))  # an empty one begins anew
        query = caller.query(changes.kind, allows)
        bound: Row = {"select": query.select, "size": query.size, "params": fresh, "ranked": bool(query.orders)}
        bound["only"] = _change_type(changes, fresh)
        return changelog.beginning(caller.simulator, changes.collection, **bound)
    if len(params) > 1:
        others = sorted(set(params) - set(TOKENS)) or list(TOKENS)
        raise GraphError(400, "BadRequest", f"The token holds what was asked first; {others} cannot be given with it.")
    try:
        return changelog.recall(caller.simulator, given[0][1], changes.collection, about(caller))
    except changelog.UnknownToken as error:
        raise GraphError(400, "BadRequest", "Badly formed token.") from error
    except changelog.LostState as error:
        raise _lost(caller, error) from error


def _change_type(changes: Changes, params: dict[str, str]) -> str | None:
    wanted = params.get("changeType")
    if wanted is not None and (not changes.change_types or wanted not in ("created", "updated", "deleted")):
        raise GraphError(400, "BadRequest", f"changeType={wanted} is not supported here.")
    return wanted


def _lost(caller: Caller, error: changelog.LostState) -> GraphError:
    again = _url(caller, {**error.state["params"], "$deltatoken": ""})
    headers = {"Location": again} if error.how.get("location", True) else {}
    text = "The sync state generation is not found; the client must start again from the beginning."
    return GraphError(error.how.get("status", 410), error.how.get("code", "syncStateNotFound"), text, headers=headers)


def _size(caller: Caller, state: Row, most: int) -> int:
    asked = caller.request.headers.get("prefer", "").partition("odata.maxpagesize=")[2].split(",")[0].strip()
    return min(int(asked) if asked.isdigit() and int(asked) else int(state["size"]), most)


def delta(caller: Caller, changes: Changes) -> JSONResponse:
    """One page of a round. Raises Graph's refusals, among them that of a full mailbox: it has no room for the state."""
    if caller.simulator.faults.due(FULL, **about(caller)):
        raise GraphError(
            403, "ErrorQuotaExceeded", "The mailbox has exceeded its quota. Free some space and try again."
        )
    state = _state(caller, changes)
    size = _size(caller, state, changes.most)
    filtered = state["params"].get("$filter") if changes.filters else None
    wanted = parse_filter(filtered, changes.kind, changes.filters) if filtered else None

    def keeps(entry: Row) -> bool:
        return wanted is None or wanted(changes.shown(entry["id"]) or {})

    def rank(entry: Row) -> list[str]:
        return [str((changes.shown(entry["id"]) or {}).get(changes.rank_by or "")), entry["id"]]

    ranked = rank if state["ranked"] else None
    lost = changes.immutable and rule(caller.simulator, "moved_back_lost")
    page = changelog.read(caller.simulator, state, size, about(caller), keeps=keeps, rank=ranked, returns_lost=lost)
    context = f"{caller.simulator.settings.graph_url}/v1.0/$metadata#{changes.context}"
    name, token = ("@odata.nextLink", "$skiptoken") if page.more else ("@odata.deltaLink", "$deltatoken")
    value = [_entry(changes, state, entry) for entry in page.entries]
    body = {"@odata.context": context, name: _url(caller, {token: page.token}), "value": value}
    return JSONResponse(body, headers={"Preference-Applied": f"odata.maxpagesize={size}"})


def _entry(changes: Changes, state: Row, entry: Row) -> Row:
    found = None if entry["gone"] else changes.shown(entry["id"])
    if found is None:
        key = entry["id"] if changes.immutable else entry.get("known_as") or entry["id"]
        removed = {"reason": entry["gone"] or "deleted"}
        return {"@odata.type": f"#microsoft.{changes.kind}", "id": key, "@removed": removed}
    sound(found, changes.kind)
    selected: tuple[str, ...] | None = state["select"] and tuple(state["select"])
    shape = Query({}, selected, lambda row: True, (), 0, None, 1, False, (), None)
    return {"@odata.type": f"#microsoft.{changes.kind}", **shape.shape(found)}
