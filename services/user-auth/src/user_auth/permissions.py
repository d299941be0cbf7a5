"""Permissions at Microsoft: what each is for, and which feature needs which."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from shared.connections import CONNECTOR_PLACE
from shared.connections.obstacles import ADMIN_REQUIRED, SWITCHES, Switch, feature_off
from shared.connections.refusing import conflict
from shared.events import Features


class Use(NamedTuple):
    """A permission in words for people, and what Prospo does with it."""

    name: str
    use: str


PERMISSIONS = {
    "Contacts.Read": Use("Read your contacts", "importing Outlook contacts into Prospo"),
    "Calendars.ReadWrite": Use("Read and write your calendar", "creating Teams meeting invites, seeing who is free"),
    "OnlineMeetings.ReadWrite": Use("Create and manage Teams meetings", "generating Teams join links"),
    "OnlineMeetingRecording.Read.All": Use("Read meeting recordings", "importing Teams recording files"),
    "OnlineMeetingTranscript.Read.All": Use("Read meeting transcripts", "automatic transcript import after meetings"),
}
"""Everybody who connects an account is asked for these, and for no others."""
OF_ORGANISATION = {
    "Mail.Send": Use("Send mail as you", "sending a mail when you ask for it"),
    "Mail.ReadWrite": Use("Read and write your mail", "showing your conversations with a contact and keeping drafts"),
}
"""Given by the administrator's consent for everybody, never by a person. Where it holds them, they come without a
question with the next refresh of a person's token."""
USES = PERMISSIONS | OF_ORGANISATION
SIGN_IN = "User.Read"
CONSENT = (
    f"An Org Admin opens {CONNECTOR_PLACE}, chooses Consent again, and a Microsoft 365 administrator accepts the "
    "permissions for everybody. Nobody else has to do anything."
)
STAY = "offline_access"
"""Without it there is no refresh token, and a connection would end within the hour."""
_KNOWN = {scope.casefold(): scope for scope in (*USES, SIGN_IN)}


@dataclass(frozen=True, slots=True)
class Feature:
    """An Org Admin's switch that acts with people's own permissions, which the person or the organisation gives."""

    scopes: tuple[str, ...]
    given_by: Literal["person", "microsoft_admin"] = "person"


FEATURES: dict[Switch, Feature] = {
    "outlook_email": Feature(("Mail.Send", "Mail.ReadWrite"), given_by="microsoft_admin"),
    "contacts_import": Feature(("Contacts.Read",)),
    "auto_recording": Feature(("OnlineMeetingRecording.Read.All", "OnlineMeetingTranscript.Read.All")),
}
"""SharePoint storage is not here: the application writes there, with an access to one site of its own."""


def known(given: Iterable[str]) -> tuple[str, ...]:
    """The granted scopes that we ask for, in our order and spelling. ``given`` may be in any case."""
    lower = {scope.casefold() for scope in given}
    return tuple(scope for name, scope in _KNOWN.items() if name in lower)


def in_force(granted: list[str] | None) -> Collection[str]:
    """Permissions of a connection. One from before grants were recorded has all five."""
    return granted if granted is not None else (*PERMISSIONS, SIGN_IN)


def are_of_use(granted: Collection[str]) -> bool:
    """Whether anything is given beside the sign-in itself."""
    return not set(granted) <= {SIGN_IN}


def missing(granted: Collection[str], scopes: Iterable[str] = PERMISSIONS) -> list[str]:
    return [scope for scope in scopes if scope not in granted]


def to_ask(wanted: Collection[Switch], switches: Features) -> tuple[str, ...]:
    """The scopes of a sign-in: always the five. Raises ``Conflict`` for a feature that no sign-in brings."""
    for name in wanted:
        if not getattr(switches, name):
            raise conflict(feature_off(name), "then ask for it again")
        if FEATURES[name].given_by != "person":
            detail = f"{SWITCHES[name]} needs permissions that no person gives. {CONSENT}"
            raise conflict(ADMIN_REQUIRED, detail=detail)
    return (*PERMISSIONS, SIGN_IN)


def silent(granted: Collection[str], switches: Features) -> list[str]:
    """Scopes that a refresh requests besides the granted ones: the organisation may have consented to them for a
    feature that is on."""
    wanted = [feature for name, feature in FEATURES.items() if getattr(switches, name)]
    return [s for feature in wanted if feature.given_by != "person" for s in feature.scopes if s not in granted]
