"""Browsing under Admin → Connectors → Microsoft 365 → Choose Storage Location: teams, channels, sites, libraries.

The sign-in before it is in ``connecting.py``. A place that is chosen here goes the way of a pasted address.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from console.backend import Refused, backend_of
from console.locating import PAGE as LOCATION_PAGE
from console.problems import refused_page
from console.rendering import render

PAGE = f"{LOCATION_PAGE}/browse"
PLACES, BROWSE = "/v1/tenant/browse/places", "/v1/tenant/browse"
TITLES = {
    "teams": "Teams",
    "channels": "Channels",
    "sites": "Sites",
    "libraries": "Libraries",
    "folders": "Folders",
}
router = APIRouter()
Text = Annotated[str, Query(max_length=700)]


@router.get(PAGE)
async def browse(
    request: Request,
    kind: str = "teams",
    of: Text = "",
    named: Annotated[str, Query(max_length=100)] = "",
    cursor: Annotated[str, Query(max_length=4000)] = "",
    within: Text = "",
) -> Response:
    """``within`` is what the list is of, as the page before called it."""
    kind = kind if kind in TITLES else "teams"
    asked = {"kind": kind, "of": of, "named": named.strip(), "cursor": cursor}
    try:
        params = {name: value for name, value in asked.items() if value}
        answer = await backend_of(request).call(request, "GET", PLACES, params=params, patient=True)
    except Refused as refused:
        if refused.code == "browse_not_open":
            return render(request, "connector/browse_again.html", refused.status, problem=refused.problem)
        return refused_page(request, refused, "The list is not shown", way_on=(PAGE, "Back to your teams"))
    values: dict[str, Any] = {"listed": answer.json(), "title": TITLES[kind], "within": within, "first": not cursor}
    return render(request, "connector/browse.html", **values, kind=kind, of=of, named=asked["named"])


@router.post(f"{PAGE}/end")
async def end(request: Request) -> Response:
    """The sign-in is forgotten at once; on the way there it would be in some minutes."""
    try:
        await backend_of(request).call(request, "DELETE", BROWSE)
    except Refused as refused:
        return refused_page(request, refused, "The sign-in was not ended", way_on=(LOCATION_PAGE, "Back"))
    return RedirectResponse(LOCATION_PAGE, 303)
