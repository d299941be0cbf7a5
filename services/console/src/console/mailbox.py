"""Why a mail may be missing: what Prospo reads of the person's mailbox, and how that is."""

from urllib.parse import quote

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response

from console.backend import Refused, backend_of
from console.problems import refused_page
from console.rendering import render
from console.switches import require_person

PAGE = "/mail/mailbox"
_FOLDERS = "/v1/mail/mailbox/folders"
router = APIRouter(prefix=PAGE, dependencies=[Depends(require_person)])


@router.get("")
async def mailbox(request: Request, asked: bool = False) -> Response:
    found = await backend_of(request).get(request, "/v1/mail/mailbox")
    return render(request, "mail/mailbox.html", mailbox=found, asked=asked)


@router.post("/refresh")
async def refresh(request: Request) -> Response:
    try:
        await backend_of(request).call(request, "POST", "/v1/mail/mailbox/refresh")
    except Refused as refused:
        way_on = (PAGE, "Back")
        return refused_page(request, refused, "Prospo does not look at your mailbox now", way_on=way_on)
    return RedirectResponse(f"{PAGE}?asked=true", 303)


@router.get("/folders")
async def folders(request: Request) -> Response:
    try:
        found = await backend_of(request).get(request, _FOLDERS)
    except Refused as refused:
        return refused_page(request, refused, "Your folders cannot be read now", way_on=(PAGE, "Back"))
    return render(request, "mail/folders.html", folders=found["items"])


@router.post("/folders")
async def follow(request: Request) -> Response:
    form = await request.form()
    folder = quote(str(form.get("folder") or "-"), safe="").replace(".", "%2E")
    try:
        await backend_of(request).call(
            request, "PUT", f"{_FOLDERS}/{folder}", json={"followed": form.get("on") == "true"}
        )
    except Refused as refused:
        return refused_page(request, refused, "Nothing was changed", way_on=(f"{PAGE}/folders", "Back to the folders"))
    return RedirectResponse(f"{PAGE}/folders", 303)
