"""The mails that Exchange sends to attendees: each invitation, update and cancellation is kept as one row.

Documented (event-update, event-cancel): whoever is added is invited alone, whoever is removed gets a cancellation, and
every other change goes to all. Unproven: that a change naming the values that are there already is mailed too, which
is the unfriendlier of the two.
"""

from m365_simulator.clock import stamp
from m365_simulator.core import Simulator
from m365_simulator.store import Row

KIND = "invitations"
TOLD = {"subject", "start", "end", "body", "location", "locations", "recurrence", "isAllDay"}
"""Properties whose change is mailed to everybody."""


def addresses(body: Row) -> dict[str, str]:
    """Address in lower case → as it is written; of people, not of rooms."""
    people = [one for one in body.get("attendees") or [] if one.get("type") != "resource"]
    return {str(one["emailAddress"]["address"]).lower(): one["emailAddress"]["address"] for one in people}


def invited(simulator: Simulator, row: Row) -> None:
    """A new event invites its attendees."""
    _send(simulator, row, "invitation", list(addresses(row["body"])))


def changed(simulator: Simulator, row: Row, before: Row, after: Row, named: set[str], date: str | None = None) -> None:
    """``before`` and ``after`` are bodies; ``named`` is what the request names. ``date`` is that of an occurrence."""
    old, new = set(addresses(before)), set(addresses(after))
    _send(simulator, row, "invitation", sorted(new - old), date)
    _send(simulator, row, "cancellation", sorted(old - new), date)
    if named & TOLD:
        _send(simulator, row, "update", sorted(new & old), date)


def cancelled(simulator: Simulator, row: Row, body: Row, date: str | None = None) -> None:
    _send(simulator, row, "cancellation", sorted(addresses(body)), date)


def _send(simulator: Simulator, row: Row, kind: str, to: list[str], date: str | None = None) -> None:
    for address in to:
        key = simulator.ids.text("invitation-mail", 24)
        about = {"id": key, "event": row["id"], "date": date, "kind": kind, "to": address, "at": stamp(simulator.now())}
        simulator.store.put(KIND, key, about | {"subject": row["body"].get("subject")})
