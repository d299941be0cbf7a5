"""Steps that tests of switches and of ends have in common."""

from datetime import UTC, datetime
from typing import Any

from shared.events import Features, TenantState

FOLDER = "https://contoso.sharepoint.example/sites/Sales/Shared%20Documents/Recordings"
KIB = 320 * 1024
SIZE = 12 * KIB + 1  # four ranges of storage's 3 * KIB here, and one byte
TOPICS = ("artefact.detected", "recording.imported", "transcript.imported")


async def counts(house: Any) -> list[int]:
    return [len(await house.published(topic)) for topic in TOPICS]


async def do_all(house: Any) -> None:
    """What is due, and what would be due later."""
    for _ in range(2):
        await house.settle()
        await house.hurry()
    await house.settle()


async def booked(house: Any, **more: Any) -> dict[str, Any]:
    await house.connect()
    meeting: dict[str, Any] = await house.book(**more)
    await house.hear(house.scheduled(meeting))
    return meeting


async def chosen(house: Any) -> None:
    """The organisation's place is chosen and switched on."""
    await house.microsoft.do("site_add", tenant="contoso.example", name="Sales")
    await house.microsoft.do("file_put", drive="Sales", path="Recordings/read me.txt", text="not ours")
    await house.microsoft.do("site_grant", site="/sites/Sales", role="write")
    await switch(house, 1)
    answer = await house.storage.call(
        "PUT", "/v1/storage/location", user="ada", roles=("user", "org_admin"), json={"address": FOLDER}
    )
    assert answer.json()["chosen"], answer.text


async def switch(house: Any, version: int, *, on: bool = True, connected: bool = True) -> None:
    tid, about = house.tenant_connector.tid, {"org_id": "acme", "changed_at": datetime.now(UTC)}
    features = Features(auto_recording=True, sharepoint_storage=on)
    await house.storage.hear(
        TenantState(**about, aggregate_version=version, tid=tid, connected=connected, features=features)
    )
