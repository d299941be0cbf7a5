"""What tests and people steer the simulator with; nothing Microsoft has."""

from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from m365_simulator.core import Simulator
from m365_simulator.faults import COMMON, KINDS, BadFault
from m365_simulator.store import Row
from m365_simulator.verbs import VERBS, Refused, perform

from . import pages, scenarios, watch, world

router = APIRouter()
router.include_router(pages.router)
router.include_router(watch.router)
SHOWN = [
    *("tenants", "users", "applications", "consent_requests", "events", "meetings", "artefacts", "subscriptions"),
    *("invitations", "deliveries", "sites", "faults", "limits"),
]


def simulator_of(request: Request) -> Simulator:
    simulator: Simulator = request.scope["simulator"]
    return simulator


def _refused(error: ValueError, **known: Any) -> JSONResponse:
    return JSONResponse({"detail": str(error), **known}, 400)


async def _object(request: Request) -> Row:
    """The JSON object sent, or none; raises ``Refused``."""
    if not await request.body():
        return {}
    try:
        body = await request.json()
    except ValueError as error:
        raise Refused("The body is not JSON.") from error
    if not isinstance(body, dict):
        raise Refused("Send a JSON object.")
    return body


@router.get("/")
async def home(request: Request, happened: str | None = None) -> HTMLResponse:
    return pages.meetings(simulator_of(request), happened=happened)


@router.post("/meetings/happen")
async def happen_from_page(request: Request) -> Response:
    """From our page or the console's meeting record, which then names itself in ``return_to``."""
    simulator, form = simulator_of(request), await request.form()
    try:
        meeting = world.meeting_happens(simulator, meeting=str(form.get("meeting")), record="record" in form)
    except Refused:
        return RedirectResponse("/", 303)
    back = str(form.get("return_to") or "")
    ours = back.startswith(f"{pages.console_url(simulator)}/")
    return RedirectResponse(back if ours else f"/?{urlencode({'happened': meeting['id']})}", 303)


@router.get("/control/verbs")
async def verbs() -> JSONResponse:
    """Everything that can be done, with the JSON Schema of its arguments."""
    known = {
        name: {"says": one.says, "arguments": one.arguments.model_json_schema()} for name, one in sorted(VERBS.items())
    }
    return JSONResponse(known)


@router.post("/control/do/{name}")
async def do(request: Request, name: str) -> JSONResponse:
    try:
        return JSONResponse(perform(simulator_of(request), name, await _object(request)))
    except Refused as error:
        return _refused(error, known=sorted(VERBS))


@router.get("/control/scenarios")
async def all_scenarios() -> JSONResponse:
    return JSONResponse({name: one.says for name, one in scenarios.known().items()})


@router.post("/control/scenarios/run")
async def run_scenario(request: Request) -> JSONResponse:
    """{"name"} of a known one, or {"steps": […]} as in a scenario file."""
    try:
        return JSONResponse(await scenarios.run(simulator_of(request), scenarios.read(await _object(request))))
    except Refused as error:
        return _refused(error, known=sorted(scenarios.known()))


@router.post("/control/settle")
async def settle(request: Request) -> Response:
    """Answer when everything that is due has been done once."""
    await simulator_of(request).settle()
    return Response(status_code=204)


@router.get("/control/state")
async def state(request: Request) -> JSONResponse:
    simulator = simulator_of(request)
    rows = {kind: simulator.store.all(kind) for kind in SHOWN}
    consents = {key: simulator.store.get("consents", key) for key in simulator.store.keys("consents")}
    clocks = {"now": simulator.now().isoformat(), "service": simulator.clock.service().isoformat()}
    return JSONResponse({**clocks, "consents": consents, **rows})


@router.get("/control/calls")
async def calls(request: Request) -> JSONResponse:
    return JSONResponse(list(simulator_of(request).calls.rows))


@router.delete("/control/calls")
async def forget_calls(request: Request) -> Response:
    simulator_of(request).calls.clear()
    return Response(status_code=204)


@router.get("/control/findings")
async def findings(request: Request) -> JSONResponse:
    """What a careful client would not have done, and subscriptions that outlived a tenant's consent."""
    simulator = simulator_of(request)
    return JSONResponse([*simulator.calls.findings, *world.leaked_subscriptions(simulator)])


@router.get("/control/faults")
async def known_faults(request: Request) -> JSONResponse:
    known = {name: {"says": one.says, "options": [*one.options, *COMMON]} for name, one in sorted(KINDS.items())}
    return JSONResponse({"known": known, "standing": simulator_of(request).store.all("faults")})


@router.post("/control/faults")
async def add_fault(request: Request) -> JSONResponse:
    """{"name", "times": 1, "match": {…}, …}."""
    try:
        body = await _object(request)
        return JSONResponse(simulator_of(request).faults.add(str(body.pop("name", None)), body))
    except (BadFault, Refused) as error:
        return _refused(error, known={name: one.says for name, one in sorted(KINDS.items())})


@router.delete("/control/faults")
async def clear_faults(request: Request) -> Response:
    simulator_of(request).faults.clear()
    return Response(status_code=204)
