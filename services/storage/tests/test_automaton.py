"""A file on its way into a SharePoint library: every fault in every phase, and a process that dies at every step."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest

from m365_simulator.files.quickxor import QuickXor as TheirHash
from shared.graph.errors import GraphFull, GraphGiveUp, GraphRetry, GraphTellAdmin
from shared.graph.upload import UploadSession
from storage.automaton import STAGING

from .libraries import BODY, CHUNK, SIZE, UNIT, Kept, Killed, Library, fresh

RANGE = {"path": "/up/*", "method": "PUT"}
PHASES: dict[str, tuple[dict[str, str], int]] = {
    "session": ({"path": "*:/createUploadSession", "method": "POST"}, 0),
    "first range": (RANGE, 0),
    "middle range": (RANGE, 1),
    "last range": (RANGE, 2),
    "standing": ({"path": "/up/*", "method": "GET"}, 0),
    "looking for the item": ({"path": f"*/{STAGING}/*.part", "method": "GET"}, 0),
    "verifying": ({"path": "/drives/*/items/01*", "method": "GET"}, 0),
    "folder": ({"path": "*:/2026*", "method": "GET"}, 0),
    "publishing": ({"path": "/drives/*/items/*", "method": "PATCH"}, 0),
}
"""Phase → which request of it a fault strikes, and how many pass before."""
ANY = {
    **{str(status): ("refused", {"status": status}) for status in (401, 403, 404, 409, 410, 412, 423, 507)},
    "429": ("throttle", {"retry_after": 0}),
    **{str(status): ("server_error", {"status": status}) for status in (500, 502, 503, 504)},
    "no answer": ("reset", {}),
    "done, then 504": ("done_but_error", {"status": 504}),
    "done, no answer": ("done_but_reset", {}),
}
OF_RANGES = {
    "413": ("refused", {"status": 413, "code": "requestEntityTooLarge"}),
    "416": ("refused", {"status": 416, "code": "invalidRange"}),
    "bytes lost": ("upload_loses_part", {"bytes": UNIT}),
}


async def prepare(library: Library, kept: Kept, phase: str) -> None:
    """A file that stands where the phase comes next: some need a process that died before."""
    if phase == "standing":
        await library.microsoft.fault("refused", status=507, skip=1, match=RANGE)
        with pytest.raises(GraphFull):
            await library.run(kept)
    if phase == "looking for the item":
        library.dies_at, library.dies_after = 4, True  # after the last range was stored
        with pytest.raises(Killed):
            await library.run(kept)


@pytest.mark.parametrize("phase", PHASES)
async def test_each_fault_in_each_phase_ends_with_one_whole_file(library: Library, phase: str) -> None:
    """The fault matrix. A file ends published once and whole, and nothing is left of it elsewhere."""
    broken: list[str] = []
    match, skip = PHASES[phase]
    for name, (fault, options) in {**ANY, **(OF_RANGES if match is RANGE else {})}.items():
        kept = fresh()
        await prepare(library, kept, phase)
        await library.microsoft.fault(fault, **options, match=match, skip=skip)
        try:
            await library.until_whole(kept)
        except AssertionError as error:
            broken.append(f"{phase} × {name}: {error}")
        left = library.simulator.store.all("faults")
        found = library.files(kept.file_id)
        if left or len(found) != 1 or not found[0].startswith("11/") or "BROKEN" in found[0]:
            broken.append(f"{phase} × {name}: {found}, not struck: {[row['name'] for row in left]}")
        await library.microsoft.clear_faults()
    assert not broken, "\n".join(broken)


LASTING = {
    "somebody has it open": (423, GraphRetry, ("publishing", "last range")),
    "no room": (507, GraphFull, ("session", "first range", "last range")),
    "the grant is withdrawn": (403, GraphTellAdmin, ("session", "verifying", "folder", "publishing")),
}


async def test_a_fault_that_lasts_is_said_and_afterwards_the_file_is_whole(library: Library) -> None:
    for says, (status, kind, phases) in LASTING.items():
        for phase in phases:
            kept = fresh()
            match, skip = PHASES[phase]
            await library.microsoft.fault("refused", status=status, times=None, match=match, skip=skip)
            for _ in range(3):
                with pytest.raises(kind) as refused:
                    await library.run(kept)
                assert refused.value.status == status, (says, phase)
            assert not [found for found in library.files(kept.file_id) if STAGING not in found]
            await library.microsoft.clear_faults()
            await library.until_whole(kept)
            assert library.files(kept.file_id) == [f"11/{kept.file_id}.mp4"], (says, phase)


@pytest.mark.parametrize("moment", ["before a request", "after a request", "at a save"])
async def test_a_process_that_dies_at_any_step_is_followed_by_one_that_goes_on(library: Library, moment: str) -> None:
    """Complaints: a crashed upload locks its name for ever, starts from zero, or is there twice."""
    for step in itertools.count(1):
        kept, sent = fresh(), len(library.wire.accepted)
        library.dies_at, library.dies_after = (0, False) if moment == "at a save" else (step, moment[0] == "a")
        kept.dies_at = step if moment == "at a save" else 0
        errors = await library.until_whole(kept)
        library.dies_at = 0
        assert library.files(kept.file_id) == [f"11/{kept.file_id}.mp4"], step
        assert len(library.wire.accepted) - sent <= 3, f"step {step}: a range that was confirmed was sent again"
        if not errors:
            break
    assert step > 6


@pytest.mark.parametrize("rule", ["at_once", "at_commit", "never"])
async def test_a_gap_that_the_rules_leave_no_range_for_begins_anew(library: Library, rule: str) -> None:
    """SharePoint lost the beginning of a short last range: it wants bytes that are no multiple of 320 KiB."""
    await library.microsoft.do("files_rules", fragment_rule=rule)
    kept = fresh()
    await library.microsoft.fault("upload_loses_part", bytes=UNIT, match=RANGE, skip=2)
    await library.run(kept)
    assert library.simulator.store.all("faults") == []
    assert library.files(kept.file_id) == [f"11/{kept.file_id}.mp4"]
    assert library.simulator.store.all("upload_sessions") == []


async def test_a_range_that_is_always_refused_ends_with_an_answer(library: Library) -> None:
    kept = fresh()
    await library.microsoft.fault("refused", status=400, code="invalidRequest", times=None, match=RANGE)
    with pytest.raises(GraphGiveUp, match="does not take the range"):
        await library.run(kept)
    assert kept.state.damaged == 3


async def test_a_last_range_whose_answer_was_lost_is_not_sent_again(library: Library) -> None:
    """Complaint: killed after the last range was stored, the upload is done all over, and there are two files."""
    kept = fresh()
    await library.microsoft.fault("done_but_reset", match=RANGE, skip=2)
    await library.run(kept)
    assert len([one for one in library.wire.requests if one[0] == "PUT"]) == 3
    assert library.files(kept.file_id) == [f"11/{kept.file_id}.mp4"]


async def test_an_address_is_not_used_to_the_end_of_its_token(library: Library) -> None:
    """Complaint: a long upload dies when the token within its address ends, and begins at that address again."""
    kept = fresh()
    await prepare(library, kept, "standing")
    old = kept.state.session
    assert old is not None
    kept.state = replace(kept.state, born_at=datetime.now(UTC) - timedelta(hours=21))
    before = len(library.wire.requests)
    await library.run(kept)
    used = [(method, path) for method, path, _ in library.wire.requests[before:] if urlsplit(old.url).path == path]
    assert used == [("DELETE", urlsplit(old.url).path)]


async def test_an_address_that_is_refused_gets_no_more_bytes(library: Library) -> None:
    """Complaint: after a 403 or 404 the rest goes to the old address."""
    for status in (403, 404, 410):
        kept = fresh()
        await prepare(library, kept, "standing")
        old = kept.state.session
        assert old is not None
        gone = {"path": urlsplit(old.url).path}
        await library.microsoft.fault("refused", status=status, times=None, match=gone)
        before = len(library.wire.requests)
        await library.until_whole(kept)
        await library.microsoft.clear_faults()
        used = {method for method, path, _ in library.wire.requests[before:] if path == gone["path"]}
        assert used == {"GET"}, status
        assert library.files(kept.file_id) == [f"11/{kept.file_id}.mp4"]


async def test_what_arrived_damaged_is_deleted_and_sent_again(library: Library) -> None:
    kept = fresh()
    await prepare(library, kept, "standing")
    session = kept.state.session
    assert session is not None
    wrong = library.source(BODY[:-1] + b"!")
    await library.graph.as_app("acme").upload(session, SIZE).send(wrong)
    assert library.files(kept.file_id) == [f"{STAGING}/{kept.file_id}.1.part BROKEN"]
    await library.until_whole(kept)
    assert (kept.state.damaged, kept.state.attempt) == (1, 2)
    assert library.files(kept.file_id) == [f"11/{kept.file_id}.mp4"]


async def test_a_file_is_never_put_in_anothers_place(library: Library) -> None:
    """Complaint: an upload without a conflict behaviour replaced a file of somebody."""
    kept = fresh()
    name = f"Prospo/2026/11/{kept.file_id}.mp4"
    theirs = await library.microsoft.do("file_put", drive="Sales", path=name, text="theirs")
    made = await library.run(kept)
    assert made["name"] == f"{kept.file_id} ({kept.file_id[:8]}).mp4"
    still = await library.microsoft.do("file_read", drive="Sales", path=name)
    assert still["hash"] == theirs["hash"]


@pytest.mark.parametrize("body", [BODY, b""])
async def test_what_stands_under_the_name_of_an_attempt_is_not_written_over(library: Library, body: bytes) -> None:
    kept = fresh()
    name = f"Prospo/{STAGING}/{kept.file_id}.1.part"
    theirs = await library.microsoft.do("file_put", drive="Sales", path=name, text="theirs")
    await library.until_whole(kept, body)
    made = await library.run(kept, body)
    assert (made["id"] != theirs["id"], made["size"]) == (True, len(body))


async def test_no_open_session_ever_has_the_name_that_people_see(library: Library) -> None:
    """Complaint: a crashed upload leaves a name that answers 409 for ever."""
    kept = fresh()
    await prepare(library, kept, "standing")
    paths = [row["path"] for row in library.simulator.store.all("upload_sessions")]
    assert paths == [[STAGING, f"{kept.file_id}.1.part"]]
    assert "UploadSession(headers" not in repr(kept.state)
    assert kept.state.session is not None
    assert kept.state.session.url not in repr(kept.state)
    assert UploadSession.of_secret(kept.state.session.secret()).url == kept.state.session.url


@pytest.mark.parametrize("size", [0, 1, UNIT, CHUNK, CHUNK + 1])
async def test_files_of_odd_sizes_arrive(library: Library, size: int) -> None:
    kept = fresh()
    await library.run(fresh(), b"the first one makes the folders")
    before = len(library.wire.requests)
    made = await library.run(kept, BODY[:size])
    hashed = TheirHash()
    hashed.update(BODY[:size])
    assert (made["size"], made["file"]["hashes"]["quickXorHash"]) == (size, hashed.digest())
    ranges = (size + CHUNK - 1) // CHUNK
    assert len(library.wire.requests) - before <= ranges + 4, "session, hash, folder, name"


async def test_a_resumed_file_reads_again_only_what_the_hash_lacks(library: Library) -> None:
    kept = fresh()
    await prepare(library, kept, "standing")
    library.read.clear()
    await library.run(kept)
    assert library.read == [CHUNK]
    lost = fresh()
    await prepare(library, lost, "standing")
    lost.hashed = None
    library.read.clear()
    await library.run(lost)
    assert library.read == [0]
    assert library.files(lost.file_id) == [f"11/{lost.file_id}.mp4"]


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ('a: b? "c" <d>|*.mp4', "a_ b_ _c_ _d___.mp4"),
        ("CON.mp4", "_CON.mp4"),
        ("..", "_"),
        ("film.", "film"),
        (" ~$film.vtt ", "_~$film.vtt"),
        ("f" * 400 + ".mp4", "f" * 124 + ".mp4"),
        ("🎬 höhe #1 50%.mp4", "🎬 höhe #1 50%.mp4"),
        ("\ud800.mp4", "_.mp4"),
    ],
)
async def test_every_name_becomes_one_that_the_library_takes(library: Library, name: str, made: str) -> None:
    """Complaint: a subject with a colon or a question mark, or CON, is a file that cannot be stored."""
    kept = fresh()
    assert (await library.run(kept, b"x", path=name.replace("{", "{{")))["name"] == made


async def test_nothing_is_left_of_an_upload_that_is_abandoned(library: Library) -> None:
    for phase in ("standing", "looking for the item"):
        kept = fresh()
        await prepare(library, kept, phase)
        upload = library.upload(kept)
        if phase != "standing":
            await upload.stand()
        await upload.abandon()
        assert library.files(kept.file_id) == []
        assert library.simulator.store.all("upload_sessions") == []
