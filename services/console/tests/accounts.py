"""What the API answers of a person's connection."""

from typing import Any

from services.console.tests.tenants import STAYS, leaving

Json = dict[str, Any]
MAIL = {"Mail.Send": "sending a mail when you ask", "Mail.ReadWrite": "showing your conversations"}


def mail(**more: Any) -> Json:
    """What Outlook email needs and has not been given."""
    asked = [{"scope": scope, "name": "Mail", "use": use, "granted": False} for scope, use in MAIL.items()]
    said = {"name": "outlook_email", "on": True, "ready": False, "missing": list(MAIL)}
    said |= {"given_by": "microsoft_admin", "refused": True}
    return {**said, "permissions": asked, **more}


def connection(status: str, lacking: str = "", **more: Any) -> Json:
    known, given = status in {"connected", "expired"}, status == "connected"
    uses = {
        "Contacts.Read": ("Read your contacts", "importing Outlook contacts into Prospo"),
        "Calendars.ReadWrite": (
            "Read and write your calendar",
            "creating Teams meeting invites, seeing who is free",
        ),
        "OnlineMeetings.ReadWrite": ("Create and manage Teams meetings", "generating Teams join links"),
        "OnlineMeetingRecording.Read.All": ("Read meeting recordings", "importing Teams recording files"),
        "OnlineMeetingTranscript.Read.All": ("Read meeting transcripts", "automatic transcript import after meetings"),
    }
    return {
        "status": status,
        "account": {"name": "Anna Andersson", "email": "anna@contoso.example"} if known else None,
        "problem": None,
        "notices": [],
        "permissions": [
            {"scope": scope, "name": name, "use": use, "granted": given and scope != lacking}
            for scope, (name, use) in uses.items()
        ],
        "features": [],
        "connected_at": "2026-03-03T09:15:00Z" if known else None,
        **more,
    }


LICENCE = {"code": "no_teams_licence", "detail": "This account may not hold Teams meetings.", "remedy": "Ask for one."}
CONNECTED_ACCOUNTS: dict[str, tuple[tuple[str, ...], Json]] = {
    "outlook-mail-to-allow": (
        ("What your administrator has to allow", "There is nothing for you to do", "sending a mail when you ask"),
        {"silent": ("Allow again", "<td>No</td>", 'name="feature"', "What you can allow"), "features": [mail()]},
    ),
    "outlook-contacts-to-allow": (
        (">Allow contacts</button>", 'name="feature" value="contacts_import"', "<td>Yes</td>"),
        {"silent": ("administrator has to",), "features": [mail(name="contacts_import", given_by="person")]},
    ),
    "outlook-mail-not-asked-for-yet": (
        ("Disconnect…",),
        {"silent": ("administrator has to", "Mail.Send"), "features": [mail(refused=False)]},
    ),
    "outlook-mail-allowed-or-off": (
        ("Disconnect…",),
        {
            "silent": ("administrator has to", "Allow contacts", "What you can allow"),
            "features": [mail(ready=True, missing=[]), mail(name="contacts_import", on=False)],
        },
    ),
    "outlook-permission-taken-back": (
        (">Allow again</button>", "<td>No</td>", "goes on working"),
        {"lacking": "Calendars.ReadWrite"},
    ),
    "outlook-notice": (
        ("may not hold Teams meetings", "Ask for one.", ">Check again</button>"),
        {"notices": [LICENCE]},
    ),
}
"""Connected accounts that need a word more: what is then read, and what the API answers besides."""
_LEFT = {"code": "tenant_not_connected", "detail": "Microsoft 365 was disconnected; an Org Admin connects it first."}
_BACK = {"code": "account_not_connected", "detail": "Microsoft 365 is connected now. Connect your account again."}
_NOT_YOURS: Json = {"silent": ("You disconnected",)}
ENDED_ACCOUNTS: dict[str, tuple[tuple[str, ...], Json]] = {
    "outlook-disconnected": (("connected", "You disconnected", "Connect Microsoft Account"), {}),
    "outlook-leaving": (
        ("connected", "is removing what it set at Microsoft", "09:25 (UTC)", "at the latest"),
        {"leaving": leaving(over=False, silent=["mail"])},
    ),
    "outlook-left-behind": (
        ("connected", "1 subscription goes on notifying Prospo", "Not every part of Prospo has said yet"),
        {"leaving": leaving(left=STAYS, silent=["mail"], until=None)},
    ),
    "outlook-tenant-left": (
        ("disconnected", _LEFT["detail"], "must connect it first", "Disconnect…"),
        _NOT_YOURS | {"problem": _LEFT},
    ),
    "outlook-tenant-came-back": (
        ("connected", _BACK["detail"], "is kept", "Connect Microsoft Account", "Disconnect…"),
        _NOT_YOURS | {"problem": _BACK},
    ),
}
"""Disconnected accounts: how the tenant is now and what is then read, and what the API answers besides."""
