"""Switches of Outlook's behaviour, most of them because Microsoft's is not proven; ``outlook_rules`` sets them.

| rule | unproven |
|---|---|
| default_folder_listed: `/contactFolders` names the default folder as well | a published sample shows it |
| delivery_s: world seconds until a message is in the recipient's inbox | yes |
| message_bytes: the tenant's limit for a sent message with its attachments | default 35 MB is published |
| inline_bytes: below it an attachment may come inline | 3 MB is published, the exact edge is not |
| x_headers: own `x-` headers a message may carry | yes |
| delete_to_bin: deleting a message moves it to Deleted Items first | yes |
| moved_reason: what a delta says of an item moved to another folder | yes |
| moved_listed: the delta of the folder that an item was moved to lists it | users report both |
| moved_back_lost: by immutable id, an item moved away and back between two rounds is removed, and not told again | \
users report it |
| top_caps: `$top` on a list of contacts is the most in all, not of a page | users report it |
| sent_id: whether the copy in Sent Items has the draft's immutable id, or a new one | the page says same |
| sent_copy_s: world seconds until that copy is there; the draft's id answers 404 meanwhile | users report it |
| stub_occurrences: a delta of the calendar has of an occurrence its ids, type and times only | users report it |
| instance_deleted_silent: a deleted occurrence is told as an update of its series only | users report it |
| write_subscribes: whether Calendars.ReadWrite alone may subscribe to events | the page says no, users report yes |
| second_send: what another `/send` does while a first one that answered 504 is still under way | yes |
"""

from typing import Any, Literal

from m365_simulator.core import Simulator
from m365_simulator.store import Row
from m365_simulator.verbs import Refused, verb

DEFAULTS: Row = {
    "default_folder_listed": True,
    "delivery_s": 5.0,
    "message_bytes": 35 * 1024 * 1024,
    "inline_bytes": 3 * 1024 * 1024,
    "x_headers": 5,
    "delete_to_bin": True,
    "moved_reason": "changed",
    "moved_listed": True,
    "moved_back_lost": True,
    "top_caps": False,
    "sent_id": "same",
    "sent_copy_s": 0.0,
    "second_send": "delivers_again",
    "stub_occurrences": True,
    "instance_deleted_silent": True,
    "write_subscribes": False,
}


def rule(simulator: Simulator, name: str) -> Any:
    return {**DEFAULTS, **(simulator.store.get("settings", "outlook_rules") or {})}[name]


@verb
def outlook_rules(
    simulator: Simulator,
    *,
    default_folder_listed: bool | None = None,
    delivery_s: float | None = None,
    message_bytes: int | None = None,
    inline_bytes: int | None = None,
    x_headers: int | None = None,
    delete_to_bin: bool | None = None,
    moved_reason: Literal["deleted", "changed"] | None = None,
    moved_listed: bool | None = None,
    moved_back_lost: bool | None = None,
    top_caps: bool | None = None,
    sent_id: Literal["same", "new"] | None = None,
    sent_copy_s: float | None = None,
    second_send: Literal["delivers_again", "refused"] | None = None,
    stub_occurrences: bool | None = None,
    instance_deleted_silent: bool | None = None,
    write_subscribes: bool | None = None,
) -> Row:
    """Set how Outlook behaves where tenants differ or Microsoft's behaviour is not proven."""
    given = {
        "default_folder_listed": default_folder_listed,
        "delivery_s": delivery_s,
        "message_bytes": message_bytes,
        "inline_bytes": inline_bytes,
        "x_headers": x_headers,
        "delete_to_bin": delete_to_bin,
        "moved_reason": moved_reason,
        "moved_listed": moved_listed,
        "moved_back_lost": moved_back_lost,
        "top_caps": top_caps,
        "sent_id": sent_id,
        "sent_copy_s": sent_copy_s,
        "second_send": second_send,
        "stub_occurrences": stub_occurrences,
        "instance_deleted_silent": instance_deleted_silent,
        "write_subscribes": write_subscribes,
    }
    changed = {name: value for name, value in given.items() if value is not None}
    if any(isinstance(value, int | float) and value < 0 for value in changed.values()):
        raise Refused("Sizes, seconds and counts are not below 0.")
    kept = simulator.store.get("settings", "outlook_rules") or {}
    return DEFAULTS | simulator.store.put("settings", "outlook_rules", kept | changed)
