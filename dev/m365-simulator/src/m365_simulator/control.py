"""What tests and people steer the simulator with; nothing Microsoft has."""

from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from . import pages
from .core import FAULTS, Simulator
from .store import Row

router = APIRouter()
router.include_router(pages.router)
KINDS = ["tenants", "users", "events", "meetings", "artefacts", "subscriptions", "deliveries", "faults"]


def _simulator(request: Request) -> Simulator:
    simulator: Simulator = request.app.state.simulator
    return simulator


def _meeting(simulator: Simulator, name: str) -> Row | None:
    return next((m for m in simulator.store.all("meetings") if name in (m["id"], m["join_url"])), None)


@router.get("/")
async def home(request: Request, happened: str | None = None) -> HTMLResponse:
    return pages.meetings(_simulator(request), happened=happened)


@router.post("/meetings/happen")
async def happen_from_page(request: Request) -> Response:
    """From our page or the console's meeting record, which then names itself in ``return_to``."""
    simulator, form = _simulator(request), await request.form()
    meeting = _meeting(simulator, str(form.get("meeting")))
    if meeting is None:
        return RedirectResponse("/", 303)
    _take_place(simulator, meeting, recorded="record" in form)
    back = str(form.get("return_to") or "")
    ours = back.startswith(f"{pages.console_url(simulator)}/")
    return RedirectResponse(back if ours else f"/?{urlencode({'happened': meeting['id']})}", 303)


def _take_place(simulator: Simulator, meeting: Row, *, recorded: bool) -> None:
    if recorded:
        meeting["recorded_by_hand"] = True
        simulator.store.put("meetings", meeting["id"], meeting)
    simulator.let_happen(meeting)


@router.post("/control/meetings/happen")
async def happen(request: Request) -> JSONResponse:
    """{"meeting": id or join URL, "record": true when somebody pressed record}."""
    simulator, body = _simulator(request), await request.json()
    meeting = _meeting(simulator, body.get("meeting", ""))
    if meeting is None:
        return JSONResponse({"detail": "No such meeting; give its id or its join URL."}, 404)
    _take_place(simulator, meeting, recorded=bool(body.get("record")))
    return JSONResponse(meeting)


@router.get("/control/state")
async def state(request: Request) -> JSONResponse:
    simulator = _simulator(request)
    rows = {kind: simulator.store.all(kind) for kind in KINDS}
    consents = {key: simulator.store.get("consents", key) for key in simulator.store.keys("consents")}
    return JSONResponse({"now": simulator.now().isoformat(), "consents": consents, **rows})


@router.get("/control/calls")
async def calls(request: Request) -> JSONResponse:
    return JSONResponse(_simulator(request).calls)


@router.post("/control/clock/advance")
async def advance(request: Request) -> JSONResponse:
    simulator = _simulator(request)
    simulator.advance(float((await request.json())["seconds"]))
    simulator.tick()
    return JSONResponse({"now": simulator.now().isoformat()})


@router.post("/control/recording-size")
async def recording_size(request: Request) -> JSONResponse:
    """{"bytes": n}, or null for the film again."""
    size = (await request.json())["bytes"]
    _simulator(request).store.put("settings", "recording_size", {"value": size})
    return JSONResponse({"bytes": size})


@router.post("/control/tenants/{tid}")
async def change_tenant(request: Request, tid: str) -> JSONResponse:
    """{"transcripts": false} is the tenant's switch for transcript access."""
    simulator = _simulator(request)
    row = simulator.store.get("tenants", tid)
    if row is None:
        return JSONResponse({"detail": "No such tenant; give its GUID."}, 404)
    row["transcripts"] = bool((await request.json())["transcripts"])
    return JSONResponse(simulator.store.put("tenants", tid, row))


@router.post("/control/faults")
async def add_fault(request: Request) -> JSONResponse:
    """{"name", "times": 1, …}."""
    body = await request.json()
    name = body.pop("name", None)
    if name not in FAULTS:
        return JSONResponse({"detail": "Unknown fault; see known.", "known": FAULTS}, 400)
    _simulator(request).add_fault(name, body)
    return JSONResponse({"name": name, **body})


@router.delete("/control/faults")
async def clear_faults(request: Request) -> Response:
    store = _simulator(request).store
    for name in store.keys("faults"):
        store.delete("faults", name)
    return Response(status_code=204)
