"""What Graph refuses of a subscription: its fields, its lifetime, a second one of the same, one too many."""

import datetime
from urllib.parse import urlsplit

from m365_simulator.clock import moment_of, real_now, stamp
from m365_simulator.store import Row
from m365_simulator.wire import Caller, GraphError

from .figures import Figures
from .resources import Watched, longest
from .sealing import bad_certificate

REQUIRED = ("changeType", "notificationUrl", "resource", "expirationDateTime")
CHANGEABLE = frozenset(["expirationDateTime", "notificationUrl", "encryptionCertificate", "encryptionCertificateId"])
TLS = ("v1_0", "v1_1", "v1_2", "v1_3")
LONGEST_TEXT = 128
WITHOUT_LIFECYCLE = datetime.timedelta(hours=1)
LIFECYCLE_NEEDED = (
    "lifecycleNotificationUrl is required for subscription creation on this resource when the expirationDateTime value "
    "exceeds 1 hour"
)


def refused(message: str, code: str = "BadRequest") -> GraphError:
    return GraphError(400, code, message)


def check_fields(body: Row) -> None:
    """Everything that can be said before the resource is known."""
    for name in REQUIRED:
        if not body.get(name):
            raise refused(f"The property '{name}' is required.")
    for name in ("clientState", "encryptionCertificateId"):
        if len(body.get(name) or "") > LONGEST_TEXT:
            raise refused(f"{name} exceeds the maximum length of {LONGEST_TEXT} characters.")
    for name in ("notificationUrl", "lifecycleNotificationUrl"):
        if body.get(name):
            check_url(name, body[name])
    if body.get("latestSupportedTlsVersion", "v1_2") not in TLS:
        raise refused(f"latestSupportedTlsVersion must be one of {', '.join(TLS)}.")


def check_url(name: str, url: str) -> None:
    """https, but that loopback may do without; there is no certificate to be had for it."""
    parts = urlsplit(url)
    local = parts.hostname in ("localhost", "127.0.0.1") or (parts.hostname or "").endswith(".localhost")
    if not parts.hostname or not (parts.scheme == "https" or (parts.scheme == "http" and local)):
        raise refused(f"{name} must be an absolute URL that uses https.")


def changes_of(body: Row, watched: Watched) -> str:
    """The change types in one order."""
    wanted = {part.strip() for part in body["changeType"].split(",")}
    if strange := wanted - set(watched.kind.changes):
        taken = ", ".join(watched.kind.changes)
        raise refused(f"changeType {sorted(strange)} is not supported for this resource; supported: {taken}.")
    return ",".join(sorted(wanted))


def check_rich(body: Row, watched: Watched) -> None:
    if not body.get("includeResourceData"):
        return
    if not watched.kind.rich:
        raise refused("includeResourceData is not supported for this resource.")
    if watched.kind.place == "outlook" and not watched.select:
        raise refused("Resource data of this resource needs a $select of the properties in the resource.")
    check_certificate(body)


def check_certificate(body: Row) -> None:
    for name in ("encryptionCertificate", "encryptionCertificateId"):
        if not body.get(name):
            raise refused(f"{name} is required when includeResourceData is true.")
    wrong = bad_certificate(body["encryptionCertificate"])
    if wrong:
        raise refused(f"encryptionCertificate is not usable: {wrong}")


def expiry(text: str, watched: Watched, figures: Figures, *, rich: bool, lifecycle: bool, act: str) -> str:
    """The time that is granted. Raises ``GraphError`` in the words of the resource's workload."""
    try:
        wanted = moment_of(text)
    except ValueError as error:
        raise refused("expirationDateTime is not a time.") from error
    ahead = wanted - real_now()
    if ahead <= datetime.timedelta(0):
        raise refused("The expirationDateTime is in the past.")
    most = longest(watched, figures, rich=rich)
    if ahead > datetime.timedelta(minutes=most):
        raise _too_long(text, watched, most, act)
    if watched.kind.place == "teams" and ahead > WITHOUT_LIFECYCLE and not lifecycle:
        raise refused(LIFECYCLE_NEEDED)
    return stamp(max(wanted, real_now() + datetime.timedelta(minutes=min(figures.floor_minutes, most))))


def _too_long(text: str, watched: Watched, most: int, act: str) -> GraphError:
    if watched.kind.place != "teams":
        return refused(f"Subscription expiration can only be {most} minutes in the future.", "ExtensionError")
    days, minutes = divmod(most, 24 * 60)
    allowed = f"{days}.{minutes // 60:02}:{minutes % 60:02}:00"
    reason = f"Expiration time '{text}' is beyond allowed max '{allowed}'."
    return refused(f"Operation: {act}; Exception: [Status Code: BadRequest; Reason: {reason}]", "ExtensionError")


def check_room(caller: Caller, new: Row, standing: list[Row], figures: Figures) -> None:
    """409 for a second of the same, 403 over a quota. ``standing`` are the living subscriptions of everybody."""
    here = [row for row in standing if row["tenant"] == new["tenant"]]
    for row in here:
        if _alike(row, new, "applicationId", "creatorId", "watched", "changeType"):
            text = f"Subscription Id {row['id']} already exists for the requested combination"
            raise GraphError(409, "ExtensionError", text)
    if new["place"] == "outlook":
        _most([row for row in here if row["place"] == "outlook" and row["user"] == new["user"]],
              figures.per_mailbox, "mailbox")  # fmt: skip
    if new["place"] == "teams":
        _check_teams(new, [row for row in here if row["place"] == "teams"], figures)


def _check_teams(new: Row, teams: list[Row], figures: Figures) -> None:
    same = [row for row in teams if row["kind"] == new["kind"]]
    own = [row for row in same if row["applicationId"] == new["applicationId"]]
    if new["meeting"]:
        _most([row for row in own if row["meeting"] == new["meeting"]], 1, "application and meeting")
    if new["user"]:
        _most([row for row in own if row["user"] == new["user"]], 1, "application and user")
        _most([row for row in same if row["user"] == new["user"]], figures.per_user, "user")
    _most(teams, figures.per_organisation, "organization")


def _most(rows: list[Row], most: int, of: str) -> None:
    if len(rows) >= most:
        raise GraphError(403, "Forbidden", f"The limit of {most} subscriptions per {of} is reached.")


def _alike(left: Row, right: Row, *names: str) -> bool:
    return all(left[name] == right[name] for name in names)
