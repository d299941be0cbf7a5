"""Files that change their place: those that follow to the chosen one, and all of them in a migration."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from m365_simulator.directory import CONTOSO
from m365_simulator.testing import Wire
from storage.automaton import Upload

from .libraries import UNIT, Killed
from .office import BODY, SITE, Json, Office

NAMED = {"name": "Offer.pdf", "content_type": "application/pdf"}


async def uploaded(office: Office, body: bytes = BODY, **more: Any) -> Json:
    """A file of anna's, as far as storage itself has it."""
    headers = {"Idempotency-Key": hashlib.sha256(body + repr(more).encode()).hexdigest()}
    answer = await office.call("POST", "/v1/files/uploads/small", params=NAMED | more, content=body, headers=headers)
    assert answer.status_code == 201, answer.text
    said: Json = answer.json()
    return said


async def described(office: Office, file: Json) -> Json:
    found: Json = (await office.call("GET", f"/v1/files/{file['id']}")).json()
    return found


async def migration(office: Office, method: str = "GET") -> Json:
    answer = await office.admin(method, "/v1/storage/migration")
    assert answer.status_code in (200, 202), answer.text
    found: Json = answer.json()
    return found


def objects(folder: Path) -> list[Path]:
    return [path for path in (folder / "files").rglob("*") if path.is_file()]


async def test_a_persons_file_follows_to_the_chosen_place(office: Office, tmp_path: Path) -> None:
    await office.in_use()
    file = await uploaded(office, name="Offer: a/b".replace("/", "_") + "?.pdf")
    assert ((await described(office, file))["place"], len(objects(tmp_path))) == ("prospo", 1)
    await office.settle()
    shown = await described(office, file)
    assert (shown["place"], shown["stored_as"], shown["name"]) == ("sharepoint", "Offer_ a_b_.pdf", "Offer: a_b?.pdf")
    assert office.in_library()[0].endswith("/Offer_ a_b_.pdf")
    assert (await office.content(file["id"], "bytes=10-19")).content == BODY[10:20]
    assert (objects(tmp_path), await office.rows("file_move")) == ([], [])
    assert len(await office.published("file.stored")) == 1
    assert (await office.call("DELETE", f"/v1/files/{file['id']}")).status_code == 204
    await office.settle()
    assert (office.in_library(), await office.rows("left_copy")) == ([], [])


async def test_an_office_file_is_not_rewritten_on_its_way(office: Office) -> None:
    """Complaint: SharePoint writes into a document that it takes in under its own name; it is uploaded for ever."""
    await office.in_use()
    file = await uploaded(office, name="Offer.docx")
    await office.settle()
    shown = await described(office, file)
    assert (shown["place"], shown["stored_as"]) == ("sharepoint", "Offer.docx")
    assert (await office.content(file["id"])).content == BODY
    assert len(office.in_library()) == 1


@pytest.mark.parametrize("policy", ["wait", "default"])
async def test_while_the_place_fails_files_do_as_the_organisation_decided(office: Office, policy: str) -> None:
    await office.in_use()
    decided = await office.admin("PUT", "/v1/storage/policy", json={"when_stopped": policy})
    assert decided.json()["when_stopped"] == policy
    await office.microsoft.do("site_revoke", site="/sites/Sales")
    refused = await office.begin("r1")
    assert (refused.status_code, refused.json()["code"]) == (503, "storage_location_stopped")
    session = await office.begin("r1")
    if policy == "wait":
        assert (session.status_code, session.json()["code"]) == (503, "storage_location_stopped")
    else:
        said = session.json()
        assert ("attempt" in said, said["place"]) == (False, "Prospo storage")
        await put_here(office, said)
        assert (await office.content(said["file_id"])).content == BODY
    file = await uploaded(office)
    await office.settle()
    assert ((await described(office, file))["place"], office.in_library()) == ("prospo", [])
    await office.microsoft.do("site_grant", site="/sites/Sales", role="write")
    await office.hurry("look_at_location")
    await office.hurry("move_files")
    await office.settle()
    assert (await described(office, file))["place"] == "sharepoint"
    names = [path.rpartition("/")[2] for path in office.in_library()]
    assert names == (["Offer.pdf"] if policy == "wait" else ["Offer.pdf", "Review r1.mp4"]), "it follows by itself"
    states = [(one["state"], one["aggregate_version"]) for one in await office.published("storage.location_changed")]
    assert states == [("works", 1), ("no_access", 2), ("works", 3)]


async def put_here(office: Office, session: Json) -> None:
    path = "/v1" + session["upload_url"].partition("/v1")[2]
    for start in range(0, len(BODY), UNIT):
        piece = BODY[start : start + UNIT]
        headers = {"Content-Range": f"bytes {start}-{start + len(piece) - 1}/{len(BODY)}"}
        assert (await office.http.put(path, content=piece, headers=headers)).is_success


async def two_places(office: Office) -> list[Json]:
    """A recording in the former place and a file of Prospo's own storage; another place is chosen."""
    await office.tenant()
    file = await uploaded(office)
    await office.in_use()
    session = await office.store()
    await office.settle()
    assert (await office.choose(SITE))["chosen"]
    await office.settle()
    return [file, {"id": session["file_id"]}]


async def test_a_migration_is_offered_moves_all_and_says_how_far(office: Office, tmp_path: Path) -> None:
    files = await two_places(office)
    offered = await migration(office)
    assert (offered["state"], offered["files"], offered["bytes"]) == ("offered", 2, 2 * len(BODY))
    before = office.in_library()
    assert (len(before), before[0].startswith("Recordings/")) == (1, True), "what is stored stays where it is"
    running = await migration(office, "POST")
    assert (running["state"], running["waiting"], running["moved_files"]) == ("running", 2, 0)
    await office.settle()
    done = await migration(office)
    assert (done["state"], done["moved_files"], done["moved_bytes"]) == ("done", 2, 2 * len(BODY))
    assert [path[:2] for path in office.in_library()] == ["20", "20"], "the old copies are gone, the new ones whole"
    for file in files:
        shown = await described(office, file)
        assert (shown["place"], shown["sha256"]) == ("sharepoint", hashlib.sha256(BODY).hexdigest())
        assert (await office.content(file["id"])).content == BODY
    assert objects(tmp_path) == []
    assert (await office.admin("GET", "/v1/storage/left-copies")).json()["items"] == []


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_migration_goes_on_at_the_byte_after_any_kill(
    office: Office, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Each life ends at a later request, before Microsoft hears it or before its answer is heard."""
    files = await two_places(office)
    monkeypatch.setitem(Upload.__init__.__kwdefaults__, "chunk", UNIT)
    wire = office.simulator.app = Wire(office.simulator.app)
    await migration(office, "POST")
    http = office.service.guest("graph").http
    send, lives, left = http.send, 0, 0

    async def mortal(*given: Any, **more: Any) -> Any:
        nonlocal left
        left -= 1
        if left == 0 and moment == "before":
            raise Killed
        answer = await send(*given, **more)
        if left == 0:
            raise Killed
        return answer

    monkeypatch.setattr(http, "send", mortal)
    while (await migration(office))["state"] == "running":
        lives += 1
        left = 3 + lives
        assert lives < 20
        await office.work()
        await office.sql("UPDATE job SET state = 'waiting', lease_until = NULL WHERE state = 'running'")
        await office.sql("UPDATE file_move SET not_before = clock_timestamp()")
        for file in files:
            left = 0
            assert (await office.content(file["id"])).content == BODY, "readable all the time"
        await office.hurry("move_files")
    left = 0
    await office.hurry("delete_copy")
    await office.settle()
    assert lives > 3
    assert len(office.in_library()) == 2
    ranges = 2 * -(-len(BODY) // UNIT)
    assert len(wire.accepted) <= ranges + lives, "at most one range of each life is sent in vain"


async def test_a_cancelled_migration_leaves_the_rest_where_it_is(office: Office) -> None:
    files = await two_places(office)
    await migration(office, "POST")
    wire = office.simulator.app = Wire(office.simulator.app)

    async def cancel() -> None:
        assert (await migration(office, "DELETE"))["state"] == "cancelled"

    wire.during("PUT", "/up", cancel, done=True)
    await office.settle()
    wire.instead = None
    stands = await migration(office)
    assert (stands["state"], stands["moved_files"], stands["files"]) == ("cancelled", 0, 2)
    assert len(office.in_library()) == 1, "what was on its way is not left half"
    assert office.simulator.store.all("upload_sessions") == []
    for file in files:
        assert (await office.content(file["id"])).content == BODY
    assert (await office.admin("DELETE", "/v1/storage/migration")).status_code == 404
    await migration(office, "POST")
    await office.settle()
    assert (await migration(office))["state"] == "done"


async def test_a_move_cancelled_as_its_worker_dies_leaves_no_second_copy(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file had got its name in the new place, and nobody had noted that."""
    await two_places(office)
    await migration(office, "POST")
    http = office.service.guest("graph").http
    send = http.send

    async def mortal(request: Any, **more: Any) -> Any:
        answer = await send(request, **more)
        if request.method == "PATCH":
            await migration(office, "DELETE")
            raise Killed
        return answer

    with monkeypatch.context() as patch:
        patch.setattr(http, "send", mortal)
        await office.work()
    assert len(office.in_library()) == 2, "the one that was there, and one that is not wanted any more"
    await office.sql("UPDATE job SET state = 'waiting', lease_until = NULL WHERE state = 'running'")
    await office.hurry("move_files")
    await office.settle()
    assert (len(office.in_library()), await office.rows("file_move")) == (1, [])


@pytest.mark.parametrize(
    ("text", "says"),
    [("somebody else wrote this", "changed this file in SharePoint"), ("x" * len(BODY), "its SHA-256 differs")],
)
async def test_a_file_that_cannot_be_moved_is_named_and_the_others_go(office: Office, text: str, says: str) -> None:
    """Complaint: one locked or damaged file stops all the others."""
    files = await two_places(office)
    (path,) = office.in_library()
    await office.microsoft.do("file_put", drive="Sales", path=path, text=text)
    await migration(office, "POST")
    for _ in range(5):
        await office.settle()
        await office.hurry("move_files")
        await office.sql("UPDATE file_move SET not_before = clock_timestamp()")
    await office.settle()
    stands = await migration(office)
    assert (stands["moved_files"], [one["file_id"] for one in stands["failed"]]) == (1, [files[1]["id"]])
    assert says in stands["failed"][0]["says"]
    assert len(office.in_library()) == 2, "the file stays where it was, and no copy of what was read is left"
    assert stands["state"] == "done"
    assert (await described(office, files[0]))["place"] == "sharepoint"


async def test_a_file_deleted_while_it_moves_leaves_no_copy(office: Office) -> None:
    (file, other) = await two_places(office)
    await migration(office, "POST")
    wire = office.simulator.app = Wire(office.simulator.app)

    async def delete() -> None:
        for one in (file, other):
            assert (await office.call("DELETE", f"/v1/files/{one['id']}")).status_code == 204

    wire.during("PATCH", "/items/", delete, done=True)
    await office.settle()
    wire.instead = None
    await office.settle()
    assert (office.in_library(), await office.rows("stored_file")) == ([], [])


async def test_a_copy_that_cannot_be_deleted_is_listed_until_it_is(office: Office) -> None:
    await office.in_use()
    session = await office.store()
    await office.microsoft.do("site_revoke", site="/sites/Sales")
    assert (await office.call("DELETE", f"/v1/files/{session['file_id']}")).status_code == 204
    await office.settle()
    (left,) = (await office.admin("GET", "/v1/storage/left-copies")).json()["items"]
    assert "Microsoft says" in left["says"]
    assert (await office.admin("GET", "/v1/storage/left-copies", org="globex")).json()["items"] == []
    await office.microsoft.do("site_grant", site="/sites/Sales", role="write")
    await office.hurry("delete_copy")
    await office.settle()
    assert (office.in_library(), await office.rows("left_copy")) == ([], [])


async def test_what_a_sender_left_behind_is_swept(office: Office) -> None:
    await office.in_use()
    gone, going_on = [(await office.begin(key)).json() for key in ("gone", "going on")]
    for session in (gone, going_on):
        await office.send(session)
    await office.microsoft.do("file_put", drive="Sales", path="Recordings/_uploading/of somebody.txt", text="theirs")
    await office.sql("DELETE FROM stored_file WHERE id = :id", id=gone["file_id"])
    assert len(office.in_library()) == 3
    office.service.settings.unfinished_upload_keep_s = 0
    await office.hurry("look_at_location")
    await office.settle()
    names = sorted(path.rpartition("/")[2] for path in office.in_library())
    assert names == sorted([f"{going_on['file_id']}.1.part", "of somebody.txt"])
    assert (await office.complete(going_on)).status_code == 200


async def test_nothing_moves_without_a_place_and_for_another_organisation(office: Office) -> None:
    await office.tenant(on=True)
    await uploaded(office)
    answer = await office.admin("POST", "/v1/storage/migration")
    assert (answer.status_code, answer.json()["code"]) == (409, "no_place_in_use")
    await office.in_use()
    await office.tenant(on=True, connected=False)
    assert (await office.admin("POST", "/v1/storage/migration")).status_code == 409
    await office.tenant(on=True, tid=CONTOSO)
    assert (await migration(office, "POST"))["files"] == 1
    other = await office.admin("GET", "/v1/storage/migration", org="globex")
    assert (other.json()["state"], other.json()["files"]) == ("none", 0)
