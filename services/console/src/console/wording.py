"""Our words for what the APIs answer: features, statuses, sizes, sources."""

from collections.abc import Mapping
from typing import Any

from console.mail_words import MAIL_STATUSES
from shared.connections import HEARD_OF

FEATURES = {
    "outlook_email": ("Outlook email", "Send as yourself and see your conversations with a contact."),
    "auto_recording": (
        "Auto-recording",
        "Teams meetings record by themselves; recording and transcript arrive in the meeting record.",
    ),
    "contacts_import": ("Contacts import", "People can import their Outlook contacts."),
    "sharepoint_storage": (
        "SharePoint storage",
        "Files and recordings go to a Teams or SharePoint folder. Requires a storage location to be selected first.",
    ),
}

ALLOW = {
    "contacts_import": "Allow contacts",
    "auto_recording": "Allow recordings and transcripts",
}

# status: (words, tone, icon); the words carry the meaning, tone and icon repeat it.
STATUSES = {
    "not_connected": ("Not connected", "neutral", "dash"),
    "proving": ("Checking with Microsoft", "busy", "clock"),
    "connected": ("Connected", "good", "check"),
    "failed": ("Failed", "bad", "cross"),
    "disconnected": ("Disconnected", "neutral", "dash"),
    "expired": ("Expired", "warn", "warn"),
    "scheduling": ("Being scheduled", "busy", "clock"),
    "scheduled": ("Scheduled", "good", "check"),
    "ended": ("Ended", "neutral", "check"),
    "cancelled": ("Cancelled", "neutral", "cross"),
    "expected": ("Expected", "neutral", "clock"),
    "not_expected": ("Not expected", "neutral", "dash"),
    "paused": ("Paused", "warn", "clock"),
    "detected": ("Found at Microsoft", "busy", "clock"),
    "importing": ("Being imported", "busy", "clock"),
    "imported": ("Arrived", "good", "check"),
    "unavailable": ("Will not arrive", "warn", "warn"),
    "answer_accepted": ("Accepted", "good", "check"),
    "answer_declined": ("Declined", "bad", "cross"),
    "answer_tentative": ("Perhaps", "neutral", "clock"),
    "answer_not_visible": ("No answer seen", "neutral", "dash"),
    "none": ("None yet", "neutral", "dash"),
    "unknown": ("Not known right now", "warn", "warn"),
    "done": ("Done", "good", "check"),
    "next": ("Next", "busy", "arrow"),
    "later": ("Later", "neutral", "dash"),
    "waiting": ("Waiting for an Org Admin", "neutral", "clock"),
    "never_connected": ("Never connected", "neutral", "dash"),
    "ready": ("Ready", "good", "check"),
    "action_needed": ("Action needed", "bad", "cross"),
    "waiting_at_microsoft": ("Microsoft is applying it", "busy", "clock"),
    "not_needed": ("Not needed", "neutral", "dash"),
    "reading": ("Reading Outlook", "busy", "clock"),
    "planned": ("Ready to start", "info", "arrow"),
    "running": ("Importing", "busy", "clock"),
    "finished": ("Finished", "good", "check"),
    "undoing": ("Being undone", "busy", "clock"),
    "undone": ("Undone", "neutral", "check"),
    "new": ("New", "good", "check"),
    "changed": ("Changed", "info", "arrow"),
    "same": ("The same", "neutral", "dash"),
    "conflict": ("Conflict", "warn", "warn"),
    "invalid": ("Not importable", "bad", "cross"),
    "skipped": ("Left out", "neutral", "dash"),
    "removed": ("Removed in Outlook", "warn", "warn"),
    "reversed": ("Undone", "neutral", "check"),
    "kept": ("Kept", "warn", "warn"),
    "ok": ("Worked", "good", "check"),
    "refused": ("Refused", "bad", "cross"),
    "not_tried": ("Not tried", "neutral", "dash"),
    "works": ("Works", "good", "check"),
    "no_access": ("No access", "bad", "cross"),
    "gone": ("Not there any more", "bad", "cross"),
    "full": ("Full", "bad", "cross"),
    "stored": ("Stored", "good", "check"),
    "coming": ("Coming", "busy", "clock"),
    "checking": ("Being checked", "busy", "clock"),
} | MAIL_STATUSES

IMPORT_ACTIONS = {
    "new": "New contacts",
    "changed": "Contacts with changes",
    "conflict": "Contacts that you and Outlook changed",
    "removed": "Contacts removed in Outlook",
    "invalid": "Contacts that cannot be imported",
    "skipped": "Contacts left out",
    "same": "Contacts without changes",
}
IMPORT_OUTCOMES = {
    "created": "New contacts",
    "updated": "Contacts brought up to date",
    "conflicts": "Contacts with a conflict, in which your values stayed",
    "removed": "Contacts that are not in Outlook any more",
    "archived": "Contacts archived",
    "kept_back": "Contacts left alone",
    "unchanged": "Contacts without changes",
    "reversed": "Contacts put back",
    "kept": "Contacts kept, because they were changed since",
    "failed": "Contacts that could not be put back",
}
"""What an import is going to do, did, and undid; each stands before a number."""
IMPORT_NEWS = {
    "planned": "The preview is ready.",
    "finished": "The import is finished.",
    "failed": "The import stopped; the page says why.",
    "undone": "The import is undone.",
    "cancelled": "The import is cancelled.",
}
FIELDS = {
    "display_name": "Name",
    "given_name": "First name",
    "middle_name": "Middle name",
    "surname": "Last name",
    "nickname": "Nickname",
    "title": "Title",
    "suffix": "Suffix",
    "company": "Company",
    "job_title": "Job title",
    "department": "Department",
    "profession": "Profession",
    "office": "Office",
    "manager": "Manager",
    "assistant": "Assistant",
    "spouse": "Spouse",
    "phonetic_given_name": "First name, phonetic",
    "phonetic_surname": "Last name, phonetic",
    "website": "Website",
    "birthday": "Birthday",
    "notes": "Notes",
}
CONTACT_NEWS = {
    "saved": "Your changes are saved.",
    "outlook": "The contact has Outlook's value now.",
    "mine": "Your value stays.",
    "shared": "Everybody in your organisation sees this contact now.",
    "unshared": "Only you see this contact now.",
    "split": "This contact is now apart from the other one.",
    "joined": "The two are one contact now.",
    "apart": "Prospo does not propose these two again.",
}
"""What a person just did to a contact or two."""
SETS = {
    "emails": "E-mail",
    "phones": "Phone",
    "addresses": "Address",
    "categories": "Categories",
    "messengers": "Messengers",
    "children": "Children",
}
ELEMENTS = {
    "address": "E-mail address",
    "number": "Number",
    "street": "Street",
    "postal_code": "Postal code",
    "city": "City",
    "state": "State",
    "country": "Country",
    "label": "Kind",
}
"""The parts of an address or number; the kind is home, business or what the person likes."""

CAPABILITIES = {
    "consent": "Consent of the organisation",
    "permissions": "Permissions of the application",
    "mail_permissions": "Permissions for mail",
    "transcript_access": "Access to transcripts",
    "speaker_attribution": "Names of speakers",
    "application_access_policy": "Application access policy",
    "licences": "Licences of people",
    "mailbox": "Mailboxes of people",
    "contacts_access": "Access to contacts",
    "notifications": "Notifications from Microsoft",
    "call_events": "When calls begin and end",
    "credential_expiry": "Prospo's own credentials",
    "storage_write": "Storage location",
}
STEPS = {
    "find": "Find the place",
    "small_file": "Write a small file",
    "large_file": "Write a file in several parts",
    "rename": "Move and rename it",
    "versions": "One version after that",
    "columns": "Columns that the library requires",
    "check_out": "Check-out that the library requires",
    "approval": "Approval that the library requires",
    "delete": "Delete what was written",
}
"""What is tried at a place before it is chosen."""
FILE_PLACES = {"prospo": "Prospo storage", "sharepoint": "SharePoint"}
LINK_TIMES = {3600: "an hour", 86_400: "a day", 604_800: "a week", 2_592_000: "thirty days"}
"""How long a link to a file may be good, in seconds."""
LINK_REFUSED = {
    "link_not_found": "This link has ended or was revoked, or its code is not whole. Ask for a new one.",
    "file_gone": "This file is not there any more. Tell whoever sent you the link.",
}
ACTIONS = {
    "storage.policy": "Decided how long files are kept",
    "storage.migration_start": "Began to move all files",
    "storage.migration_cancel": "Cancelled moving files",
    "file.share": "Changed who may read a file",
    "file.delete": "Deleted a file",
    "file.link": "Made a link to a file",
    "file.link_revoke": "Revoked a link to a file",
    "storage.location_choose": "Chose where files go",
    "file.read": "Read the bytes",
    "file.describe": "Read name, type and size",
    "transcript.read": "Read the transcript",
    "ledger.read": "Read what came of a meeting",
    "audit.read": "Read this list",
    "authorisation": "Asked for what needs another role",
}
"""What a line of an audit trail tells; others are shown as they are."""

ACTORS = {
    "org_admin": "An Org Admin",
    "microsoft_admin": "An administrator of your Microsoft 365",
    "teams_admin": "A Teams administrator",
    "operator": "Whoever operates Prospo",
    "nobody": "Nobody has to act",
}
PARTS = {
    "schedule": "scheduling meetings",
    "auto_recording": "auto-recording",
    "transcript": "transcripts",
    "speaker_names": "names in transcripts",
    "recording": "recordings",
    "meeting_end": "knowing at once that a meeting ended",
    "contacts": "importing contacts",
    "mail": "mail",
    "storage": "storing files in SharePoint",
}
"""The parts of the product that are there, as the readiness board names them."""

PAUSES = HEARD_OF | {"storage_location_stopped"}
"""Why a recording or transcript is held back only for now: when it is over, what Microsoft has is fetched."""

WAYS_ON = {
    "account_not_connected": ("/integrations", "Connect your Microsoft account"),
    "tenant_not_connected": ("/connectors/microsoft365", "See the Microsoft 365 connector"),
    "another_account": ("/integrations/microsoft/disconnect", "Disconnect…"),
    "permission_missing": ("/integrations", "See your Microsoft account"),
    "org_admin_required": ("/", "Back to the start"),
    "meeting_not_found": ("/meetings", "Your meetings"),
    "contact_not_found": ("/contacts", "Your contacts"),
    "file_not_found": ("/files", "Your files"),
    "mail_not_found": ("/mail/outbox", "Your outbox"),
    "conversation_not_found": ("/mail", "Your mail"),
    "message_not_found": ("/mail", "Your mail"),
    "import_not_found": ("/contacts/imports", "Your imports"),
    "feature_off": ("/connectors/microsoft365", "See the Microsoft 365 connector"),
    "storage_location_required": ("/connectors/microsoft365/storage", "Choose Storage Location"),
}
"""By the code of a problem, where a person mends it."""

ENDED_BY = {
    "call_event": "Microsoft reported the end of the call",
    "artefact": "its recording or transcript shows when it ended",
    "booked_end": "this is the booked end; nothing better is known yet",
}

_UNITS = ["bytes", "KB", "MB", "GB", "TB"]


def status(name: Any) -> tuple[str, str, str]:
    """Words, tone and icon; a status we do not know yet is shown by its own name."""
    return STATUSES.get(str(name), (str(name).replace("_", " ").capitalize(), "neutral", "dash"))


def standing(artefact: Mapping[str, Any]) -> str:
    """The status of a recording or transcript, where being held back is told from never arriving."""
    held_back = artefact["status"] == "unavailable" and artefact.get("code") in PAUSES
    return "paused" if held_back else str(artefact["status"])


def repeats(rule: Mapping[str, Any]) -> str:
    """``Every week on Tuesday, until 2026-12-31``"""
    every, interval = str(rule.get("every")), int(rule.get("interval") or 1)
    if every not in {"day", "week", "month"}:
        return "By a rule that was made in Outlook"
    said = f"Every {every}" if interval == 1 else f"Every {interval} {every}s"
    if rule.get("weekdays"):
        said += f" on {', '.join(str(name).capitalize() for name in rule['weekdays'])}"
    end = f", until {rule['until']}" if rule.get("until") else ""
    return said + end + (f", {plural(int(rule['count']), 'time', 'times')}" if rule.get("count") else "")


_STAYS = {
    "subscription": ("subscription goes", "subscriptions go", "on notifying Prospo, which drops what comes unread"),
    "automatic_recording": (
        *("booked meeting goes", "booked meetings go"),
        "on recording by themselves, and nothing of it is imported; the organizer turns that off in Teams",
    ),
}
_STAYS_BECAUSE = {
    "no_access": "Microsoft no longer lets Prospo act for the person",
    "refused": "Microsoft refused to remove it",
    "no_answer": "Microsoft, or Prospo, did not answer in time",
}


def stays(left: dict[str, Any]) -> str:
    """What stays at Microsoft after a disconnect, and why, in a sentence."""
    one, many, does = _STAYS.get(left["kind"], ("thing stays", "things stay", "at Microsoft"))
    because = _STAYS_BECAUSE.get(left["code"], "it could not be removed")
    return f"{plural(left['count'], one, many)} {does}: {because}."


def size(count: float) -> str:
    """``55 KB``, ``1.4 GB``"""
    unit = 0
    while count >= 1000 and unit < len(_UNITS) - 1:
        count, unit = count / 1000, unit + 1
    return f"{count:.0f} {_UNITS[unit]}" if unit < 2 or count >= 100 else f"{count:.1f} {_UNITS[unit]}"


def clock(milliseconds: int) -> str:
    """``1:02:03`` or ``2:03``"""
    minutes, seconds = divmod(int(milliseconds) // 1000, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def plural(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"


def web_link(url: Any) -> str:
    """The address when it is one of the web; empty otherwise, as ``javascript:`` would run on click."""
    return str(url) if str(url).startswith(("https://", "http://")) else ""


def own_link(url: Any) -> str:
    """The address when it is a path of this site; empty otherwise."""
    return str(url) if str(url).startswith("/") and not str(url).startswith(("//", "/\\")) else ""
