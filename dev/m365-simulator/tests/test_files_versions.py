"""Versions of files: which change makes one, what they take, and what the current one is called."""

from typing import Any

import pytest

BEHAVIOUR = "@microsoft.graph.conflictBehavior"
FIRST, SECOND = b"first", b"the second"


class Drive:
    """Anna's OneDrive and the file ``a.txt`` in it."""

    def __init__(self, world: Any) -> None:
        self.control = world.control
        self.anna = world.graph(world.token("anna@contoso.example", "Files.ReadWrite"))

    async def put(self, content: bytes, behaviour: str = "replace") -> dict[str, Any]:
        answer = await self.anna.put("/me/drive/root:/a.txt:/content", content=content, params={BEHAVIOUR: behaviour})
        return dict(answer.json())

    async def change(self, body: dict[str, Any]) -> None:
        assert (await self.anna.patch("/me/drive/root:/a.txt", json=body)).status_code == 200

    async def versions(self, name: str = "a.txt") -> list[tuple[str, int]]:
        listed = (await self.anna.get(f"/me/drive/root:/{name}:/versions")).json()["value"]
        return [(one["id"], one["size"]) for one in listed]

    async def used(self) -> int:
        return int((await self.anna.get("/me/drive")).json()["quota"]["used"])


@pytest.fixture
def drive(world: Any) -> Drive:
    return Drive(world)


@pytest.mark.behaviour(67)
async def test_what_is_replaced_is_a_former_version_and_takes_room(drive: Drive) -> None:
    item = await drive.put(FIRST)
    assert await drive.versions() == [("1.0", len(FIRST))]
    assert (await drive.put(SECOND))["id"] == item["id"]
    assert await drive.versions() == [("2.0", len(SECOND)), ("1.0", len(FIRST))]
    assert await drive.used() == len(FIRST) + len(SECOND)
    one = (await drive.anna.get(f"/me/drive/items/{item['id']}/versions/1.0")).json()
    assert (one["size"], one["lastModifiedBy"]["user"]["displayName"]) == (len(FIRST), "Anna Andersson")
    assert (await drive.anna.get(f"/me/drive/items/{item['id']}/versions/3.0")).status_code == 404
    assert (await drive.anna.get("/me/drive/root/versions")).json()["value"] == []
    await drive.anna.patch(f"/me/drive/items/{item['id']}", json={"name": "b.txt"})
    assert await drive.used() == len(FIRST) + len(SECOND)
    assert (await drive.anna.delete(f"/me/drive/items/{item['id']}")).status_code == 204
    assert await drive.used() == 0


@pytest.mark.behaviour(67)
async def test_times_set_later_make_a_version_and_a_new_name_if_so_set(drive: Drive) -> None:
    await drive.put(FIRST)
    await drive.change({"name": "a.txt", "description": "none"})
    assert await drive.versions() == [("1.0", len(FIRST))]
    await drive.change({"fileSystemInfo": {"lastModifiedDateTime": "2026-05-04T10:00:00Z"}})
    assert await drive.versions() == [("2.0", len(FIRST)), ("1.0", len(FIRST))]
    await drive.control.do("files_rules", rename_versions=True)
    await drive.change({"name": "b.txt"})
    assert [label for label, _ in await drive.versions("b.txt")] == ["3.0", "2.0", "1.0"]
    assert await drive.used() == 3 * len(FIRST)


@pytest.mark.behaviour(67)
async def test_a_library_without_versions_keeps_the_current_one_only(drive: Drive) -> None:
    await drive.control.do("library_rules", drive="anna@contoso.example", versions=False)
    for content in (FIRST, SECOND):
        await drive.put(content)
    assert (await drive.versions(), await drive.used()) == ([("1.0", len(SECOND))], len(SECOND))
    await drive.control.do("library_rules", drive="anna@contoso.example", approval=True)
    await drive.put(FIRST)
    assert [label for label, _ in await drive.versions()] == ["0.2", "0.1"]
