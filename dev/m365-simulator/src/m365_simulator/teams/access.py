"""Who may do what to online meetings and their recordings and transcripts."""

from fastapi import Request

from m365_simulator.faults import fault
from m365_simulator.store import Row
from m365_simulator.wire import Caller, GraphError

from . import online
from .policies import any_access, has_access

NEEDED = {"recordings": "OnlineMeetingRecording.Read.All", "transcripts": "OnlineMeetingTranscript.Read.All"}
DISABLED = "Graph API access to transcripts is disabled for this tenant."
STANDALONE = "No iCalUid found for the meeting. This API is supported only for calendar backed OnlineMeeting."
LATE = fault("online_meeting_late", "a look-up of online meetings finds nothing yet (`answer`: empty, 404)", "answer")


def meeting_caller(request: Request, oid: str | None, *, write: bool = False) -> tuple[Caller, Row]:
    wanted = "OnlineMeetings.ReadWrite" if write else "OnlineMeetings.ReadWrite OnlineMeetings.Read"
    roles = " ".join(f"{name}.All" for name in wanted.split())
    caller = Caller(request).need(delegated=wanted, role=roles, place="teams")
    user = by_object_id(caller, oid)
    access_policy(caller, user)
    return caller, user


def artefact_caller(request: Request, oid: str | None, kind: str) -> tuple[Caller, Row]:
    if kind not in NEEDED:
        raise GraphError(404, "BadRequest", f"Resource not found for the segment '{kind}'.")
    caller = Caller(request).need(delegated=NEEDED[kind], role=NEEDED[kind], place="teams")
    transcript_access(caller, kind)
    return caller, by_object_id(caller, oid)


def by_object_id(caller: Caller, oid: str | None) -> Row:
    if oid is not None and "@" in oid:
        raise GraphError(400, "BadRequest", "The user must be named by object id, not by user principal name.")
    return caller.user(oid, place="teams")


def transcript_access(caller: Caller, kind: str) -> None:
    """The tenant's switch; off answers 403 whatever was consented."""
    if kind == "transcripts" and not (caller.store.get("tenants", caller.tenant) or {}).get("transcripts"):
        raise GraphError(403, "Forbidden", DISABLED, inner="GraphAccessToTranscriptsDisabled")


def access_policy(caller: Caller, user: Row, *, create: bool = False) -> None:
    """Applications need a policy that a Teams administrator granted for the person."""
    if not caller.app_only or has_access(caller.simulator, caller.tenant, user["id"]):
        return
    text = (
        f"Application is not allowed to perform operations on the user '{user['id']}', neither is allowed access "
        "through RSC permission evaluation."
    )
    if not any_access(caller.simulator, caller.tenant):
        text = "No application access policy found for this app"
    if create:
        text = f"App {caller.app} is not authorized to Create meeting on behalf of user {user['id']}"
    raise GraphError(403, "Forbidden", text)


def meeting_of(caller: Caller, user: Row, key: str) -> Row:
    """For the organizer and the people invited, until it expires."""
    row: Row | None = caller.store.get("meetings", key)
    if row is None or row["tenant"] != caller.tenant or online.expires(row) < caller.simulator.now():
        raise GraphError(404, "NotFound", "3004: The meeting does not exist.")
    if not online.may_join(user, row):
        raise GraphError(403, "Forbidden", "3003: User does not have access to lookup meeting.")
    return row


def booked_meeting_of(caller: Caller, user: Row, key: str) -> Row:
    """A meeting that can have artefacts: one with a calendar event. The status is unproven."""
    access_policy(caller, user)
    row = meeting_of(caller, user, key)
    if row.get("standalone"):
        raise GraphError(400, "BadRequest", STANDALONE)
    return row
