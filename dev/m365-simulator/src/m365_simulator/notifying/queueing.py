"""From a change in the world to a notification that waits for its moment."""

import datetime
import glob
from typing import Any

from m365_simulator.changes import Change
from m365_simulator.clock import moment_of
from m365_simulator.core import Simulator
from m365_simulator.directory import find_user
from m365_simulator.entra.applications import find_application
from m365_simulator.entra.consents import consent_of, granted
from m365_simulator.faults import fault
from m365_simulator.store import Row
from m365_simulator.timeline import action
from m365_simulator.verbs import Refused, verb
from m365_simulator.wire import NOT_YET

from . import endpoints, log
from .figures import figures
from .resources import KINDS, key_of, matching
from .sealing import sealed
from .striking import strikes

DROP = fault("drop_notifications", "a notification is lost")
DUPLICATE = fault("duplicate_notifications", "a notification is sent twice")
DELAY = fault("delay_notification", "a notification waits `seconds`, so that later ones overtake it", "seconds")
WRONG_STATE = fault("wrong_client_state", "a notification carries another clientState, `value`", "value")
UNKNOWN = fault("unknown_subscription", "a notification names a subscription that does not exist")
TOO_EARLY = fault("announce_too_early", "the first `reads` GETs of what is announced answer 404", "reads")
NEVER = "never"


def alive(simulator: Simulator, subscription: Row) -> bool:
    return moment_of(subscription["expires"]) > simulator.clock.service()


def held(simulator: Simulator, subscription: str, basis: Row) -> bool:
    """Whether the authorisation is over: the life of the token, or the consent that it was given under."""
    row = simulator.store.get("subscriptions", subscription)
    if row is not None and simulator.clock.service().timestamp() >= row["authorized_until"]:
        return True
    return bool(basis["consented"]) and not grants(simulator, basis)


def grants(simulator: Simulator, basis: Row) -> bool:
    """Whether the directory grants the permission a subscription was made with."""
    app = find_application(simulator, basis["app"])
    if app is None:
        return False
    if basis["app_only"]:
        return basis["permission"] in (consent_of(simulator, app, basis["tenant"]) or {}).get("roles", [])
    person = find_user(simulator.store, basis["person"])
    return person is not None and basis["permission"] in granted(simulator, app, person)


def told(simulator: Simulator, change: Change) -> None:
    """Queue the notification for each living subscription that covers the change, in the order they were made."""
    begun = _call_begun(simulator, change)
    for subscription in simulator.store.all("subscriptions"):
        if covers(subscription, change) and alive(simulator, subscription):
            if subscription["kind"] == "meetingCallEvents" and subscription["number"] > begun:
                continue  # it did not hear of the call's beginning
            tell(simulator, subscription, change)


def covers(subscription: Row, change: Change) -> bool:
    if subscription["tenant"] != change.tenant or change.change_type not in subscription["changeType"].split(","):
        return False
    if not any(subscription.get("watched") == key_of(resource) for resource in change.covered_by):
        return False
    return change.change_type == "deleted" or matching(subscription["kind"], subscription["filter"])(change.data)


def _call_begun(simulator: Simulator, change: Change) -> int:
    """When the call of a call event began, in the order of things here; 0 when nobody heard of its beginning."""
    event = str(change.data.get("eventType", "")).lower()
    if not event or not any(key_of(one).startswith("calls ") for one in change.covered_by):
        return 0
    call = str(change.data.get("callId") or min(key_of(one) for one in change.covered_by))
    if event.endswith("callstarted"):
        simulator.store.put("calls_begun", call, {"number": log.sequence(simulator)})
    return int((simulator.store.get("calls_begun", call) or {"number": 0})["number"])


def tell(simulator: Simulator, subscription: Row, change: Change) -> None:
    """One subscription is told, however often and wrongly the faults want it."""

    def due(name: str) -> Row | None:
        about = {"subscription": subscription["id"], "resource": change.resource, "kind": subscription["kind"]}
        return strikes(simulator, name, change.tenant, **about)

    if due(DROP):
        return
    item = _item(simulator, subscription, change)
    if (found := due(WRONG_STATE)) is not None:
        item["clientState"] = found.get("value", "not the client state")
    if due(UNKNOWN):
        item["subscriptionId"] = simulator.ids.guid("unknown subscription")
    if (found := due(TOO_EARLY)) is not None:
        match = {"path": f"*{glob.escape(change.item_id)}*", "method": "GET"}
        simulator.faults.add(NOT_YET, {"times": found.get("reads", 1), "match": match})
    wait = _latency(simulator, subscription["kind"])
    if wait is not None and (found := due(DELAY)) is not None:
        wait += float(found.get("seconds", 60))
    for _ in range(2 if due(DUPLICATE) else 1):
        queue(simulator, subscription, item, wait=wait)


def _item(simulator: Simulator, subscription: Row, change: Change) -> Row:
    name = "#" + change.type_name.replace("microsoft.graph", "Microsoft.Graph")
    if subscription["place"] == "outlook":
        head, _, last = name.rpartition(".")
        name = f"{head}.{last[:1].upper()}{last[1:]}"
    key, resource = change.item_id, change.resource
    if subscription["immutable"] and (lasting := getattr(change, "immutable_id", None)):
        key, resource = lasting, resource.replace(key, lasting)
    data: Row = {"@odata.type": name, "@odata.id": resource, "id": key}
    if change.etag is not None:
        data["@odata.etag"] = change.etag
    item = {
        "id": simulator.ids.guid("notification"),
        "changeType": change.change_type,
        "resource": resource,
        "resourceData": data,
        **identity(subscription),
    }
    if subscription.get("includeResourceData") and change.change_type != "deleted":
        wanted = {name.lower() for name in subscription["select"]}
        shown = {k: v for k, v in change.data.items() if not wanted or k.lower() in wanted or k == "id" or "@" in k}
        item |= sealed(simulator, subscription, shown)
    return item


def identity(subscription: Row) -> Row:
    """What every notification says of its subscription."""
    return {
        "subscriptionId": subscription["id"],
        "subscriptionExpirationDateTime": subscription["expirationDateTime"],
        "clientState": subscription.get("clientState"),
        "tenantId": subscription["tenant"],
    }


def queue(simulator: Simulator, subscription: Row, item: Row, *, kind: str = "change", wait: float | None = 0) -> None:
    """``kind``: change or lifecycle; ``wait`` in seconds on the service clock, None: it is never sent."""
    lifecycle = kind == "lifecycle"
    url = subscription["lifecycleNotificationUrl" if lifecycle else "notificationUrl"]
    rich = any(name.lower() == "encryptedcontent" for name in item)
    more = {"subscription": subscription["id"], "app": subscription["applicationId"], "tenant": subscription["tenant"]}
    payload = {"item": item, "basis": subscription["basis"]}
    enqueue(simulator, url, payload, kind="rich" if rich else kind, wait=wait, **more)


def enqueue(simulator: Simulator, url: str, payload: Row, *, kind: str, wait: float | None = 0, **more: Any) -> None:
    """``payload`` is an ``item`` of a collection, or a whole ``body`` (kind forged)."""
    number = log.sequence(simulator)
    fate = NEVER if wait is None else endpoints.let(simulator, url)
    shown = {"url": url, "kind": kind, **more, "item": log.without_secrets(payload.get("item", payload.get("body")))}
    log.begin(simulator, number, {NEVER: NEVER, "dropped": "dropped"}.get(fate, "waiting"), shown)
    if fate == "dropped":
        missed(simulator, more.get("subscription"))
    if wait is None or fate == "dropped":
        return
    now = simulator.clock.service().timestamp()
    due = now + wait + (figures(simulator).window_s if fate == "later" else 0)
    row = {"id": str(number), "number": number, "url": url, "kind": kind, **payload, **more}
    simulator.store.put("deliveries", str(number), {**row, "queued": now, "next": due, "attempts": 0})


def missed(simulator: Simulator, key: str | None) -> None:
    """Outlook says that it could not tell everything, once for all of it and when the address may listen again."""
    subscription = simulator.store.get("subscriptions", key or "")
    if subscription is not None and subscription["place"] == "outlook":
        at = simulator.clock.service() + datetime.timedelta(seconds=figures(simulator).window_s)
        payload = {"subscription": subscription["id"]}
        simulator.timeline.at(at, missed_is_told, payload, key=f"missed/{subscription['id']}", clock="service")


@action
def missed_is_told(simulator: "Simulator", payload: Row) -> None:
    row = simulator.store.get("subscriptions", payload["subscription"])
    if row is not None and alive(simulator, row) and row.get("lifecycleNotificationUrl"):
        queue(simulator, row, {**identity(row), "lifecycleEvent": "missed"}, kind="lifecycle")


def _latency(simulator: Simulator, kind: str) -> float | None:
    row = simulator.store.get("notification_delays", kind) or {"seconds": 0.0}
    seconds: float | None = row["seconds"]
    return seconds


@verb
def notification_delay(simulator: "Simulator", *, resource: str, seconds: float = 0, never: bool = False) -> Row:
    """How long notifications of a kind of resource take on the service clock, or that they never come."""
    if resource not in KINDS:
        raise Refused(f"There is no kind of resource '{resource}'. Known: {', '.join(KINDS)}.")
    if seconds < 0:
        raise Refused("A delay is a number of seconds from 0.")
    row = {"resource": resource, "seconds": None if never else seconds}
    return simulator.store.put("notification_delays", resource, row)
