"""The mails that a person sends through Prospo: the list, one with its history, cancelling and sending again."""

import uuid

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response

from console.backend import Json, Refused, backend_of
from console.mail_words import MAIL_NEWS, mail_status
from console.problems import refused_page
from console.rendering import Live, answer_live, answer_no_news, render
from console.switches import require_person

router = APIRouter(prefix="/mail/outbox", dependencies=[Depends(require_person)])
_MAILS, _PAGE_SIZE = "/v1/mail", 25
_SETTLED = {"seen_in_sent", "failed", "cancelled", "outcome_unknown"}


@router.get("")
async def outbox(request: Request, cursor: str | None = None) -> Response:
    wanted = {"limit": _PAGE_SIZE, **({"cursor": cursor} if cursor else {})}
    page = await backend_of(request).get(request, _MAILS, params=wanted)
    return render(request, "mail/outbox.html", mails=page["items"], next=page.get("next_cursor"), later=cursor)


@router.get("/{mail_id}")
async def mail(request: Request, mail_id: uuid.UUID) -> Response:
    found, live = await _mail(request, mail_id)
    return render(request, "mail/sent.html", mail=found, live=live)


@router.get("/{mail_id}/live")
async def news(request: Request, mail_id: uuid.UUID) -> Response:
    try:
        found, live = await _mail(request, mail_id)
    except Refused as refused:
        return answer_no_news(request, refused)
    return answer_live(request, live, lambda _part: MAIL_NEWS.get(mail_status(found)))


@router.post("/{mail_id}/cancel")
async def cancel(request: Request, mail_id: uuid.UUID) -> Response:
    return await _act(request, mail_id, "cancel", "The mail was not cancelled")


@router.post("/{mail_id}/send-again")
async def send_again(request: Request, mail_id: uuid.UUID) -> Response:
    return await _act(request, mail_id, "send-again", "The mail was not sent again")


async def _act(request: Request, mail_id: uuid.UUID, what: str, title: str) -> Response:
    page = f"/mail/outbox/{mail_id}"
    try:
        await backend_of(request).call(request, "POST", f"{_MAILS}/{mail_id}/{what}")
    except Refused as refused:
        return refused_page(request, refused, title, way_on=(page, "See the mail"))
    return RedirectResponse(page, 303)


async def _mail(request: Request, mail_id: uuid.UUID) -> tuple[Json, Live]:
    found = await backend_of(request).get(request, f"{_MAILS}/{mail_id}")
    status = mail_status(found)
    every_s = None if status in _SETTLED else request.app.state.console.settings.live_interval_s
    return found, Live(request, f"/mail/outbox/{mail_id}", "mail", {"becoming": status}, every_s, mail=found)
