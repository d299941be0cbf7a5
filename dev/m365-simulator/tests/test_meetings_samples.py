"""The requests that Microsoft's pages show about events, meetings and artefacts, replayed against the simulator.

The world is prepared from the request itself: whoever and whatever its URL names is put there first, placeholders are
filled in, and tokens of links are replaced by ones that were given here.
"""

import re
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import httpx
import pytest

from m365_simulator.directory import CONTOSO
from m365_simulator.outlook import calendar_items
from m365_simulator.schema import properties
from m365_simulator.teams.online import plain
from shared.testing.samples import Sample, samples

TOPICS = [
    "create event",
    "filter onlineMeeting",
    "onlineMeeting",
    "callRecording",
    "callTranscript",
    "getAll",
    "message and event delta",
]
OURS = re.compile(r"/(events|calendar\w*|onlineMeetings)\b", re.IGNORECASE)
GUID = "5e72c0de-d251-43ec-868c-373270400001"
KINDS = {"event": "graph.event", "online": "graph.onlineMeeting"}
KINDS |= {"recordings": "graph.callRecording", "transcripts": "graph.callTranscript"}
TOKEN = re.compile(r"(?<=[?&])(\$?(?:deltatoken|skiptoken))=[^&]*", re.IGNORECASE)
ROLES = "Calendars.ReadWrite OnlineMeetings.ReadWrite.All OnlineMeetings.Read.All"
SCOPES = "Calendars.ReadWrite OnlineMeetings.ReadWrite"
ARTEFACTS = "OnlineMeetingRecording.Read.All OnlineMeetingTranscript.Read.All"


class Replay:
    """One sample's request, and the world it needs."""

    def __init__(self, world: Any, sample: Sample) -> None:
        self.world, self.store, self.request = world, world.simulator.store, sample.request
        self.path = self._filled(str(self.request["url"]))
        named = re.search(r"/users/([^/?]+)", self.path)
        self.user = self._person(named[1] if named else GUID)
        self.meeting: dict[str, Any] | None = None
        self.kind = self._kind()

    def _filled(self, url: str) -> str:
        url = re.sub(r"^https?://[^/]+", "", url).replace("<", "{").replace(">", "}")
        organizer = re.search(r"meetingOrganizerUserId='([0-9a-f-]{36})'", url)
        who = organizer[1] if organizer else GUID
        url = re.sub(r"\('?\{[^}]*\}'?\)|/\{user[^}]*\}|/\{id[^}]*\}(?=/(?:onlineM|events|calendar))", f"/{who}", url)
        url = re.sub(r"=('?)\{user[^}]*\}('?)", rf"=\g<1>{who}\g<2>", url)
        return re.sub(r"\{+-*(\w+)[^}]*\}+", r"\1-value", url)

    def _person(self, name: str) -> dict[str, Any]:
        key = name if "@" not in name else GUID
        row = {"id": key, "tenant": CONTOSO, "address": name if "@" in name else f"{key}@contoso.example"}
        row |= {"name": "Megan Bowen", "admin": False, "mailbox": True}
        found: dict[str, Any] = self.store.put("users", key, row)
        return found

    def _kind(self) -> str:
        for word in ("transcripts", "recordings"):
            if re.search(rf"/(getAll)?{word}\b", self.path, re.IGNORECASE):
                return word
        return "online" if "onlinemeetings" in self.path.lower() else "event"

    async def prepare(self) -> None:
        self._event()
        meeting = re.search(r"/onlineMeetings/(?!getAll|createOrGet|\?)([^/?]+)", self.path, re.IGNORECASE)
        filtered = dict(parse_qsl(urlsplit(self.path).query)).get("$filter", "")
        value = re.search(r"eq '(.*)'", filtered)
        if meeting or filtered or "getAll" in self.path:
            self._meeting(unquote(meeting[1]) if meeting else GUID, filtered.lower(), value[1] if value else "")
        if TOKEN.search(self.path):
            await self._token()
        item = re.search(r"/(?:recordings|transcripts)/([^/?]+)", self.path)
        if self.kind in ("recordings", "transcripts"):
            await self._artefact(unquote(item[1]) if item else None)

    def _event(self) -> None:
        named = re.search(r"/events/([^/?]+)", self.path, re.IGNORECASE)
        times = {name: {"dateTime": f"2016-12-25T0{hour}:00:00", "timeZone": "UTC"} for name, hour in self._hours()}
        row = calendar_items.create(self.world.simulator, self.user, {"subject": "Attend service", **times})
        if named:
            self.store.delete("events", row["id"])
            row["id"] = unquote(named[1])
            online = {"isOnlineMeeting": True, "onlineMeetingProvider": "teamsForBusiness"}
            self.store.put("events", row["id"], row)
            if self.request["method"] == "GET":
                calendar_items.change(self.world.simulator, {**row, "organizer": True, "master": None}, online)

    def _hours(self) -> list[tuple[str, int]]:
        return [("start", 6), ("end", 7)]

    def _meeting(self, key: str, filtered: str, value: str) -> None:
        body = {"subject": "Review", "isOnlineMeeting": True}
        body |= {name: {"dateTime": f"2026-10-25T0{hour}:00:00", "timeZone": "UTC"} for name, hour in self._hours()}
        event = calendar_items.create(self.world.simulator, self.user, body)
        row = self.store.delete("meetings", event["meeting"]) or {}
        row["id"] = key
        if "joinweburl" in filtered:
            row["join_url"] = plain(value)
        elif "joinmeetingid" in filtered:
            row["join_id"] = value
        elif "videoteleconferenceid" in filtered:
            row["vtc"] = value
        event["meeting"] = key
        self.meeting = self.store.put("meetings", key, row)

    async def _artefact(self, key: str | None) -> None:
        assert self.meeting is not None
        control = self.world.control
        await control.do("meeting_starts", meeting=self.meeting["id"], people=[self.user["id"]])
        await control.do("recording_starts", meeting=self.meeting["id"])
        await control.advance(60)
        await control.let_meeting_happen(self.meeting["id"])
        (row,) = [row for row in self.store.all("artefacts") if row["kind"] == self.kind]
        function = re.search(r"startDateTime=([^,)]+)", self.path)
        if function:
            row["createdDateTime"] = function[1]
        if key is not None:
            self.store.delete("artefacts", row["id"])
            row["id"] = key
        self.store.put("artefacts", row["id"], row)

    async def _token(self) -> None:
        """A link's token as it was given here, in place of the page's."""
        base = urlsplit(self.path).path
        window = {} if "getAll" in base else {"startDateTime": "2016-12-01", "endDateTime": "2017-01-31"}
        first = await self.client().get(base, params=window)
        link = str(first.json().get("@odata.deltaLink") or first.json()["@odata.nextLink"])
        self.path = urlsplit(link)._replace(scheme="", netloc="").geturl()
        self._event()

    def client(self) -> httpx.AsyncClient:
        own = "/me/" in self.path
        user = self.user["address"]
        token = (
            self.world.token(user, f"{SCOPES} {ARTEFACTS}")
            if own
            else self.world.app_token(CONTOSO, f"{ROLES} {ARTEFACTS}")
        )
        found: httpx.AsyncClient = self.world.http
        found.headers["Authorization"] = f"Bearer {token}"
        return found

    async def send(self) -> httpx.Response:
        headers = {name: value for name, value in (self.request.get("headers") or {}).items() if value}
        headers = {name: value for name, value in headers.items() if name.lower() in ("prefer", "accept")}
        body = self.request.get("body")
        more = {"json": body} if isinstance(body, dict | list) else {}
        return await self.client().request(self.request["method"], self.path, headers=headers, **more)


def differences(ours: Any, theirs: Any, known: set[str] | None, place: str = "") -> list[str]:
    """Where both have a value and the two are of different JSON types; nothing is said where either has none."""
    if ours is None or theirs is None:
        return []
    if isinstance(ours, bool) != isinstance(theirs, bool) or not isinstance(ours, _like(theirs)):
        return [f"{place}: {type(ours).__name__} is not {type(theirs).__name__}"]
    found: list[str] = []
    if isinstance(theirs, dict):
        for key in set(theirs) & set(ours):
            if known is None or key in known or key.startswith("@"):
                found += differences(ours[key], theirs[key], None, f"{place}/{key}")
    elif isinstance(theirs, list) and theirs and ours:
        found += differences(ours[0], theirs[0], known, f"{place}[]")
    return found


def _like(value: Any) -> type | tuple[type, ...]:
    return (int, float) if isinstance(value, int | float) and not isinstance(value, bool) else type(value)


def entities(body: Any) -> list[dict[str, Any]]:
    """The items of a page, or the one entity."""
    value = body.get("value", body) if isinstance(body, dict) else []
    found = value if isinstance(value, list) else [value]
    return [one for one in found if isinstance(one, dict) and "@removed" not in one]


def chosen(topics: list[str]) -> list[Any]:
    found = []
    for parameter in samples(*topics, requests=True):
        sample = parameter.values[0]
        if sample is None or OURS.search(str(sample.request.get("url") or "")):
            found.append(parameter)
    return found


@pytest.mark.parametrize("sample", chosen(TOPICS))
async def test_what_a_page_shows_is_accepted_and_answered_in_its_shape(make_world: Any, sample: Sample) -> None:
    replay = Replay(make_world(frozen_at="2026-11-01T09:00:00Z"), sample)
    await replay.prepare()
    answer = await replay.send()
    status, theirs = sample.response.get("status"), sample.response.get("body")
    redirect = replay.path.endswith("/content") and answer.status_code == 302
    assert redirect or status is None or answer.status_code == status, answer.text
    if not isinstance(theirs, dict):
        return
    ours = answer.json()
    known = set(properties(KINDS[replay.kind]))
    assert bool(entities(ours)) >= bool(entities(theirs))
    for one, other in zip(entities(ours), entities(theirs), strict=False):
        assert differences(one, other, known) == []
        shown = {key for key in other if key in known}
        assert len(shown & set(one)) * 2 >= len(shown), sorted(shown - set(one))
    assert isinstance(ours.get("value"), list) >= isinstance(theirs.get("value"), list)
    if "@odata.deltaLink" in theirs:
        assert {"@odata.deltaLink", "@odata.nextLink"} & set(ours)


def test_values_of_another_type_are_told_apart() -> None:
    assert differences({"a": 1}, {"a": "1"}, {"a"}) == ["/a: int is not str"]
    assert differences({"a": True}, {"a": 1}, {"a"}) == ["/a: bool is not int"]
    assert differences({"a": [{"b": {}}]}, {"a": [{"b": []}]}, None) == ["/a[]/b: dict is not list"]
    assert differences({"a": None, "b": 1}, {"a": {}, "b": 2.5}, None) == []
