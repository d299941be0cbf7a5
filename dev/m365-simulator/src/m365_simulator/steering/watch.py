"""The page of whoever watches: the clocks and buttons that push them, what was called, faults, scenarios."""

from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.datastructures import FormData

from m365_simulator.core import Simulator
from m365_simulator.faults import KINDS
from m365_simulator.store import Row
from m365_simulator.verbs import Refused, perform

from . import pages, scenarios

router = APIRouter()
SHOWN = 100
PUSHES = {"world": ["10 min", "1 h", "1 d"], "service": ["1 h", "4 h", "90 d"]}
SAYS = {
    "world": "What happens in calendars and meetings.",
    "service": "The age of tokens, codes, subscriptions and upload sessions; when notifications are sent again.",
}


def _simulator(request: Request) -> Simulator:
    simulator: Simulator = request.scope["simulator"]
    return simulator


@router.get("/watch")
async def watch(request: Request, done: str = "", refused: str = "", live: bool = False) -> HTMLResponse:
    """``live``: the page fetches itself again every few seconds, without a script."""
    simulator = _simulator(request)
    calls = [_shown(simulator, row) for row in list(simulator.calls.rows)[-SHOWN:][::-1]]
    values: dict[str, Any] = {
        "clocks": [
            (name, SAYS[name], pages.readable(simulator.clock.now(name)), PUSHES[name])  # type: ignore[arg-type]
            for name in PUSHES
        ],
        "calls": calls,
        "findings": list(simulator.calls.findings)[-SHOWN:][::-1],
        "faults": simulator.store.all("faults"),
        "kinds": sorted(KINDS.values(), key=lambda kind: kind.name),
        "scenarios": scenarios.known().values(),
    }
    return pages.show(simulator, "watch.html", done=done, refused=refused, live=live, **values)


def _shown(simulator: Simulator, row: Row) -> Row:
    who = (simulator.store.get("users", row.get("user") or "") or {}).get("address")
    return {**row, "time": row["at"][11:19], "who": who or ("the application" if row.get("app_only") else "nobody")}


def _back(**said: str) -> RedirectResponse:
    return RedirectResponse(f"/watch?{urlencode(said)}", 303)


@router.post("/watch")
async def act(request: Request) -> Response:
    """Do what a button of the page says: ``push`` a clock, strike a ``fault``, ``clear`` them, run a ``scenario``."""
    simulator, form = _simulator(request), await request.form()
    try:
        return _back(done=await _acted(simulator, form))
    except (Refused, ValueError) as error:
        return _back(refused=str(error))


async def _acted(simulator: Simulator, form: FormData) -> str:
    if "push" in form:
        clock, _, span = str(form["push"]).partition(" ")
        perform(simulator, "clock_advance", {"clock": clock, "seconds": scenarios.seconds(span)})
        return f"The {clock} clock went {span} on."
    if "clear" in form:
        perform(simulator, "faults_clear", {})
        return "No fault stands any more."
    if "scenario" in form:
        ran = await scenarios.run(simulator, scenarios.read({"name": str(form["scenario"])}))
        return f"“{ran['name']}” ran, {len(ran['done'])} steps."
    options = {"match": {"path": str(form["path"])}} if form.get("path") else {}
    perform(simulator, "fault_add", {"name": str(form.get("fault")), "options": options})
    return f"“{form.get('fault')}” strikes the next call that fits."
