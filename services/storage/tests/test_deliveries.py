"""Files on their way into the chosen place, and what is said while it does not work."""

from datetime import date
from typing import Any

import pytest
from sqlalchemy import text

from m365_simulator.testing import Wire
from shared.graph.errors import GraphTellAdmin
from shared.privacy.erasure import Erasure, Subject

from .libraries import UNIT
from .office import BODY, SIZE, Office, hash_of


async def stopped(office: Office, key: str = "r1") -> tuple[str, str]:
    answer = await office.begin(key)
    assert answer.status_code == 503, answer.text
    state = (await office.location())["location"]
    assert (answer.json()["code"], answer.json()["detail"]) == ("storage_location_stopped", state["says"])
    assert int(answer.headers["retry-after"]) > 0
    return state["state"], state["says"]


async def test_a_file_goes_straight_to_the_place_and_is_read_from_there(office: Office) -> None:
    await office.in_use()
    session = (await office.begin()).json()
    assert (session["attempt"], session["received_bytes"], session["completed"]) == (1, 0, False)
    item = await office.send(session)
    assert (await office.complete(session, item_id=item["id"])).json() == {
        "file_id": session["file_id"],
        "size_bytes": SIZE,
    }
    assert (await office.complete(session)).status_code == 200, "said twice, done once"
    (path,) = office.in_library()
    assert (path[:13], path[-14:]) == ("Recordings/20", "/Review r1.mp4")
    (told,) = await office.published("file.stored")
    assert (told["file_id"], told["size_bytes"], told["path"]) == (session["file_id"], SIZE, "meetings/m1/r1.mp4")
    part = await office.content(session["file_id"], "bytes=10-19")
    assert (part.status_code, part.content) == (206, BODY[10:20])
    assert (await office.content(session["file_id"])).content == BODY
    assert (await office.begin()).json()["completed"] is True
    (listed,) = (await office.admin("GET", "/v1/storage/files")).json()["items"]
    assert (listed["name"], listed["place"], listed["state"]) == ("Review r1.mp4", "sharepoint", "stored")


async def test_another_process_goes_on_at_the_byte_and_the_address_is_sealed(office: Office) -> None:
    await office.in_use()
    session = (await office.begin()).json()
    await office.send(session, until=UNIT)
    (row,) = await office.rows("stored_file")
    secret = session["upload_url"].rpartition("/")[2].encode()
    assert row["upload"] is not None
    assert secret not in bytes(row["upload"])
    assert row["token_hash"] is None, "storage's own address takes nothing of a file that is not for it"
    again = (await office.begin()).json()
    assert (again["received_bytes"], again["attempt"], again["upload_url"]) == (UNIT, 1, session["upload_url"])
    await office.send(again)
    assert (await office.complete(again)).status_code == 200, "also when the last answer was lost"
    assert len(office.in_library()) == 1


async def test_two_processes_with_one_file_do_not_undo_each_other(office: Office) -> None:
    await office.in_use()
    wire = office.simulator.app = Wire(office.simulator.app)
    second: dict[str, Any] = {}

    async def overtake() -> None:
        second.update((await office.begin()).json())

    wire.during("POST", "createUploadSession", overtake, done=True)
    first = await office.begin()
    assert (first.status_code, first.json()["code"]) == (503, "upload_elsewhere")
    answer = await office.begin()
    assert answer.status_code == 200, (answer.text, second)
    again = answer.json()
    assert (again["attempt"], again["upload_url"]) == (second["attempt"], second["upload_url"]) != (1, None)


async def test_what_is_not_what_was_hashed_is_sent_again_and_given_up(office: Office) -> None:
    await office.in_use()
    for attempt in (1, 2, 3):
        session = (await office.begin()).json()
        assert (session["attempt"], session["received_bytes"]) == (attempt, 0)
        await office.send(session)
        answer = await office.complete(session, quick_xor_hash=hash_of(b"other"))
        assert (answer.status_code, answer.json()["code"]) == ((503, "not_whole") if attempt < 3 else (422, "damaged"))
    assert office.in_library() == []
    assert await office.published("file.stored") == []


async def test_a_file_is_not_whole_before_all_its_bytes_are_there(office: Office) -> None:
    await office.in_use()
    session = (await office.begin()).json()
    await office.send(session, until=UNIT)
    answer = await office.complete(session)
    assert (answer.status_code, answer.json()["code"]) == (503, "not_whole")
    assert office.in_library() == []


async def test_another_organisation_completes_and_reads_nothing(office: Office) -> None:
    await office.in_use()
    session = (await office.begin()).json()
    item = await office.send(session)
    answer = await office.complete(session, org_id="globex", item_id=item["id"])
    assert (answer.status_code, answer.json()["code"]) == (404, "upload_not_found")
    await office.complete(session)
    for who in ({"org": "globex"}, {"user": "bo"}):
        assert (await office.call("GET", f"/v1/files/{session['file_id']}/content", **who)).status_code == 404
    listed = await office.admin("GET", "/v1/storage/files", org="globex")
    assert listed.json()["items"] == []


@pytest.mark.parametrize("trouble", ["withdrawn", "read only", "full", "deleted"])
async def test_a_place_that_stops_working_is_said_and_files_follow(office: Office, trouble: str) -> None:
    await office.in_use()
    session = (await office.begin()).json()
    await office.send(session, until=UNIT)
    acts = {"withdrawn": _withdraw, "read only": _lower, "full": _fill, "deleted": _delete}
    await acts[trouble](office, session)
    state, says = await stopped(office, "r2")
    assert state == {"full": "full", "deleted": "gone"}.get(trouble, "no_access")
    assert "follow by themselves" in says
    assert (await office.location())["waiting"] == 2
    await _mend(office, trouble)
    if trouble != "deleted":  # choosing again is a look
        assert (await stopped(office))[0] == state, "Microsoft is not asked for each file"
        await office.hurry("look_at_location")
        await office.settle()
    assert (await office.location())["location"]["state"] == "works"
    again = (await office.begin()).json()
    await office.send(again)
    assert (await office.complete(again)).status_code == 200
    assert len(office.in_library()) == 1


async def _withdraw(office: Office, _session: Any) -> None:
    await office.microsoft.do("site_revoke", site="/sites/Sales")


async def _lower(office: Office, session: Any) -> None:
    await _withdraw(office, session)
    await office.microsoft.do("site_grant", site="/sites/Sales", role="read")


async def _fill(office: Office, session: Any) -> None:
    await office.microsoft.do("quota_set", drive="Sales", free=0)
    refused = await office.begin(trouble={"attempt": session["attempt"], "status": 507})
    assert refused.json()["code"] == "storage_location_stopped"


async def _delete(office: Office, _session: Any) -> None:
    await office.microsoft.do("file_delete", drive="Sales", path="Recordings")


async def _mend(office: Office, trouble: str) -> None:
    if trouble in {"withdrawn", "read only"}:
        await office.microsoft.do("site_grant", site="/sites/Sales", role="write")
    elif trouble == "full":
        await office.microsoft.do("quota_set", drive="Sales", free=1 << 30)
    else:
        await office.microsoft.do("file_put", drive="Sales", path="Recordings/read me.txt", text="not ours")
        assert (await office.choose())["chosen"]


async def test_switched_off_new_files_stay_here_and_old_ones_are_readable(office: Office) -> None:
    await office.in_use()
    stored = await office.store("old")
    half = (await office.begin("half")).json()
    await office.send(half, until=UNIT)
    await office.tenant(on=False)
    moved = (await office.begin("half")).json()
    assert ("attempt" in moved, moved["received_bytes"], moved["file_id"]) == (False, 0, half["file_id"])
    path = "/v1" + moved["upload_url"].partition("/v1")[2]
    whole = await office.http.put(path, content=BODY, headers={"Content-Range": f"bytes 0-{SIZE - 1}/{SIZE}"})
    assert whole.status_code == 201
    for file in (stored, half):
        assert (await office.content(file["file_id"])).content == BODY
    assert len(office.in_library()) == 1
    assert office.simulator.store.all("upload_sessions") == []
    places = {one["id"]: one["place"] for one in (await office.admin("GET", "/v1/storage/files")).json()["items"]}
    assert places == {stored["file_id"]: "sharepoint", half["file_id"]: "prospo"}


async def test_a_disconnect_keeps_what_is_stored_and_says_where_it_is(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    await office.in_use()
    stored = await office.store()
    await office.tenant(on=True, connected=False)

    async def refuse(_org_id: str, **_asked: object) -> None:
        raise GraphTellAdmin("Your organisation is not connected to Microsoft 365.", 409, "tenant_not_connected")

    with monkeypatch.context() as patch:
        patch.setattr(office.service.guest("graph").tokens, "app_token", refuse)
        answer = await office.content(stored["file_id"])
        assert (answer.status_code, answer.json()["code"]) == (409, "tenant_not_connected")
        assert answer.json()["detail"].startswith("This file is in SharePoint, as Review r1.mp4. Your organisation is")
    shown = await office.location()
    assert (shown["in_use"], shown["location"]["name"].endswith("Recordings"), shown["files"]) == (False, True, 1)
    assert "attempt" not in (await office.begin("r2")).json(), "new files stay in Prospo's own storage"
    await office.tenant(on=True)
    assert (await office.content(stored["file_id"])).content == BODY


async def test_a_range_that_sharepoint_does_not_take_begins_the_file_anew(office: Office) -> None:
    await office.in_use()
    session = (await office.begin()).json()
    again = (await office.begin(trouble={"attempt": 1, "status": 400})).json()
    assert (again["attempt"], again["received_bytes"]) == (2, 0)
    assert again["upload_url"] != session["upload_url"]
    late = (await office.begin(trouble={"attempt": 1, "status": 400})).json()
    assert late["attempt"] == 2, "of a former attempt it says nothing"


@pytest.mark.parametrize(
    ("happens", "status", "code"),
    [
        ("deleted", 404, "file_gone"),
        ("changed", 409, "file_changed"),
        ("changed, of the same size", 409, "file_changed"),
        ("infected", 409, "file_infected"),
    ],
)
async def test_what_people_did_to_a_file_in_sharepoint_is_said(
    office: Office, happens: str, status: int, code: str
) -> None:
    """Complaint: a file with malware is an error without a reason."""
    await office.in_use()
    session = await office.store()
    (path,) = office.in_library()
    if happens == "deleted":
        await office.microsoft.do("file_delete", drive="Sales", path=path)
    elif happens == "infected":
        await office.microsoft.do("file_infect", drive="Sales", path=path, virus="Test:Worm")
    else:
        text = "shorter" if happens == "changed" else "x" * len(BODY)
        await office.microsoft.do("file_put", drive="Sales", path=path, text=text)
    answer = await office.content(session["file_id"])
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_a_file_that_somebody_has_open_waits_and_names_them(office: Office) -> None:
    """Complaint: one locked file ends the run, and nobody says who has it open."""
    await office.in_use()
    session = (await office.begin()).json()
    item = await office.send(session)
    (path,) = office.in_library()
    await office.microsoft.do("file_lock", drive="Sales", path=path, by="ben@contoso.example")
    for _ in range(2):
        answer = await office.complete(session, item_id=item["id"])
        assert (answer.status_code, answer.json()["code"]) == (503, "sharepoint_refuses")
        assert "Somebody has it open" in answer.json()["detail"]
        assert "ben@contoso.example" in answer.json()["detail"]
        assert int(answer.headers["retry-after"]) > 0
    await office.store("r2")
    assert (await office.location())["location"]["state"] == "works"
    await office.microsoft.do("file_unlock", drive="Sales", path=path)
    assert (await office.complete(session, item_id=item["id"])).status_code == 200
    assert [path.rpartition("/")[2] for path in office.in_library()] == ["Review r1.mp4", "Review r2.mp4"]


async def test_what_somebody_made_of_a_file_is_not_hashed_as_the_file(office: Office) -> None:
    """Its sender did not say the SHA-256, and the change is of the same size: the hash of what was published tells."""
    await office.in_use()
    await office.store()
    (path,) = office.in_library()
    await office.microsoft.do("file_put", drive="Sales", path=path, text="x" * len(BODY))
    await office.settle()
    (row,) = await office.rows("stored_file")
    assert (row["sha256"], row["quick_xor"]) == (None, hash_of(BODY))
    assert await office.jobs("hash_file") == []


async def test_a_folder_that_people_rename_is_still_the_place(office: Office) -> None:
    await office.in_use()
    (row,) = await office.rows("location")
    caller = office.service.guest("graph").as_app("acme")
    await caller.patch(f"/drives/{row['drive_id']}/items/{row['folder_id']}", {"name": "Films"})
    await office.hurry("look_at_location")
    await office.settle()
    assert (await office.location())["location"]["name"] == "Sales › Shared Documents › Films"
    assert (await office.published("storage.location_selected"))[-1]["aggregate_version"] == 2
    await office.store()
    assert office.in_library()[0].startswith("Films/20")
    await office.microsoft.do("file_put", drive="Sales", path="Year 1/read me.txt", text="not ours")
    rows = all_items(office)
    above = next(one["id"] for one in rows if one["name"] == "Year 1")
    await caller.patch(f"/drives/{row['drive_id']}/items/{row['folder_id']}", {"parentReference": {"id": above}})
    await office.hurry("look_at_location")
    await office.settle()
    shown = (await office.location())["location"]
    assert shown["name"] == "Sales › Shared Documents › Year 1 › Films"
    assert shown["web_url"].endswith("/Year%201/Films")
    assert office.in_library()[0].startswith("Year 1/Films/20")


async def test_a_library_with_little_room_left_is_said_before_it_is_full(office: Office) -> None:
    await office.in_use()
    await office.microsoft.do("file_put", drive="Sales", path="other.mp4", size=9_200)
    for total, nearly in ((20_000, False), (10_000, True), (20_000, False)):
        await office.microsoft.do("quota_set", drive="Sales", total=total)
        await office.hurry("look_at_location")
        await office.settle()
        assert (await office.location())["location"]["nearly_full"] is nearly
    told = [(one["state"], one["nearly_full"]) for one in await office.published("storage.location_changed")]
    assert told == [("works", False), ("works", True), ("works", False)]


@pytest.mark.parametrize("reached", [True, False])
async def test_erasing_deletes_copies_in_sharepoint_or_names_them(
    office: Office, reached: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    await office.in_use()
    await office.store("whole")
    await office.send((await office.begin("half")).json(), until=UNIT)
    service = office.service
    if not reached:
        await office.microsoft.do("site_revoke", site="/sites/Sales")
    await Erasure("storage", service.db, service.holdings, Subject("acme", "anna"), service.provided).run(force=True)
    assert len(office.in_library()) == (0 if reached else 1)
    assert ("file.copy_left_in_sharepoint" in capsys.readouterr().out) is not reached
    assert office.simulator.store.all("upload_sessions") == []
    async with service.db.unit_of_work("acme") as work:
        assert (await work.session.execute(text("SELECT 1 FROM stored_file"))).first() is None


async def test_one_recording_is_one_version_in_the_library(office: Office) -> None:
    """Complaint: a time that was set after the upload made a second version, and doubled the room it takes."""
    await office.in_use()
    wire = office.simulator.app = Wire(office.simulator.app)
    await office.store()
    (path,) = office.in_library()
    item = next(row for row in all_items(office) if row["name"] == path.rpartition("/")[2])
    assert (item["ctag"], item.get("former")) == (1, None), "written once, and nothing changed since"
    made = [(method, place) for method, place, _ in wire.requests if method in {"PUT", "PATCH", "POST"}]
    assert len([one for one in made if one[0] == "PATCH"]) == 1, "the rename"
    assert len([one for one in made if one[1].endswith("createUploadSession")]) == 1


async def test_recordings_are_in_folders_by_month_so_libraries_stay_listable(office: Office) -> None:
    """Complaint: a folder of 100,000 files cannot be opened any more."""
    await office.in_use()
    for key, month in (("r1", "2026-01-31"), ("r2", "2026-02-01")):
        session = (await office.begin(key)).json()
        await office.sql("UPDATE stored_file SET created_at = CAST(:at AS date)", at=date.fromisoformat(month))
        await office.complete(session, item_id=(await office.send(session))["id"])
    assert office.in_library() == ["Recordings/2026/01/Review r1.mp4", "Recordings/2026/02/Review r2.mp4"]


def all_items(office: Office) -> list[dict[str, Any]]:
    drives = [row["id"] for row in office.simulator.store.all("drives")]
    return [row for drive in drives for row in office.simulator.store.all(f"items/{drive}")]
