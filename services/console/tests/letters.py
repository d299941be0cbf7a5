"""What the API of mail answers, and the pages that show it."""

from typing import Any

from services.console.tests.accounts import connection
from services.console.tests.state import Json, State, problem
from services.console.tests.tenants import tenant

ID = "018f0000-0000-7000-8000-000000000001"
OTHER = "018f0000-0000-7000-8000-000000000002"
AT = "2026-03-04T10:00:00Z"
CONNECTED = {"/v1/tenant": tenant("connected"), "/v1/connection": connection("connected")}
BEN = {"name": "Ben Berg", "address": "ben@x.example"}
ANNA = {"name": "Anna Andersson", "address": "anna@contoso.example"}
CARL = {"name": "", "address": "carl@x.example"}
SWITCH = {"name": "outlook_email", "on": False, "ready": False, "missing": [], "permissions": []}
OFF = CONNECTED | {"/v1/connection": connection("connected", features=[SWITCH])}
"""An Org Admin has switched off Outlook email."""
LIMITS = {"recipients_max": 500, "files_max": 50, "file_max_bytes": 157_286_400, "text_max": 1_000_000}
LIMITS |= {"remark": "Your organisation may allow less for a whole mail."}
WRITING = CONNECTED | {"/v1/mail/limits": LIMITS}
PAGE, WRITE, OUTBOX, MAILBOX = f"/mail/conversations/{ID}", "/mail/write", f"/mail/outbox/{ID}", "/mail/mailbox"
KEPT = "/connectors/microsoft365/mail"
BODY = f"/mail/messages/{ID}/body"


def conversation(**more: Any) -> Json:
    about = {"id": ID, "subject": "The offer <b>", "participants": [BEN, ANNA], "contact_ids": [OTHER], "messages": 2}
    about |= {"last_at": AT, "last_direction": "received", "has_attachments": True, "shared": False, "mine": True}
    return about | {"owner_id": "acme-anna"} | more


def message(id_: str = ID, **more: Any) -> Json:
    about = {"id": id_, "direction": "received", "from": BEN, "to": [ANNA, CARL], "cc": [], "subject": "The offer <b>"}
    file = {"id": "A/B=", "name": "offer.pdf", "size": 55_300, "content_type": "application/pdf", "inline": False}
    about |= {"at": AT, "preview": "Here it is.", "has_body": True, "attachments": [file, file | {"inline": True}]}
    return about | {"mail_id": None, "message_id": "AAMk="} | more


def whole(*messages: Json, **more: Any) -> Json:
    return conversation(messages=list(messages), next_cursor=None) | more


def body(**more: Any) -> Json:
    html = '<p>Here it is.</p><details class="quoted"><summary>Quoted text</summary><p>Where?</p></details>'
    return {"html": html, "text": "Here it is.\nWhere?", "folds": [{"start": 12, "end": 18}], "held_images": 0} | more


def mail(status: str, **more: Any) -> Json:
    step = {"at": AT, "what": "drafted", "status": 201, "code": "", "request_id": "req-at-microsoft"}
    return in_outbox(status, history=[step]) | more


def in_outbox(status: str, **more: Any) -> Json:
    recipients = [{"kind": "to", "email": "ben@x.example", "name": "Ben Berg"}]
    recipients += [{"kind": "cc", "email": "carl@x.example", "name": ""}]
    about = {"id": ID, "status": status, "subject": "The offer <b>", "recipients": recipients, "answers": None}
    about |= {"files": [{"id": "f1", "name": "offer.pdf", "media_type": "application/pdf", "size_bytes": 55_300}]}
    about |= {"made_at": AT, "accepted_at": None, "seen_at": None, "problem": None, "conversation_id": None}
    return about | {"may_cancel": False, "may_send_again": False} | more


def mailbox(**more: Any) -> Json:
    inbox = {"id": "f1", "name": "Inbox", "followed": True, "state": "read", "last_at": AT, "messages": 12}
    folders = [inbox | {"problem": None}, inbox | {"id": "f2", "name": "Old", "followed": False, "problem": None}]
    about = {"state": "in_step", "problem": None, "last_round_at": AT, "next_round_at": AT, "subscription": "on"}
    return about | {"folders": folders, "skipped": {"no_contact": 40}, "backfill": {"contacts_left": 0}} | more


def listed(*items: Json, **more: Any) -> Json:
    return CONNECTED | {"/v1/mail/conversations": {"items": list(items), "next_cursor": None}} | more


def opened(found: Json, *says: str, silent: tuple[str, ...] = (), **more: Any) -> State:
    shown = {f"/v1/mail/messages/{one['id']}/body": body() for one in found["messages"]}
    return State(PAGE, CONNECTED | {f"/v1/mail/conversations/{ID}": found} | shown | more, says, silent=silent)


def given(found: Json, *says: str, silent: tuple[str, ...] = (), images: str = "") -> State:
    return State(BODY + images, {f"/v1/mail/messages/{ID}/body": found}, says, silent=silent)


def one_mail(found: Json, *says: str, silent: tuple[str, ...] = ()) -> State:
    return State(OUTBOX, CONNECTED | {f"/v1/mail/{ID}": found}, says, silent=silent)


def health(found: Json, *says: str, answers: Json = CONNECTED, silent: tuple[str, ...] = ()) -> State:
    return State(MAILBOX, answers | {"/v1/mail/mailbox": found}, says, silent=silent)


CONTACT = {
    "id": OTHER,
    "name": "Berg, Ben",
    "sets": {"emails": [{"value": {"address": "ben@x.example"}, "valid": True}]},
}
MEETING = {"id": ID, "subject": "Quarterly review", "attendees": [{"email": "ben@x.example", "name": "Ben Berg"}]}
SENT = {"to": "ben@x.example", "subject": "Offer <b>", "body": "Here & now", "key": ID}
ANSWER = f"{WRITE}?conversation={ID}&message={ID}"
ANSWERED = WRITING | {f"/v1/mail/conversations/{ID}": whole(message())}
LETTER_STATES = {
    "mail-empty": State("/mail", listed(), ("There are no conversations yet", "Write a mail</a>", "mail/mailbox")),
    "mail-not-connected": State(
        "/mail",
        listed() | {"/v1/connection": connection("not_connected")},
        ("Connect Now</button>", 'value="/mail"'),
        silent=("Write a mail",),
    ),
    "mail-expired": State(
        "/mail",
        listed() | {"/v1/connection": connection("expired")},
        ("no longer connected",),
        silent=("Write a mail", "Connect Now"),
    ),
    "mail-switched-off": State(
        "/mail",
        OFF | {"/v1/mail/conversations": {"items": [conversation()], "next_cursor": None}},
        ("Outlook email is switched off", "An <strong>Org Admin</strong> can switch it on", "The offer &lt;b&gt;"),
        silent=("Write a mail",),
    ),
    "mail-switched-off-admin": State("/mail", OFF | listed() | OFF, ("See the switch</a>",), person="acme-admin"),
    "mail": State(
        "/mail",
        listed(
            conversation(),
            conversation(id=OTHER, mine=False, shared=True, participants=[BEN, CARL, ANNA, ANNA]),
            conversation(shared=True, last_direction="sent", messages=1, has_attachments=False, subject=""),
            **{"/v1/mail/conversations": {"items": [conversation()], "next_cursor": "n&m"}},
        ),
        ("The offer &lt;b&gt;", "Ben Berg, Anna Andersson · 2 mails · with files · last received", "cursor=n%26m"),
    ),
    "mail-of-all-kinds": State(
        "/mail?cursor=a",
        listed(
            conversation(id=OTHER, mine=False, shared=True, participants=[BEN, CARL, ANNA, ANNA]),
            conversation(shared=True, last_direction="sent", messages=1, has_attachments=False, subject=""),
        ),
        ("shared with you", "shared by you", "and 1 more", "you wrote last", "(no subject)", "Newest conversations"),
    ),
    "mail-with-contact": State(
        f"/mail?contact={OTHER}",
        listed(conversation(), **{f"/v1/contacts/{OTHER}": CONTACT}),
        ("Conversations with <strong>Berg, Ben</strong>", f"/mail/write?contact={OTHER}"),
    ),
    "mail-not-found": State("/mail?query=x", listed(), ("No conversation matches.",)),
    "conversation": opened(
        whole(message(), message(OTHER, direction="sent", **{"from": ANNA}, mail_id=ID)),
        f'src="{BODY}"',
        'sandbox="allow-same-origin allow-popups allow-popups-to-escape-sandbox"',
        "1 file<",
        f"/mail/messages/{ID}/attachments/A/B%3D",
        "everybody=true",
        "How it was sent",
        "Only you see this conversation.",
    ),
    "conversation-of-a-colleague": opened(
        whole(message(message_id=None), mine=False, shared=True),
        "a colleague shares it with you",
        silent=("Reply", "Stop sharing"),
    ),
    "conversation-long": opened(
        whole(*(message(f"018f0000-0000-7000-8000-00000000001{n}", has_body=n > 0) for n in range(5)), next_cursor="z")
        | {"shared": True},
        "Later mails",
        "too large to be kept",
        "Here it is.",
        "Stop sharing",
    ),
    "conversation-switched-off": State(
        PAGE, OFF | {f"/v1/mail/conversations/{ID}": whole(message(has_body=False))}, ("Ben Berg",), silent=("Reply",)
    ),
    "conversation-of-nobody": State(
        PAGE,
        CONNECTED
        | {f"/v1/mail/conversations/{ID}": problem("conversation_not_found", "There is no such conversation.", 404)},
        ("There is nothing here", 'href="/mail"'),
        status=404,
    ),
    "conversation-changed": State(
        f"{PAGE}/share",
        {f"PATCH /v1/mail/conversations/{ID}": problem("conversation_changed", "It was changed.", 412)},
        ("Nothing was changed", "It was changed.", f'href="{PAGE}"'),
        status=412,
        post={"etag": '"7"', "on": "true"},
    ),
    "write": State(WRITE, WRITING, ("At most 50 files of 157 MB each, to 500 people.", 'data-max="157286400"')),
    "write-to-contact": State(
        f"{WRITE}?contact={OTHER}",
        WRITING | {f"/v1/contacts/{OTHER}": CONTACT},
        ("Berg Ben &lt;ben@x.example&gt;</textarea>",),
    ),
    "write-to-meeting": State(
        f"{WRITE}?meeting={ID}",
        WRITING | {f"/v1/meetings/{ID}": MEETING},
        ("Ben Berg &lt;ben@x.example&gt;", 'value="Quarterly review"'),
    ),
    "reply": State(
        ANSWER, ANSWERED, ("<h1>Reply</h1>", "Goes to <strong>Ben Berg</strong>."), silent=('name="to"', "everybody")
    ),
    "reply-to-all": State(
        f"{ANSWER}&everybody=true",
        ANSWERED,
        ("<h1>Reply to all</h1>", "others of the mail: Anna Andersson, carl@x.example", 'name="answers" value="AAMk="'),
    ),
    "reply-to-nothing": State(
        f"{WRITE}?conversation={ID}&message={OTHER}", ANSWERED, ("cannot be answered from here",), status=404
    ),
    "write-not-connected": State(
        WRITE,
        WRITING | {"/v1/connection": connection("not_connected")},
        ("Connect Now</button>",),
        silent=('<form method="post" action="/mail/write"',),
    ),
    "write-switched-off": State(WRITE, WRITING | OFF, ("Outlook email is switched off",), silent=(">Send<",)),
    "write-faults": State(
        WRITE,
        WRITING,
        ("Problem: ", "“nobody” is no e-mail", "still in the form", f'value="{ID}"', "Here &amp; now"),
        status=422,
        post=SENT | {"to": "nobody"},
    ),
    "write-to-nobody": State(WRITE, WRITING, ("Name at least one person",), status=422, post=SENT | {"to": ""}),
    "write-refused": State(
        WRITE,
        WRITING | {"POST /v1/mail": problem("permission_missing", "Your administrator must allow mail.")},
        ("Your administrator must allow mail.", "req-7", "Offer &lt;b&gt;", "ben@x.example", "offer.pdf", "55 KB"),
        status=409,
        post=SENT | {"file": "f1", "file_name": "offer.pdf", "file_size": "55300"},
    ),
    "outbox-empty": State(
        "/mail/outbox", CONNECTED | {"/v1/mail": {"items": [], "next_cursor": None}}, ("You have not sent a mail",)
    ),
    "outbox": State(
        "/mail/outbox?cursor=a",
        CONNECTED
        | {
            "/v1/mail": {
                "items": [
                    in_outbox("queued", may_cancel=True, problem={"code": "feature_off", "detail": "It is off."}),
                    in_outbox(
                        "seen_in_sent", subject="", answers={"message_id": "m", "everybody": False}, recipients=[]
                    ),
                    in_outbox("failed", may_send_again=True, problem={"code": "too_large", "detail": "Too large."}),
                ],
                "next_cursor": "b&c",
            }
        },
        ("Waiting to be sent", "It is off.", 'aria-label="Cancel The offer &lt;b&gt;"', "Too large.", "cursor=b%26c"),
    ),
    "mail-queued": one_mail(
        mail("queued", may_cancel=True, problem={"code": "feature_off", "detail": "It is off."}),
        "It is off.",
        "See the Microsoft 365 connector",
        "Cancel the mail",
        "Check again",
    ),
    "mail-accepted": one_mail(mail("accepted", accepted_at=AT), "Microsoft has it", "nobody can tell from here"),
    "mail-sent": one_mail(
        mail("seen_in_sent", accepted_at=AT, seen_at=AT),
        "Seen in Sent Items",
        "Prospo made a draft in Outlook",
        "req-at-microsoft",
        silent=("Cancel the mail", "Send again", "Check again"),
    ),
    "mail-failed": one_mail(
        mail("failed", may_send_again=True, problem={"code": "too_large", "detail": "Too large."}),
        "Too large.",
        "Send again</button>",
        silent=("twice",),
    ),
    "mail-looked-for": one_mail(
        mail("unknown", problem={"code": "answer_lost", "detail": "The answer was lost."}),
        "Prospo looks whether it went out",
        silent=("Send again",),
    ),
    "mail-unknown": one_mail(
        mail("unknown", may_send_again=True, problem={"code": "outcome_unknown", "detail": "In neither."}),
        "Not known whether it went out",
        "would then have it twice",
        "Send again</button>",
    ),
    "mail-too-late": State(
        f"{OUTBOX}/cancel",
        {f"POST /v1/mail/{ID}/cancel": problem("too_late", "Microsoft was asked already.")},
        ("The mail was not cancelled", "Microsoft was asked already.", f'href="{OUTBOX}"'),
        status=409,
        post={},
    ),
    "mailbox": health(mailbox(), "Up to date", "40 mails: none of your contacts", "12 mails with contacts", "Look now"),
    "mailbox-new": health(
        mailbox(state="waiting", last_round_at=None, next_round_at=None, folders=[], skipped={}, subscription="none")
        | {"backfill": {"contacts_left": 3}},
        "Waiting for its first look",
        "for 3 new addresses",
        "None yet. Inbox",
        "Nothing so far.",
    ),
    "mailbox-refused": health(
        mailbox(
            state="stopped",
            subscription="refused",
            problem={"code": "permission_missing", "detail": "Consent is missing."},
            folders=[
                mailbox()["folders"][0]
                | {"state": "problem", "problem": {"code": "x", "detail": "The folder is gone."}}
            ],
        ),
        "Stopped",
        "Consent is missing.",
        "See the Microsoft 365 connector",
        "The folder is gone.",
        "looks more often",
    ),
    "mailbox-switched-off": health(mailbox(), "Up to date", answers=OFF, silent=("Look now",)),
    "mailbox-refresh-refused": State(
        f"{MAILBOX}/refresh",
        {"POST /v1/mail/mailbox/refresh": problem("account_not_connected", "Connect your account.")},
        ("does not look at your mailbox now", "Connect your account."),
        status=409,
        post={},
    ),
    "mail-folders": State(
        f"{MAILBOX}/folders",
        CONNECTED
        | {
            "/v1/mail/mailbox/folders": {
                "items": [
                    {"id": "f1", "name": "Inbox", "path": "Inbox", "items": 120, "followed": True},
                    {"id": "f/2", "name": "Old", "path": "Inbox / Old", "items": 1, "followed": False},
                ]
            }
        },
        ("Inbox / Old", "1 mail in Outlook", 'aria-checked="true"', 'value="f/2"'),
    ),
    "mail-kept": State(
        KEPT,
        {"/v1/mail/retention": {"keep_days": 365}},
        ('value="365"', "Save</button>", "Outlook keeps it by rules of its own"),
        "acme-admin",
        silent=("in force now",),
    ),
    "mail-kept-for-ever": State(
        f"{KEPT}?done=kept", {"/v1/mail/retention": {"keep_days": None}}, ('value=""', "in force now"), "acme-admin"
    ),
    "mail-kept-seen-by-anybody": State(
        KEPT,
        {"/v1/mail/retention": {"keep_days": 90}},
        ("after 90 days", "An Org Admin can change this"),
        silent=("Save</button>",),
    ),
    "mail-kept-refused": State(
        KEPT,
        {
            "/v1/mail/retention": {"keep_days": 90},
            "PUT /v1/mail/retention": problem("bad_retention", "keep_days is from 30 to 36500.", 422),
        },
        ("Nothing was changed", "from 30 to 36500", 'value="7"', 'aria-invalid="true"'),
        "acme-admin",
        422,
        {"days": "7"},
    ),
    "mail-kept-not-theirs": State(
        KEPT,
        {"PUT /v1/mail/retention": problem("org_admin_required", "Ask an Org Admin.", 403)},
        ("Nothing was changed", "Ask an Org Admin."),
        status=403,
        post={"days": "90"},
    ),
    "mail-folders-away": State(
        f"{MAILBOX}/folders",
        CONNECTED | {"/v1/mail/mailbox/folders": problem("microsoft_busy", "Microsoft does not answer.", 503)},
        ("Your folders cannot be read now", "Microsoft does not answer."),
        status=503,
    ),
}
BODY_STATES = {
    "mail-body": given(body(), "<p>Here it is.</p>", '<details class="quoted">', silent=("held back",)),
    "mail-body-images-held": given(body(held_images=2), "2 pictures or styles", 'href="?images=shown"'),
    "mail-body-images-shown": given(body(held_images=1), "Here it is.", images="?images=shown", silent=("held back",)),
    "mail-body-text": given(
        body(html=None, text="Here <b>.\n> Where?\nAnna", folds=[{"start": 10, "end": 18}]),
        "Here &lt;b&gt;.",
        "<summary>Quoted text</summary><div",
        "&gt; Where?",
    ),
    "mail-body-empty": given(body(html=None, text="", folds=[]), "This mail has no text."),
    "mail-body-not-kept": State(
        BODY,
        {f"/v1/mail/messages/{ID}/body": problem("text_not_kept", "Open it in Outlook.")},
        ("Open it in Outlook.", "req-7"),
        status=409,
    ),
}
"""The documents of the frames that show mails."""
