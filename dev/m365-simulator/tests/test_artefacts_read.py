"""Reading recordings and transcripts: who may, in which forms, how the bytes come."""

import asyncio
import datetime
import json
import tracemalloc
from typing import Any

import httpx
import pytest

from m365_simulator import Simulator
from m365_simulator.client import SimulatorClient
from m365_simulator.directory import CONTOSO, FABRIKAM, find_user

ANNA, BEN, ADMIN = "anna@contoso.example", "ben@contoso.example", "admin@contoso.example"
SCOPES = "OnlineMeetings.Read OnlineMeetingRecording.Read.All OnlineMeetingTranscript.Read.All"
ROLES = "OnlineMeetings.Read.All OnlineMeetingRecording.Read.All OnlineMeetingTranscript.Read.All"
PLAIN = "application/vnd.microsoft.graph.transcript+text"


class Held:
    """A meeting of Anna and Ben that took place."""

    def __init__(self, world: Any, meeting: str) -> None:
        self.world, self.meeting = world, meeting
        store = world.simulator.store
        self.organizer = str((find_user(store, ANNA) or {})["id"])
        self.ids = {row["kind"]: str(row["id"]) for row in store.all("artefacts") if row["meeting"] == meeting}
        self.anna, self.ben = (world.graph(world.token(who, SCOPES)) for who in (ANNA, BEN))
        self.app = world.graph(world.app_token(CONTOSO, ROLES))

    def path(self, kind: str, tail: str = "", who: str = "/me") -> str:
        return f"{who}/onlineMeetings/{self.meeting}/{kind}/{self.ids[kind]}{tail}"

    async def text(self, **more: Any) -> httpx.Response:
        found: httpx.Response = await self.anna.get(self.path("transcripts", "/content"), **more)
        return found


@pytest.fixture
def world(make_world: Any) -> Any:
    return make_world(frozen_at="2026-11-01T09:00:00Z")


@pytest.fixture
async def held(world: Any) -> Held:
    meeting = await world.control.do("meeting_booked", organizer=ANNA, attendees=[BEN])
    await world.control.let_meeting_happen(meeting["id"])
    return Held(world, meeting["id"])


@pytest.mark.behaviour(32)
async def test_the_tenants_switch_closes_transcripts_and_no_recordings(held: Held) -> None:
    await held.world.control.do("tenant_change", tenant=CONTOSO, transcripts=False)
    function = f"getAllTranscripts(meetingOrganizerUserId='{held.organizer}')"
    paths = [
        f"/me/onlineMeetings/{held.meeting}/transcripts",
        *(held.path("transcripts", tail) for tail in ("", "/content", "/metadataContent")),
    ]
    answers = [await held.anna.get(path) for path in paths]
    answers += [
        await held.app.get(f"/users/{held.organizer}/onlineMeetings/{function}{tail}") for tail in ("", "/delta")
    ]
    for answer in answers:
        assert answer.status_code == 403
        assert answer.json()["error"]["innerError"]["code"] == "GraphAccessToTranscriptsDisabled"
    assert (await held.anna.get(held.path("recordings"))).status_code == 200


@pytest.mark.behaviour(32)
async def test_the_tenants_switch_refuses_to_subscribe_and_to_renew(make_world: Any) -> None:
    async def agree(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, text=request.url.params.get("validationToken", ""))

    world = make_world(outbound=httpx.AsyncClient(transport=httpx.MockTransport(agree)))
    anna = world.graph(world.token(ANNA, SCOPES))
    oid = (find_user(world.simulator.store, ANNA) or {})["id"]
    wanted = {"changeType": "created", "notificationUrl": "https://receiver.example/hook"}
    wanted |= {"resource": f"users/{oid}/onlineMeetings/getAllTranscripts"}
    wanted |= {"expirationDateTime": "2099-01-01T00:00:00Z"}
    soon = (await anna.post("/subscriptions", json=wanted)).json()["error"]["message"]
    assert "max" in soon
    in_an_hour = {"expirationDateTime": _ahead(3000)}
    made = await anna.post("/subscriptions", json=wanted | in_an_hour)
    assert made.status_code == 201, made.text
    await world.control.do("tenant_change", tenant=CONTOSO, transcripts=False)
    refused = [
        await anna.patch(f"/subscriptions/{made.json()['id']}", json={"expirationDateTime": _ahead(3400)}),
        await anna.post("/subscriptions", json=wanted | in_an_hour),
    ]
    for answer in refused:
        assert answer.json()["error"]["innerError"]["code"] == "GraphAccessToTranscriptsDisabled"


def _ahead(seconds: float) -> str:
    return (datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)).isoformat()


@pytest.mark.behaviour(32)
async def test_without_speaker_attribution_text_is_had_by_the_other_type_only(held: Held) -> None:
    assert "<v Anna Andersson>" in (await held.text(headers={"Accept": "text/vtt"})).text
    await held.world.control.do("meeting_policy", whose=CONTOSO, speaker_names=False)
    refused = await held.text(headers={"Accept": "text/vtt"})
    assert refused.status_code == 403
    assert refused.json()["error"]["innerError"]["code"] == "SpeakerAttributionNotAllowed"
    by_format = await held.text(params={"$format": PLAIN}, headers={"Accept": "text/vtt"})
    assert by_format.status_code != 200
    plain = await held.text(headers={"Accept": PLAIN})
    assert plain.headers["content-type"].startswith(PLAIN)
    assert "Hello everyone" in plain.text
    assert "<v" not in plain.text
    assert "Anna" not in plain.text
    metadata = (await held.anna.get(held.path("transcripts", "/metadataContent"))).text
    assert "Anna" not in metadata


async def test_a_transcript_is_not_had_as_a_document(held: Held) -> None:
    docx = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
    assert (await held.text(headers={"Accept": docx})).status_code == 406


@pytest.mark.behaviour(33)
@pytest.mark.parametrize(
    ("form", "has", "lacks"),
    [
        ("usual", "0:0:1.5 --> 0:0:4.25\n<v Anna Andersson>Hello everyone, shall we begin?</v>\n", "00:"),
        ("padded", "00:00:01.500 --> 00:00:04.250", "0:0:1.5"),
        ("no_names", "\nHello everyone, shall we begin?\n", "<v"),
        ("many_lines", "<v Anna Andersson>Hello\neveryone", "Hello everyone"),
        ("negative", "-0:0:1.5 --> 0:0:1.25", "0:0:4.25"),
        ("windows_lines", "WEBVTT\r\n\r\n0:0:1.5", "\n\n"),
    ],
)
async def test_transcripts_come_in_their_odd_forms(held: Held, form: str, has: str, lacks: str) -> None:
    await held.world.control.do("transcript_form", form=form, meeting=held.meeting)
    text = (await held.text()).text
    assert text.startswith("WEBVTT")
    assert has in text
    assert lacks not in text


@pytest.mark.behaviour(33)
async def test_a_transcript_may_be_empty_or_huge(held: Held) -> None:
    for form, text in (("empty", ""), ("only_header", "WEBVTT\n\n")):
        await held.world.control.do("transcript_form", form=form)
        assert (await held.text()).text == text
    await held.world.control.do("transcript_form", form="huge")
    lines = (await held.text()).text.splitlines()
    assert sum("-->" in line for line in lines) == 40_000


@pytest.mark.behaviour(33)
async def test_metadata_content_has_padded_times_and_json_cues(held: Held) -> None:
    answer = await held.anna.get(held.path("transcripts", "/metadataContent"))
    head, *blocks = answer.text.strip().split("\n\n")
    assert head == "WEBVTT"
    times, cue = blocks[0].split("\n")
    assert times == "00:00:01.500 --> 00:00:04.250"
    found = json.loads(cue)
    assert (found["speakerName"], found["spokenLanguage"]) == ("Anna Andersson", "en-us")
    assert found["startDateTime"] == "2026-11-01T09:30:01.500000Z"
    assert (await held.anna.get(held.path("recordings", "/metadataContent"))).status_code == 400


@pytest.mark.behaviour(34)
async def test_a_recording_comes_at_once_or_by_a_link_to_another_host(held: Held) -> None:
    path = held.path("recordings", "/content")
    await held.world.control.do("recording_delivery", redirect=False)
    at_once = await held.anna.get(path)
    assert (at_once.status_code, at_once.headers["content-type"]) == (200, "video/mp4")
    assert at_once.content[4:8] == b"ftyp"
    await held.world.control.do("recording_delivery", other_host=True)
    link = (await held.anna.get(path)).headers["location"]
    assert link.startswith("http://127.0.0.1:8367/download/")
    assert (await held.world.http.get(link)).content == at_once.content


@pytest.mark.behaviour(34)
async def test_the_other_host_refuses_an_authorization_header_and_it_is_found(held: Held) -> None:
    link = (await held.anna.get(held.path("recordings", "/content"))).headers["location"]
    assert await held.world.control.findings() == []
    assert (await held.anna.get(link)).status_code == 401
    (finding,) = await held.world.control.findings()
    assert finding["kind"] == "authorization_on_foreign_host"
    assert link.rpartition("/")[2] not in str(finding)


@pytest.mark.behaviour(34)
async def test_a_link_to_a_recording_expires(held: Held) -> None:
    link = (await held.anna.get(held.path("recordings", "/content"))).headers["location"]
    assert (await held.world.http.get(link)).status_code == 200
    await held.world.control.advance(3601, clock="service")
    assert (await held.world.http.get(link)).status_code == 404


@pytest.mark.behaviour(34)
@pytest.mark.parametrize("redirect", [True, False])
async def test_ranges_are_served_or_not_as_switched(held: Held, redirect: bool) -> None:
    await held.world.control.recording_size(1000)

    async def ask(ranges: bool, wanted: str) -> httpx.Response:
        await held.world.control.do("recording_delivery", redirect=redirect, ranges=ranges)
        headers = {"Range": wanted}
        answer = await held.anna.get(held.path("recordings", "/content"), headers=headers)
        if redirect:
            answer = await held.world.http.get(answer.headers["location"], headers=headers)
        return answer

    part = await ask(True, "bytes=900-")
    assert (part.status_code, part.headers["content-range"]) == (206, "bytes 900-999/1000")
    assert len(part.content) == 100
    assert (await ask(True, "bytes=1000-")).status_code == 416
    whole = await ask(False, "bytes=900-")
    assert (whole.status_code, len(whole.content), whole.headers["accept-ranges"]) == (200, 1000, "none")
    assert whole.content[900:] == part.content
    asked = [row["range"] for row in await held.world.control.calls() if row["path"].endswith(("/content", "{link}"))]
    assert asked == [one for one in ("bytes=900-", "bytes=1000-", "bytes=900-") for _ in range(1 + redirect)]


@pytest.mark.behaviour(34)
async def test_a_gigabyte_is_streamed_in_constant_memory(held: Held) -> None:
    size, read = 1 << 30, 16 << 20
    await held.world.control.recording_size(size)
    await held.world.control.do("recording_delivery", redirect=False)
    request = {"type": "http", "method": "GET", "path": f"/v1.0{held.path('recordings', '/content')}"}
    request |= {"query_string": b"", "scheme": "http", "server": ("localhost", 8367), "root_path": ""}
    token = held.anna.headers["authorization"].encode()
    request |= {
        "headers": [
            (b"host", b"localhost:8367"),
            (b"authorization", token),
            (b"range", f"bytes={size - read}-".encode()),
        ],
        "http_version": "1.1",
    }
    seen = {"bytes": 0, "most": 0}

    messages = asyncio.Queue[dict[str, Any]]()
    messages.put_nowait({"type": "http.request", "body": b"", "more_body": False})

    async def send(message: dict[str, Any]) -> None:
        seen["bytes"] += len(message.get("body", b""))
        seen["most"] = max(seen["most"], len(message.get("body", b"")))

    tracemalloc.start()
    try:
        await held.world.simulator.app(request, messages.get, send)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert seen["bytes"] == read
    assert seen["most"] <= 64 * 1024
    assert peak < 16 * 1024 * 1024


@pytest.mark.behaviour(35)
async def test_a_recordings_content_is_the_organizers_unless_the_tenant_opens_it(held: Held) -> None:
    content = held.path("recordings", "/content")
    assert (await held.ben.get(content)).status_code == 403
    assert (await held.ben.get(held.path("recordings"))).status_code == 200
    assert (await held.ben.get(held.path("transcripts", "/content"))).status_code == 200
    await held.world.control.do("meeting_policy", whose=CONTOSO, attendees_download=True)
    assert (await held.ben.get(content)).status_code == 302


@pytest.mark.behaviour(35)
async def test_who_was_not_invited_reads_neither_and_no_other_tenant_does(held: Held) -> None:
    stranger = held.world.graph(held.world.token(ADMIN, SCOPES))
    foreign = held.world.graph(held.world.app_token(FABRIKAM, ROLES))
    for kind in ("recordings", "transcripts"):
        for tail in ("", "/content"):
            assert (await stranger.get(held.path(kind, tail))).status_code == 403
            other = await foreign.get(held.path(kind, tail, f"/users/{held.organizer}"))
            assert other.status_code in (403, 404)


async def test_an_artefact_is_not_had_by_way_of_another_meeting(held: Held) -> None:
    own = await held.world.control.do("meeting_booked", organizer=ADMIN)
    graph = held.world.graph(held.world.token(ADMIN, SCOPES))
    for kind in ("recordings", "transcripts"):
        path = f"/me/onlineMeetings/{own['id']}/{kind}/{held.ids[kind]}"
        assert (await graph.get(path)).status_code == (await graph.get(f"{path}/content")).status_code == 404


@pytest.mark.parametrize("kind", ["recordings", "transcripts"])
async def test_each_kind_needs_its_own_permission(held: Held, kind: str) -> None:
    other = {"recordings": "OnlineMeetingTranscript.Read.All", "transcripts": "OnlineMeetingRecording.Read.All"}[kind]
    graph = held.world.graph(held.world.token(ANNA, f"OnlineMeetings.ReadWrite {other}"))
    for tail in ("", "/content"):
        refused = await graph.get(held.path(kind, tail))
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "Forbidden")


@pytest.mark.behaviour(35)
async def test_an_administrator_blocks_downloads_of_recordings(held: Held) -> None:
    await held.world.control.do("meeting_policy", whose=CONTOSO, downloads=False)
    assert (await held.anna.get(held.path("recordings", "/content"))).status_code == 403
    assert (await held.anna.get(held.path("recordings"))).status_code == 200
    assert (await held.anna.get(held.path("transcripts", "/content"))).status_code == 200


@pytest.mark.behaviour(35)
async def test_a_meeting_expires_sixty_days_after_its_last_end(held: Held) -> None:
    await held.world.control.advance(59 * 86400)
    assert (await held.anna.get(held.path("recordings"))).status_code == 200
    await held.world.control.advance(2 * 86400)
    for path in (held.path("recordings"), held.path("transcripts", "/content"), f"/me/onlineMeetings/{held.meeting}"):
        assert (await held.anna.get(path)).status_code == 404


@pytest.mark.behaviour(35)
async def test_a_file_that_was_deleted_is_gone_and_its_description_stays(held: Held) -> None:
    await held.world.control.do("artefact_deleted", artefact=held.ids["recordings"])
    assert (await held.anna.get(held.path("recordings", "/content"))).status_code == 404
    assert (await held.anna.get(held.path("recordings"))).status_code == 200


@pytest.mark.behaviour(35)
async def test_files_are_deleted_by_themselves_after_a_hundred_and_twenty_days(held: Held) -> None:
    meeting = held.world.simulator.store.get("meetings", held.meeting)
    meeting["slots"].append(["2027-06-01T09:00:00Z", "2027-06-01T10:00:00Z"])  # so that the meeting lives on
    meeting["comes"] = []
    held.world.simulator.store.put("meetings", held.meeting, meeting)
    await held.world.control.advance(119 * 86400)
    assert (await held.anna.get(held.path("recordings", "/content"))).status_code == 302
    await held.world.control.advance(2 * 86400)
    assert (await held.anna.get(held.path("recordings", "/content"))).status_code == 404


async def test_a_cut_download_ends_half_way_over_a_socket(simulator: Simulator, microsoft: SimulatorClient) -> None:
    simulator.store.put("downloads", "t", {"artefact": "a", "until": "2099-01-01T00:00:00Z"})
    await microsoft.recording_size(1_000_000)
    await microsoft.fault("cut_download")
    got = bytearray()
    async with httpx.AsyncClient(base_url=simulator.settings.http_base_url) as plain:
        with pytest.raises(httpx.RemoteProtocolError):  # noqa: PT012 the body ends while it is read
            async with plain.stream("GET", "/download/t") as answer:
                async for chunk in answer.aiter_bytes():
                    got += chunk
        assert 0 < len(got) < 1_000_000
        rest = await plain.get("/download/t", headers={"Range": f"bytes={len(got)}-"})
    assert len(got) + len(rest.content) == 1_000_000


@pytest.mark.parametrize("kind", ["recordings", "transcripts"])
async def test_the_organizer_of_an_artefact_is_a_person_of_teams(held: Held, kind: str) -> None:
    user = (await held.anna.get(held.path(kind))).json()["meetingOrganizer"]["user"]
    assert user == {
        "@odata.type": "#microsoft.graph.teamworkUserIdentity",
        "id": held.organizer,
        "displayName": None,
        "userIdentityType": "aadUser",
        "tenantId": CONTOSO,
    }
