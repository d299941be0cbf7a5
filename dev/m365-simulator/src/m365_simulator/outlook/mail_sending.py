"""Sending: drafts, sendMail in JSON and MIME, replies and forwards, and delivery to other simulated mailboxes.

A 202 says accepted and no more: delivery comes later on the world's clock, and the same request again sends again.
"""

import datetime
import html
from collections.abc import Awaitable, Callable

from fastapi import APIRouter, Request
from fastapi.responses import Response

from m365_simulator.core import Simulator
from m365_simulator.directory import find_user
from m365_simulator.faults import fault
from m365_simulator.store import Row
from m365_simulator.timeline import action
from m365_simulator.wire import Caller, GraphError, GraphRoute, checked, json_of

from . import attachment_files, bodies, folders, items, mail_items, mime
from .items import MAIL_SEND, MAIL_WRITE, mailbox_route, opened
from .mail import EACH, answered, message
from .rules import rule

router = APIRouter(prefix="/v1.0", route_class=GraphRoute)
LATE = fault("mail_delay", "a sent message takes `seconds` longer", "seconds")
LOST = fault("mail_lost", "a sent message never arrives")
NOT_FILED = fault("mail_not_filed", "a message is sent, and no copy of it ever comes to Sent Items")
SENT_LATE = fault(
    "mail_sent_late",
    "`/send` answers 504, and the draft stands for `seconds` (30) until it is sent after all",
    "seconds",
)
KIND = "graph.message"
QUOTE = "\r\n\r\n________________________________\r\n"


def recipients(body: Row) -> list[str]:
    lists = (body.get("toRecipients"), body.get("ccRecipients"), body.get("bccRecipients"))
    found = [one["emailAddress"]["address"].strip() for people in lists for one in people or []]
    return list(dict.fromkeys(found))


def _check(simulator: Simulator, user: Row, body: Row, files: list[Row]) -> None:
    sender = (((body.get("from") or {}).get("emailAddress") or {}).get("address") or user["address"]).lower()
    if sender != user["address"].lower():
        text = "The user account which was used to submit this request does not have the right to send mail on behalf "
        raise GraphError(403, "ErrorSendAsDenied", text + "of the specified sending account.")
    people = recipients(body)
    if not people or not all(one.count("@") == 1 and all(one.split("@")) for one in people):
        raise GraphError(400, "ErrorInvalidRecipients", "At least one recipient isn't valid.")
    size = len(str(body["body"].get("content") or "")) + sum(one["size"] for one in files) * 4 // 3
    if size > rule(simulator, "message_bytes"):
        text = "The message exceeds the maximum supported size of the organisation."
        raise GraphError(413, "ErrorMessageSizeExceeded", text)


def deliver(simulator: Simulator, sender: Row, body: Row, thread: str, files: list[Row]) -> None:
    """Plan a copy for every recipient whom the simulator knows; others are the world's."""
    copy = {name: value for name, value in body.items() if name not in ("bccRecipients", "conversationId")}
    seconds = float(rule(simulator, "delivery_s"))
    for address in recipients(body):
        person = find_user(simulator.store, address)
        about = {"user": f"{sender['id']}\n{sender['address']}", "tenant": sender["tenant"], "recipient": address}
        if person is None or not person["mailbox"] or simulator.faults.due(LOST, **about):
            continue
        late = simulator.faults.due(LATE, **about) or {"seconds": 0}
        moment = simulator.now() + datetime.timedelta(seconds=seconds + late.get("seconds", 600))
        payload = {"user": person["id"], "body": copy, "thread": thread, "files": files}
        simulator.timeline.at(moment, mail_delivered, payload, key=f"mail/{simulator.ids.guid('delivery')}")


@action
def mail_delivered(simulator: Simulator, payload: Row) -> None:
    now = simulator.now().strftime("%Y-%m-%dT%H:%M:%SZ")
    state = {"isDraft": False, "isRead": False, "receivedDateTime": now, "bccRecipients": []}
    mail_items.stand(simulator, payload["user"], "inbox", payload["body"] | state, payload["thread"], payload["files"])


def _sent_state(simulator: Simulator) -> Row:
    now = simulator.now().strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"isDraft": False, "isRead": True, "sentDateTime": now, "receivedDateTime": now}


def send_new(
    simulator: Simulator, user: Row, body: Row, files: list[Row], thread: str, *, save: bool, answers: Row | None = None
) -> None:
    """``answers`` is the message that this one is an answer to."""
    made = mail_items.filled(simulator, user, body) | _sent_state(simulator)
    if answers is not None:
        made["internetMessageHeaders"] = _headers(made, answers)
    _check(simulator, user, made, files)
    deliver(simulator, user, made, thread, files)
    if save:
        mail_items.stand(simulator, user["id"], "sentitems", made, thread, files)


@mailbox_route(router, "POST", "/sendMail")
async def send_mail(request: Request) -> Response:
    caller, user = opened(request, MAIL_SEND)
    if request.headers.get("content-type", "").startswith("text/plain"):
        body, parts = mime.message_of(await request.body())
        files = [attachment_files.stored(caller.simulator, given, content) for given, content in parts]
        save = True
    else:
        body, save = _send_mail_body(await json_of(request))
        files = [attachment_files.inline(caller.simulator, one) for one in body.get("attachments") or []]
    with caller.store.together():
        send_new(caller.simulator, user, body, files, caller.simulator.ids.guid("thread"), save=save)
    return Response(status_code=202)


def _flag(value: object) -> bool:
    """Microsoft's sample sends the text "false"."""
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if not isinstance(value, bool):
        raise GraphError(400, "BadRequest", "saveToSentItems must be a Boolean.")
    return value


def _send_mail_body(given: object) -> tuple[Row, bool]:
    named = {key[:1].lower() + key[1:]: value for key, value in given.items()} if isinstance(given, dict) else {}
    if "message" not in named or set(named) - {"message", "saveToSentItems"}:
        raise GraphError(400, "BadRequest", "sendMail takes message and saveToSentItems.")
    return checked(named["message"], KIND), _flag(named.get("saveToSentItems", True))


@mailbox_route(router, "POST", *(f"{path}/send" for path in EACH))
async def send_draft(request: Request) -> Response:
    """The draft moves to Sent Items: its mutable id changes, the immutable one stays."""
    caller, user = opened(request, MAIL_SEND)
    row = message(request, caller, user)
    under_way = row.get("sent_late") and rule(caller.simulator, "second_send") == "refused"
    if not row["body"]["isDraft"] or under_way:
        raise GraphError(400, "ErrorInvalidRequest", "The message was sent already; only a draft can be sent.")
    _check(caller.simulator, user, row["body"], row["attachments"])
    late = caller.simulator.faults.due(SENT_LATE, **items.about(caller))
    with caller.store.together():
        if late is None:
            send_row(caller.simulator, user, row)
        else:
            _send_late(caller.simulator, row, late.get("seconds", 30))
    if late is not None:
        raise GraphError(504, "UnknownError", "The gateway did not receive a timely response.")
    return Response(status_code=202)


def send_row(simulator: Simulator, user: Row, row: Row) -> None:
    state = _sent_state(simulator)
    deliver(simulator, user, row["body"] | state, row["thread"], row["attachments"])
    wait, about = rule(simulator, "sent_copy_s"), {"user": f"{user['id']}\n{user['address']}", "tenant": user["tenant"]}
    if simulator.faults.due(NOT_FILED, **about):
        mail_items.vanish(simulator, row)
    elif wait or rule(simulator, "sent_id") == "new":
        mail_items.vanish(simulator, row)
        payload = row | {"body": row["body"] | state}
        if not wait:
            sent_copy_filed(simulator, payload)
            return
        moment = simulator.now() + datetime.timedelta(seconds=wait)
        simulator.timeline.at(moment, sent_copy_filed, payload, key=f"mail/{simulator.ids.guid('filing')}")
    else:
        goal = folders.well_known(simulator, mail_items.FAMILY, user["id"], "sentitems")
        mail_items.move(simulator, row, goal, state)


@action
def sent_copy_filed(simulator: Simulator, payload: Row) -> None:
    if rule(simulator, "sent_id") == "same":
        mail_items.file_again(simulator, payload, "sentitems")
    else:
        files, thread = payload["attachments"], payload["thread"]
        mail_items.stand(simulator, payload["user"], "sentitems", payload["body"], thread, files)


def _send_late(simulator: Simulator, row: Row, seconds: float) -> None:
    row["sent_late"] = True
    simulator.store.put(f"{mail_items.KIND}/{row['user']}", row["id"], row)
    moment = simulator.now() + datetime.timedelta(seconds=seconds)
    payload = row | {"body": dict(row["body"])}
    simulator.timeline.at(moment, draft_sent_late, payload, key=f"mail/{simulator.ids.guid('late')}")


@action
def draft_sent_late(simulator: Simulator, payload: Row) -> None:
    """The draft as it was then goes out; where somebody sent it meanwhile, it goes out again."""
    user: Row = simulator.store.get("users", payload["user"]) or {}
    row = items.find(simulator, mail_items.KIND, payload["user"], payload["id"])
    if row is not None and row["body"]["isDraft"]:
        send_row(simulator, user, row)
        return
    body = payload["body"] | _sent_state(simulator)
    deliver(simulator, user, body, payload["thread"], payload["attachments"])
    mail_items.stand(simulator, user["id"], "sentitems", body, payload["thread"], payload["attachments"])


def _answer_to(user: Row, row: Row, kind: str, given: Row, comment: str) -> Row:
    """The body of a reply or forward, with the original quoted."""
    original = row["body"]
    sender = original.get("replyTo") or [original.get("from") or original["sender"]]
    everyone = [*sender, *original["toRecipients"]]
    prefix, people = {
        "reply": ("RE: ", sender),
        "replyAll": ("RE: ", [one for one in everyone if one["emailAddress"]["address"] != user["address"]] or sender),
        "forward": ("FW: ", []),
    }[kind]
    subject = original.get("subject") or ""
    made = {
        "subject": subject if subject.upper().startswith(prefix.strip()) else prefix + subject,
        "toRecipients": people,
        "ccRecipients": original["ccRecipients"] if kind == "replyAll" else [],
        "body": _quoted(original, comment),
    }
    return made | given


def _quoted(original: Row, comment: str) -> Row:
    """The comment above the original, in the original's kind; of HTML a whole document."""
    body = original["body"]
    if not bodies.is_html(body):
        return {**body, "content": f"{comment}{QUOTE}{body.get('content') or ''}"}
    author = (original.get("from") or original["sender"])["emailAddress"]
    headed = {
        "From": f"{author['name']} <{author['address']}>",
        "Sent": original.get("sentDateTime") or "",
        "To": "; ".join(one["emailAddress"]["name"] for one in original["toRecipients"]),
        "Subject": original.get("subject") or "",
    }
    lines = "".join(f"<b>{name}:</b> {html.escape(text)}<br>" for name, text in headed.items())
    above = f"<div>{html.escape(comment)}</div>" if comment else ""
    inner = f'{above}<hr tabindex="-1"><div id="divRplyFwdMsg" dir="ltr">{lines}</div>{bodies.inner(body)}'
    return {"contentType": "html", "content": bodies.document(inner)}


async def _asked(request: Request) -> tuple[Row, str]:
    """The message and the comment given, either or none; both a comment and a body are too much."""
    body = await json_of(request) if await request.body() else {}
    named = {key[:1].lower() + key[1:]: value for key, value in body.items()} if isinstance(body, dict) else {"": body}
    if set(named) - {"message", "comment", "toRecipients"}:
        raise GraphError(400, "BadRequest", "The action takes message, comment and toRecipients.")
    given = checked(named.get("message") or {}, KIND)
    if "toRecipients" in named:
        given |= checked({"toRecipients": named["toRecipients"]}, KIND)
    if named.get("comment") and given.get("body"):
        raise GraphError(400, "ErrorInvalidRequest", "Give either a comment or the body of the message, not both.")
    return given, str(named.get("comment") or "")


def _files(row: Row, kind: str) -> list[Row]:
    return [dict(one) for one in row["attachments"]] if kind == "forward" else []


def _action(name: str, kind: str) -> Callable[[Request], Awaitable[Response]]:
    """``createReply`` and its like make a draft, ``reply`` and its like send at once."""
    drafts = name.startswith("create")

    async def act(request: Request) -> Response:
        caller, user = opened(request, MAIL_WRITE if drafts else MAIL_SEND)
        row = message(request, caller, user)
        body = _answer_to(user, row, kind, *await _asked(request))
        with caller.store.together():
            if drafts:
                return answered(caller, user, _draft(caller, user, row, body, kind), 201)
            given = [attachment_files.inline(caller.simulator, one) for one in body.get("attachments") or []]
            files = [*_files(row, kind), *given]
            send_new(caller.simulator, user, body, files, row["thread"], save=True, answers=row["body"])
        return Response(status_code=202)

    return act


def _headers(made: Row, original: Row) -> list[Row]:
    return [*mail_items.answering(original), *made.get("internetMessageHeaders", [])]


def _draft(caller: Caller, user: Row, original: Row, body: Row, kind: str) -> Row:
    row = mail_items.draft(caller.simulator, user, body, original["thread"])
    row["body"]["internetMessageHeaders"] = _headers(row["body"], original["body"])
    row["attachments"] += _files(original, kind)
    kept: Row = caller.store.put(f"{mail_items.KIND}/{user['id']}", row["id"], row)
    return kept


for _name, _kind in {
    "reply": "reply",
    "replyAll": "replyAll",
    "forward": "forward",
    "createReply": "reply",
    "createReplyAll": "replyAll",
    "createForward": "forward",
}.items():
    mailbox_route(router, "POST", *(f"{path}/{_name}" for path in EACH))(_action(_name, _kind))
