"""The board's sentences: what was found, why it matters, who mends it and how."""

from dataclasses import dataclass
from datetime import datetime

from shared.connections import CONNECTOR_PLACE
from shared.entra.aadsts import EntraMisconfigured
from shared.graph.errors import GraphError
from tenant_connector.readiness.queries import Tally
from tenant_connector.readiness.verdicts import Evidence, Found, Remedy

TRANSCRIPTS = "OnlineMeetingTranscript.Read.All"
USERS = "User.Read.All"
CALENDARS = "Calendars.Read"
SITES = "Sites.Selected"
CALLS = "OnlineMeetings.Read.All"

TRANSCRIPTS_ON = "Microsoft lets Prospo read transcripts of Teams meetings."
REACHED = "Microsoft reaches Prospo's public address for notifications."
CONTACTS_READ = "Microsoft lets Prospo read people's contact folders."
NO_POLICY_NEEDED = "Prospo acts on meetings as the people who organise them, so no application access policy is needed."
EXPIRY_UNKNOWN = (
    "Nobody told Prospo when its credential at Microsoft expires. The operator can write it beside the secret, or use "
    "a certificate."
)
_NOBODY = "Nobody has connected a Microsoft account yet, and this can only be asked about somebody."
_CONNECT = f"{CONNECTOR_PLACE} → Connect"
_NAMED = "Org Admins see who."
_SWITCH = "Set-CsTeamsMeetingConfiguration -Identity Global"
_CENTRE = "Teams admin centre → Meetings → Meeting settings → Transcript API access"
_GRANT = Remedy(
    "microsoft_admin",
    "Entra admin centre → Enterprise applications → Prospo → Permissions → Grant admin consent, or connect again "
    f"under {_CONNECT}. If a permission is not offered there, tell the operator that the registration lacks it.",
)
_DELEGATED = {
    "verdict": "not_checked",
    "reason": "Microsoft shows what people's accounts were granted (GET /oauth2PermissionGrants) only to applications "
    "that may read the whole directory (Directory.Read.All), which Prospo does not ask for. Each person's sign-in says "
    "what was granted.",
}


def consent_ready(evidence: tuple[Evidence, ...]) -> Found:
    return Found("consent", "ready", "Microsoft gives Prospo a new token and describes your tenant.", evidence=evidence)


def consent_refused(said: str, evidence: tuple[Evidence, ...]) -> Found:
    text = (
        f"Connect again under {_CONNECT}, signing in as a Global Administrator or a Privileged Role Administrator. If "
        "it stays, look in the Entra admin centre → Conditional Access whether a policy blocks the application."
    )
    remedy = Remedy("microsoft_admin", text)
    return Found("consent", "action_needed", f"Microsoft refuses Prospo: {said}", remedy, evidence, propagates=True)


def misconfigured(error: EntraMisconfigured) -> Found:
    remedy = Remedy(
        "operator", "Check Prospo's client id and credentials at Microsoft: docs/how-to/rotate-credentials.md."
    )
    return Found("consent", "action_needed", error.message, remedy)


def tenant_doubted() -> Found:
    text = "Check in the Entra admin centre that your tenant is still there. If it was deleted, nothing has to be done."
    reason = (
        "Microsoft's sign-in does not know your tenant any more. If it says so again in an hour, it is disconnected."
    )
    return Found("consent", "action_needed", reason, Remedy("microsoft_admin", text))


def permissions(granted: frozenset[str], required: frozenset[str]) -> Found:
    missing = sorted(required - granted)
    application = {"required": sorted(required), "granted": sorted(granted), "missing": missing}
    details = {"application": application, "delegated": _DELEGATED}
    if not missing:
        return Found("permissions", "ready", "Microsoft grants every permission that is needed.", details=details)
    names = ", ".join(missing)
    reason = f"These permissions are missing: {names}."
    return Found("permissions", "action_needed", reason, _GRANT, (), details, propagates=True)


def mail(permitted: bool | None) -> Found:
    """Told by people's tokens: the organisation's consent is asked for mail with the refresh of each."""
    if permitted is None:
        reason = (
            "Nobody's token has been asked for the permissions of mail since the consent; the next refresh shows it."
        )
        return Found("mail_permissions", "unknown", reason)
    if permitted:
        return Found(
            "mail_permissions", "ready", "Your organisation's consent lets people send and read their own mail."
        )
    text = (
        f"Choose Consent again under {CONNECTOR_PLACE}: a Microsoft 365 administrator accepts Mail.Send and "
        "Mail.ReadWrite for everybody. Nobody else has to do anything."
    )
    reason = "Your organisation's consent does not hold the permissions for mail (Mail.Send, Mail.ReadWrite)."
    return Found("mail_permissions", "action_needed", reason, Remedy("microsoft_admin", text))


def call_events(roles: frozenset[str]) -> Found:
    """Left to the administrator: without it Prospo knows the end of a meeting later, and less surely."""
    if CALLS in roles:
        reason = f"Prospo may be told when calls of meetings begin and end ({CALLS})."
        return Found("call_events", "ready", reason)
    reason = (
        "Prospo is not told when calls begin and end, and does without: the end of a meeting is known from its "
        "recordings and transcripts, else from the booked end. An administrator who wants it known at once grants the "
        f"application permission {CALLS}."
    )
    return Found("call_events", "not_needed", reason)


def contacts_off() -> Found:
    return Found("contacts_access", "not_needed", "Contacts import is switched off.")


def contacts_refused(said: str, evidence: tuple[Evidence, ...]) -> Found:
    """Contacts were refused for everybody who was tried, so not only one person's mailbox is the reason."""
    text = (
        "Look in the Entra admin centre → Enterprise applications → Prospo → Permissions whether Contacts.Read is "
        "there for people, and in Exchange Online whether a policy keeps applications from mailboxes."
    )
    remedy = Remedy("microsoft_admin", text)
    reason = f"Microsoft does not let Prospo read the contacts of people who were tried: {said}"
    return Found("contacts_access", "action_needed", reason, remedy, evidence, propagates=True)


def transcripts_off(evidence: tuple[Evidence, ...]) -> Found:
    text = f"{_CENTRE} → Microsoft Graph access: on. Or in Teams PowerShell (module MicrosoftTeams):"
    remedy = Remedy("teams_admin", text, f"{_SWITCH} -EnableGraphTranscriptAccess $true")
    reason = (
        "Access to transcripts through Microsoft Graph is switched off in your tenant, whatever was consented. "
        "Recordings still arrive; transcripts do not."
    )
    return Found("transcript_access", "action_needed", reason, remedy, evidence, propagates=True)


def speaker_names(at: datetime | None, seen: bool | None) -> Found:
    """Told by the transcripts that came; reading somebody's transcript only to find out would not be right."""
    if at is None or seen is None:
        reason = "No transcript has arrived yet; the first one shows whether speakers are named."
        return Found("speaker_attribution", "unknown", reason)
    if seen:
        return Found("speaker_attribution", "ready", f"The transcript of {at:%Y-%m-%d %H:%M} UTC names its speakers.")
    text = f"{_CENTRE} → attributed transcripts: on. Or in Teams PowerShell (module MicrosoftTeams):"
    command = f"{_SWITCH} -EnableGraphTranscriptAccess $true -EnableAttributedTranscripts $true"
    reason = f"The transcript of {at:%Y-%m-%d %H:%M} UTC came without names. The next one shows whether that is mended."
    remedy = Remedy("teams_admin", text, command)
    return Found("speaker_attribution", "action_needed", reason, remedy)


def licences(tally: Tally, evidence: tuple[Evidence, ...]) -> Found:
    if not tally.unlicensed:
        reason = f"Everybody who was looked at ({tally.accounts}) has an account with Teams and Exchange."
        return Found("licences", "ready", reason, evidence=evidence)
    text = (
        "Microsoft 365 admin centre → Users → Active users → Licences and apps: assign a plan with Teams and Exchange "
        "Online."
    )
    reason = f"{_some(tally.unlicensed, tally.accounts)} a licence or an enabled account. {_NAMED}"
    return Found("licences", "action_needed", reason, Remedy("microsoft_admin", text), evidence, propagates=True)


def mailboxes(tally: Tally, evidence: tuple[Evidence, ...]) -> Found:
    if not tally.without_mailbox:
        reason = f"Everybody who was looked at ({tally.mailboxes}) has a mailbox."
        return Found("mailbox", "ready", reason, evidence=evidence)
    text = (
        "Assign a plan with Exchange Online, or move the mailbox to it: Microsoft Graph serves no mailbox on the "
        "organisation's own servers. To see where it is, in Exchange Online PowerShell:"
    )
    remedy = Remedy("microsoft_admin", text, "Get-Recipient -Identity <address> | Format-List RecipientTypeDetails")
    reason = f"{_some(tally.without_mailbox, tally.mailboxes)} a mailbox in Exchange Online. {_NAMED}"
    return Found("mailbox", "action_needed", reason, remedy, evidence, propagates=True)


def not_reached(url: str, error: GraphError, evidence: tuple[Evidence, ...], confirm_s: float) -> Found:
    text = (
        f"Make {url} reachable from the internet over https with a public certificate, answering within 10 seconds "
        "(PROSPO_NOTIFICATION_BASE_URL). This must print hello:"
    )
    reason = (
        f"Microsoft cannot reach Prospo's address for notifications. It says: {error.message} Recordings and "
        "transcripts still arrive, later."
    )
    remedy = Remedy("operator", text, f"curl -sS -X POST '{url}?validationToken=hello'")
    return Found("notifications", "action_needed", reason, remedy, evidence, confirm_s=confirm_s)


def expiry(at: datetime, days: int, *, soon: bool) -> Found:
    if not soon:
        return Found("credential_expiry", "ready", f"Prospo's credential at Microsoft lasts until {at:%Y-%m-%d}.")
    when = (
        f"expires in {days} days, on {at:%Y-%m-%d}"
        if at.timestamp() > datetime.now(at.tzinfo).timestamp()
        else "is over"
    )
    text = "Add a new credential at Microsoft Entra and mount it beside the old one: docs/how-to/rotate-credentials.md."
    return Found(
        "credential_expiry", "action_needed", f"Prospo's last credential at Microsoft {when}.", Remedy("operator", text)
    )


def no_credential(said: str) -> Found:
    del said  # it names folders of the operator's, which the log has
    text = "See the log, and docs/how-to/rotate-credentials.md."
    return Found("credential_expiry", "action_needed", "Prospo's credentials cannot be read.", Remedy("operator", text))


@dataclass(frozen=True, slots=True)
class Place:
    """The place as storage last published it; None before the first event."""

    state: str | None = None
    nearly_full: bool = False


_STOPPED = {
    "no_access": (
        "Prospo may not write to {0} any more.",
        Remedy("microsoft_admin", "Whoever manages the site grants Prospo the role write there again."),
    ),
    "gone": (
        "{0} is not in SharePoint any more.",
        Remedy("org_admin", "Restore the folder from the site's recycle bin, or choose another place for files."),
    ),
    "full": (
        "The library of {0} is full.",
        Remedy("microsoft_admin", "Free room in the library, or have its quota raised."),
    ),
}


def storage(location: str | None, place: Place, on: bool, roles: frozenset[str]) -> Found:
    """Storage alone can try to write: it does so each day, and tells what it met."""
    if location is not None and SITES not in roles:
        text = f"Connect again under {_CONNECT}, accept all permissions, then choose the storage location again."
        reason = f"A storage location is chosen, but the permission {SITES} is missing."
        return Found("storage_write", "action_needed", reason, Remedy("microsoft_admin", text), propagates=True)
    if not on:
        return Found("storage_write", "not_needed", "SharePoint storage is switched off.")
    if location is None:
        reason = "SharePoint storage is switched on without a place."
        return Found("storage_write", "action_needed", reason, Remedy("org_admin", "Choose a place for files first."))
    about = {"location": location}
    if place.state in _STOPPED:
        said, remedy = _STOPPED[place.state]
        reason = f"{said.format(location)} Files wait, or go to Prospo storage, and follow by themselves."
        return Found("storage_write", "action_needed", reason, remedy, details=about)
    if place.state != "works":
        reason = "Writing worked when the place was chosen; whether it still does, Choose Storage Location shows."
        return Found("storage_write", "unknown", reason, details=about)
    reason = f"Writing to {location} works; it is tried each day and with each file."
    if place.nearly_full:
        reason += " Less than a tenth of the library's room is left."
    return Found("storage_write", "ready", reason, details=about)


def refused(capability: str, error: GraphError, evidence: tuple[Evidence, ...]) -> Found:
    reason = f"Microsoft refused the question, which says nothing about the answer: {error.message}"
    return Found(capability, "unknown", reason, evidence=evidence, decided=False)


def nobody(capability: str) -> Found:
    return Found(capability, "unknown", _NOBODY, decided=capability not in {"transcript_access", "contacts_access"})


def cannot_ask(capability: str, role: str) -> Found:
    reason = f"This can only be asked with the application permission {role}, which is not granted."
    return Found(capability, "unknown", reason, _GRANT)


def _some(few: int, people: int) -> str:
    return f"{few} of {people} people who were looked at {'lacks' if few == 1 else 'lack'}"
