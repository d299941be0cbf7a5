"""What happens to a subscription in time: it asks to be reauthorised, it ends in silence, or Graph takes it away."""

import datetime

from m365_simulator.clock import moment_of
from m365_simulator.core import Simulator
from m365_simulator.signing import ISSUED
from m365_simulator.store import Row
from m365_simulator.timeline import action
from m365_simulator.verbs import Refused, verb

from .figures import figures
from .queueing import alive, identity, queue

SOONEST_S = 60
"""Who renews with a token that ends soon is asked again, but not at once."""


def authorised(subscription: Row, claims: Row) -> Row:
    """The subscription lives on the caller's token, as long as that one does. The row is to be put by the caller."""
    return {
        **subscription,
        "authorized_until": float(claims.get(ISSUED) or claims["iat"]) + claims["exp"] - claims["iat"],
    }


def plan(simulator: Simulator, subscription: Row) -> None:
    """Its end, and when it asks for authorisation before; planned anew whenever one of them moves."""
    payload, key = {"subscription": subscription["id"]}, subscription["id"]
    expires = moment_of(subscription["expires"])
    simulator.timeline.at(expires, subscription_expires, payload, key=f"expiry/{key}", clock="service")
    numbers, now = figures(simulator), simulator.clock.service().timestamp()
    end = min(subscription["authorized_until"], expires.timestamp())
    soonest = now + min(numbers.reauthorize_every_s, max(SOONEST_S, (end - now) / 2))
    _ask_at(simulator, key, max(end - numbers.reauthorize_lead_s, soonest))


def _ask_at(simulator: Simulator, key: str, moment: float) -> None:
    at = datetime.datetime.fromtimestamp(moment, datetime.UTC)
    payload = {"subscription": key}
    simulator.timeline.at(at, reauthorization_is_due, payload, key=f"reauthorize/{key}", clock="service")


def forget(simulator: Simulator, key: str) -> None:
    simulator.store.delete("subscriptions", key)
    for name in ("expiry", "reauthorize"):
        simulator.timeline.cancel(f"{name}/{key}")


@action
def subscription_expires(simulator: "Simulator", payload: Row) -> None:
    row = simulator.store.get("subscriptions", payload["subscription"])
    if row is not None and not alive(simulator, row):
        forget(simulator, row["id"])


@action
def reauthorization_is_due(simulator: "Simulator", payload: Row) -> None:
    row = simulator.store.get("subscriptions", payload["subscription"])
    if row is None or not alive(simulator, row):
        return
    lifecycle_event(simulator, row, "reauthorizationRequired")
    _ask_at(simulator, row["id"], simulator.clock.service().timestamp() + figures(simulator).reauthorize_every_s)


def lifecycle_event(simulator: Simulator, subscription: Row, event: str) -> bool:
    """Whether there is an address to tell it to."""
    if not subscription.get("lifecycleNotificationUrl"):
        return False
    queue(simulator, subscription, {**identity(subscription), "lifecycleEvent": event}, kind="lifecycle")
    return True


def subscription_row(simulator: Simulator, name: str) -> Row:
    """By id, or by resource when there is one of it; raises ``Refused`` with those there are."""
    rows = [row for row in simulator.store.all("subscriptions") if alive(simulator, row)]
    found = [row for row in rows if name in (row["id"], row["resource"])]
    if len(found) != 1:
        known = ", ".join(f"{row['id']} ({row['resource']})" for row in rows) or "none"
        raise Refused(f"'{name}' names {len(found)} subscriptions. Known: {known}.")
    return found[0]


@verb
def authorization_revoke(simulator: "Simulator", *, subscription: str) -> Row:
    """The token behind a subscription is worth nothing any more: it asks for another and delivers nothing."""
    row = subscription_row(simulator, subscription)
    row = {**row, "authorized_until": simulator.clock.service().timestamp()}
    simulator.store.put("subscriptions", row["id"], row)
    reauthorization_is_due(simulator, {"subscription": row["id"]})
    return row


@verb
def reauthorization_ask(simulator: "Simulator", *, subscription: str) -> bool:
    """Send reauthorizationRequired now, besides those that come by themselves."""
    return _told(lifecycle_event(simulator, subscription_row(simulator, subscription), "reauthorizationRequired"))


@verb
def subscription_remove(simulator: "Simulator", *, subscription: str) -> bool:
    """Graph takes an Outlook subscription away and says subscriptionRemoved."""
    row = _outlook(subscription_row(simulator, subscription), "subscriptionRemoved")
    forget(simulator, row["id"])
    return _told(lifecycle_event(simulator, row, "subscriptionRemoved"))


@verb
def notifications_missed(simulator: "Simulator", *, subscription: str) -> bool:
    """Graph says that it did not send everything about an Outlook subscription: missed."""
    row = _outlook(subscription_row(simulator, subscription), "missed")
    return _told(lifecycle_event(simulator, row, "missed"))


def _outlook(subscription: Row, event: str) -> Row:
    if subscription["place"] != "outlook":
        raise Refused(f"{event} is sent for messages, events and contacts only, not for {subscription['resource']}.")
    return subscription


def _told(sent: bool) -> bool:
    if not sent:
        raise Refused("The subscription has no lifecycleNotificationUrl.")
    return sent
