"""What people permit at Microsoft, what each permission is for, and which feature needs which."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from shared.connections.features import available
from shared.connections.obstacles import SWITCHES, Switch, feature_off
from shared.events import Features
from shared.problems import Conflict


class Use(NamedTuple):
    """What a permission lets Prospo do, as people read it, and what Prospo does with it."""

    name: str
    use: str


PERMISSIONS = {
    "Contacts.Read": Use("Read your contacts", "importing Outlook contacts into Prospo"),
    "Calendars.ReadWrite": Use("Read and write your calendar", "creating Teams meeting invites"),
    "OnlineMeetings.ReadWrite": Use("Create and manage Teams meetings", "generating Teams join links"),
    "OnlineMeetingRecording.Read.All": Use("Read meeting recordings", "importing Teams recording files"),
    "OnlineMeetingTranscript.Read.All": Use("Read meeting transcripts", "automatic transcript import after meetings"),
}
"""Everybody who connects an account is asked for these."""
MORE = {
    "Mail.Send": Use("Send mail as you", "sending a mail when you ask for it"),
    "Mail.ReadWrite": Use("Read and write your mail", "showing your conversations with a contact and keeping drafts"),
}
"""Asked for with the feature that needs them, once the person wants it."""
USES = PERMISSIONS | MORE
SIGN_IN = "User.Read"
STAY = "offline_access"
"""Without it there is no refresh token, and a connection would end within the hour."""
_KNOWN = {scope.casefold(): scope for scope in (*USES, SIGN_IN)}


@dataclass(frozen=True, slots=True)
class Feature:
    """An Org Admin's switch that acts with people's own permissions."""

    scopes: tuple[str, ...]


FEATURES: dict[Switch, Feature] = {
    "outlook_email": Feature(("Mail.Send", "Mail.ReadWrite")),
    "contacts_import": Feature(("Contacts.Read",)),
    "auto_recording": Feature(("OnlineMeetingRecording.Read.All", "OnlineMeetingTranscript.Read.All")),
}
"""SharePoint storage is not here: the application writes there, with an access to one site of its own."""


def known(given: Iterable[str]) -> tuple[str, ...]:
    """Of Microsoft's scopes, in whatever case, those that we ask for, in our order and spelling."""
    lower = {scope.casefold() for scope in given}
    return tuple(scope for name, scope in _KNOWN.items() if name in lower)


def in_force(granted: list[str] | None) -> Collection[str]:
    """What a connection may do. One made before grants were recorded was made with all five, or not at all."""
    return granted if granted is not None else (*PERMISSIONS, SIGN_IN)


def are_of_use(granted: Collection[str]) -> bool:
    """Whether anything is given beside the sign-in itself."""
    return not set(granted) <= {SIGN_IN}


def missing(granted: Collection[str], scopes: Iterable[str] = PERMISSIONS) -> list[str]:
    return [scope for scope in scopes if scope not in granted]


def to_ask(wanted: Collection[Switch], granted: Collection[str], switches: Features) -> tuple[str, ...]:
    """The scopes of a sign-in: the five, those of the features ``wanted``, and what was given to a feature that is on.

    Without the last, signing in again would take away what the person had allowed before. Raises ``Conflict`` for a
    feature that is off.
    """
    for name in wanted:
        if not available(name):
            raise _not_yet(name)
        if not getattr(switches, name):
            off = feature_off(name)
            raise Conflict(off.code, off.sentence("then ask for it again"))
    scopes = [*PERMISSIONS, SIGN_IN]
    for name, feature in FEATURES.items():
        given = [scope for scope in feature.scopes if scope in granted] if acts(name, switches) else []
        scopes += feature.scopes if name in wanted else given
    return tuple(dict.fromkeys(scopes))


def acts(name: str, switches: Features) -> bool:
    """Whether there is such a feature and an Org Admin has it on."""
    return available(name) and bool(getattr(switches, name))


def _not_yet(name: Switch) -> Conflict:
    detail = f"Prospo does not have {SWITCHES[name]} yet, so nothing is asked for it. There is nothing for you to do."
    return Conflict("feature_not_available", detail)
