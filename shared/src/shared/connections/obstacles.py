"""Obstacles that keep Prospo from asking Microsoft for a person. Each has one code and one sentence."""

from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Literal

from shared.connections.places import ACCOUNT_PATH, ACCOUNT_PLACE, CONNECTOR_PATH, CONNECTOR_PLACE
from shared.graph.errors import GraphError, GraphReconnect, GraphTellAdmin

Switch = Literal["outlook_email", "auto_recording", "contacts_import", "sharepoint_storage"]
SWITCHES: dict[Switch, str] = {
    "outlook_email": "Outlook email",
    "auto_recording": "Auto-recording",
    "contacts_import": "Contacts import",
    "sharepoint_storage": "SharePoint storage",
}
"""The Org Admin's switches by the names that people see."""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """``code`` is for programs. ``state`` says what is so, ``remedy`` what ``who`` does about it; neither ends with a
    full stop. ``says`` are Microsoft's own words, where it refused something.
    """

    code: str
    state: str
    remedy: str
    who: Literal["person", "org_admin", "microsoft_admin"]
    says: str = ""

    @property
    def path(self) -> str:
        """The page of the console where a person or an Org Admin mends it; empty when it is mended at Microsoft."""
        return {"person": ACCOUNT_PATH, "org_admin": CONNECTOR_PATH}.get(self.who, "")

    def sentence(self, then: str = "") -> str:
        """The sentence that people read; ``then`` says what happens once the obstacle is gone."""
        says = f" Microsoft says: {self.says}" if self.says else ""
        return f"{self.state}. {self.remedy}{'; ' if then else ''}{then}.{says}"


class Obstructed(Exception):
    """Microsoft is not asked, for ``obstacle`` is known without asking."""

    def __init__(self, obstacle: Obstacle) -> None:
        super().__init__(obstacle.sentence())
        self.obstacle = obstacle


FEATURE_OFF = "feature_off"
TENANT_NOT_CONNECTED = Obstacle(
    "tenant_not_connected",
    "Your organisation is not connected to Microsoft 365",
    f"An Org Admin has to connect it under {CONNECTOR_PLACE}",
    "org_admin",
)
ACCOUNT_NOT_CONNECTED = Obstacle(
    "account_not_connected",
    "Your Microsoft account is not connected",
    f"Connect it under {ACCOUNT_PLACE}",
    "person",
)
ANOTHER_ACCOUNT = Obstacle(
    "another_account",
    "This was made with another Microsoft account than the one that is connected now",
    f"Disconnect this one and connect the former again under {ACCOUNT_PLACE}",
    "person",
)
PERMISSION_MISSING = Obstacle(
    "permission_missing",
    "Microsoft does not let Prospo do this for you",
    f"Allow it again under {ACCOUNT_PLACE}, or, where nothing is missing there, ask your Microsoft 365 administrator "
    "to allow it and connect your account again",
    "person",
)
ADMIN_REQUIRED = Obstacle(
    "admin_required",
    "Your organisation's Microsoft 365 does not allow this",
    "Ask your Microsoft 365 administrator to allow it",
    "microsoft_admin",
)
_OF_CONNECTIONS = (TENANT_NOT_CONNECTED, ACCOUNT_NOT_CONNECTED, ANOTHER_ACCOUNT, PERMISSION_MISSING)
HEARD_OF = frozenset({FEATURE_OFF, *(obstacle.code for obstacle in _OF_CONNECTIONS)})
"""Codes of obstacles whose end a state topic tells: what waits for it then goes on without anybody asking again."""
FORMER = {
    "connection_required": ACCOUNT_NOT_CONNECTED.code,
    "connection_broken": ACCOUNT_NOT_CONNECTED.code,
    "reconnect_required": ACCOUNT_NOT_CONNECTED.code,
    "auto_recording_switched_off": FEATURE_OFF,
    "admin_must_act": ADMIN_REQUIRED.code,
}
"""Codes of version 0.1. Beside this version, processes of that one still write them."""


def feature_off(switch: Switch) -> Obstacle:
    """The Org Admin's switch is off."""
    state = f"{SWITCHES[switch]} is switched off for your organisation"
    return Obstacle(FEATURE_OFF, state, f"An Org Admin can switch it on under {CONNECTOR_PLACE}", "org_admin")


def obstacle_of(error: Exception) -> Obstacle | None:
    """The obstacle behind an error. None when connecting, allowing or switching on would not help."""
    if isinstance(error, Obstructed):
        return error.obstacle
    if not isinstance(error, GraphError):
        return None
    if error.code == TENANT_NOT_CONNECTED.code:
        return TENANT_NOT_CONNECTED
    if isinstance(error, GraphReconnect):
        return ACCOUNT_NOT_CONNECTED
    if error.status == HTTPStatus.FORBIDDEN:
        return replace(PERMISSION_MISSING, says=error.message)
    return replace(ADMIN_REQUIRED, says=error.message) if isinstance(error, GraphTellAdmin) else None
