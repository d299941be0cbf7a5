"""What became of every notification, to read: what was sent, each attempt, and how it ended."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from m365_simulator.clock import stamp
from m365_simulator.core import Simulator
from m365_simulator.store import Row

router = APIRouter()
KEPT = 5_000
LOG = "notifications"


def sequence(simulator: Simulator) -> int:
    """Numbers in the order in which things happened here."""
    row = simulator.store.get("counters", "notifying") or {"value": 0}
    simulator.store.put("counters", "notifying", {"value": row["value"] + 1})
    return int(row["value"]) + 1


def begin(simulator: Simulator, number: int, status: str, about: Row) -> None:
    """``status``: waiting, held, delivered, lost (its four hours are over), dropped or never."""
    row = {"number": number, "status": status, "queued": stamp(simulator.clock.service()), "attempts": [], **about}
    simulator.store.put(LOG, str(number), row)
    for key in simulator.store.keys(LOG)[:-KEPT]:
        simulator.store.delete(LOG, key)


def note(simulator: Simulator, number: int, status: str, attempt: Row | None = None) -> None:
    row = simulator.store.get(LOG, str(number))
    if row is not None and (attempt is not None or row["status"] != status):
        row["status"] = status
        row["attempts"] += [attempt] if attempt is not None else []
        simulator.store.put(LOG, str(number), row)


def without_secrets(item: Any) -> Any:
    """An item to read: no clientState, and of encrypted content only whose key opens it."""
    if not isinstance(item, dict):
        return item
    shown = {name: value for name, value in item.items() if name != "clientState"}
    for name, value in item.items():
        if name.lower() == "encryptedcontent":
            shown[name] = {"encryptionCertificateId": value["encryptionCertificateId"]}
    return shown


@router.get("/control/notifications")
async def notifications(request: Request) -> JSONResponse:
    return JSONResponse(request.scope["simulator"].store.all(LOG))


@router.delete("/control/notifications")
async def forget(request: Request) -> Response:
    simulator: Simulator = request.scope["simulator"]
    for key in simulator.store.keys(LOG):
        simulator.store.delete(LOG, key)
    return Response(status_code=204)
