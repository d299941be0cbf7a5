"""The first times that suit everybody: a pure function, over busy days, working hours and changes of clocks."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import httpx
import pytest

from console.free_times import Calendar, proposals
from services.console.tests.bookings import ID
from services.console.tests.free import API, ASKED, FREE_STATES, LOOK, told
from services.console.tests.free import person as person_told
from services.console.tests.harness import Site

BERLIN = ZoneInfo("Europe/Berlin")
Blocks = list[tuple[str, str, str]]


def at(text: str) -> datetime:
    """A moment in UTC of March 2030, or with the month before it."""
    month, _, rest = text.rpartition("/")
    return datetime.fromisoformat(f"2030-{month or '03'}-{rest.replace(' ', 'T')}:00+00:00")


def calendar(blocks: Blocks | None = None, hours: list[tuple[str, str]] | None = None) -> Calendar:
    spans = [(at(start), at(end), state) for start, end, state in blocks or []]
    return Calendar("p", None, spans, None if hours is None else [(at(start), at(end)) for start, end in hours])


DAY = ("05 00:00", "06 00:00")
NINE_TO_FIVE = [("05 08:00", "05 16:00")]


@pytest.mark.parametrize(
    ("people", "within", "minutes", "expected"),
    [
        ([], DAY, 60, ["05 01:00", "05 02:00", "05 03:00"]),
        ([calendar([], NINE_TO_FIVE)], DAY, 60, ["05 09:00", "05 10:00", "05 11:00"]),
        ([calendar([], NINE_TO_FIVE)], DAY, 45, ["05 09:00", "05 10:00", "05 11:00"]),
        ([calendar([], NINE_TO_FIVE)], DAY, 480, ["05 09:00"]),
        ([calendar([], NINE_TO_FIVE)], DAY, 481, []),
        ([calendar([], NINE_TO_FIVE)], ("05 08:10", "06 00:00"), 30, ["05 09:30", "05 10:00", "05 10:30"]),
        ([calendar([], NINE_TO_FIVE)], ("05 08:00", "05 09:29"), 60, ["05 09:00"]),
        ([calendar([], [])], DAY, 30, []),
        ([calendar([("05 00:00", "06 00:00", "busy")])], DAY, 30, []),
        ([calendar([("05 08:00", "05 14:30", "busy")], NINE_TO_FIVE)], DAY, 60, ["05 15:30"]),
        ([calendar([("05 08:00", "05 14:45", "tentative")], NINE_TO_FIVE)], DAY, 60, ["05 16:00"]),
        ([calendar([("05 08:00", "05 15:30", "out_of_office")], NINE_TO_FIVE)], DAY, 30, ["05 16:30"]),
        ([calendar([("05 08:00", "05 15:30", "unknown")], NINE_TO_FIVE)], DAY, 30, ["05 16:30"]),
        ([calendar([("05 08:00", "05 16:00", "working_elsewhere")], NINE_TO_FIVE)], DAY, 240, ["05 09:00", "05 13:00"]),
        ([calendar([("05 08:00", "05 16:00", "free")], [("05 15:00", "05 16:00")])], DAY, 60, ["05 16:00"]),
        (
            [calendar([], [("05 07:00", "05 10:00")]), calendar([("05 09:00", "05 09:30", "busy")], NINE_TO_FIVE)],
            DAY,
            30,
            ["05 09:00", "05 09:30", "05 10:30"],
        ),
        ([calendar([], [("05 06:00", "05 08:00")]), calendar([], NINE_TO_FIVE)], DAY, 30, []),
        ([calendar([], [("05 08:00", "05 09:00"), ("08 08:00", "08 09:00")])], ("05 00:00", "12 00:00"), 60,
         ["05 09:00", "08 09:00"]),
        # the clocks of Berlin skip 02:00 to 03:00 on 31 March, and show it twice on 27 October
        ([], ("31 00:30", "31 03:00"), 30, ["31 01:30", "31 03:00", "31 03:30"]),
        ([calendar([], [("31 00:00", "31 02:00")])], ("31 00:00", "31 03:00"), 120, ["31 01:00"]),
        ([], ("10/26 23:30", "10/27 02:00"), 30, ["27 01:30", "27 02:00", "27 02:30"]),
        ([calendar([], [("10/27 00:30", "10/27 02:30")])], ("10/27 00:00", "10/27 03:00"), 60, ["27 02:30"]),
        ([calendar([], [("10/27 01:00", "10/27 02:30")])], ("10/27 00:00", "10/27 03:00"), 30, ["27 03:00"]),
    ],
)  # fmt: skip
def test_the_first_times_that_suit_everybody_are_proposed(
    people: list[Calendar], within: tuple[str, str], minutes: int, expected: list[str]
) -> None:
    span = at(within[0]), at(within[1])
    found = proposals(people, span, timedelta(minutes=minutes), BERLIN)
    assert [f"{one:%d %H:%M}" for one in found] == expected
    assert all(one.tzinfo is BERLIN for one in found)


@pytest.mark.parametrize(("zone", "expected"), [("Asia/Kathmandu", "06:00"), ("Australia/Lord_Howe", "11:00")])
def test_half_hours_are_those_of_the_clock_in_the_zone(zone: str, expected: str) -> None:
    found = proposals([], (at("05 00:00"), at("05 02:00")), timedelta(minutes=30), ZoneInfo(zone), most=1)
    assert [f"{one:%H:%M}" for one in found] == [expected]


def test_caller_and_required_people_come_first_and_at_most_twenty(site: Site) -> None:
    many = "\n".join(f"p{number}@x.example" for number in range(20))
    site.apis.answers = told(person_told("anna@contoso.example"))
    with site.client() as browser:
        answer = browser.post(LOOK, data=ASKED | {"attendees": f"Anna@contoso.example {many}"})
    (sent,) = site.apis.sent("POST")
    assert sent.body == {
        "addresses": ["anna@contoso.example", *(f"p{number}@x.example" for number in range(19))],
        "start": "2030-03-05T00:00:00+01:00",
        "end": "2030-03-13T00:00:00+01:00",
        "time_zone": "Europe/Berlin",
    }
    assert "Not looked at: p19@x.example, eve@x.example." in answer.text


def test_a_proposed_time_goes_into_the_form_and_nothing_is_scheduled(site: Site) -> None:
    site.apis.answers = FREE_STATES["free-shown"].answers
    with site.client() as browser:
        answer = browser.post(LOOK, data=ASKED | {"take": "2030-03-05T11:30"})
    assert 'name="start" type="datetime-local" required value="2030-03-05T11:30"' in answer.text
    assert [call.path for call in site.apis.sent("POST")] == [API.split()[1]]


def test_who_is_not_signed_in_is_told_so(site: Site) -> None:
    site.apis.answers = FREE_STATES["free-shown"].answers | {
        API: (401, {"code": "not_signed_in", "detail": "Sign in."})
    }
    with site.client() as browser:
        answer: httpx.Response = browser.post(LOOK, data=ASKED)
    assert (answer.status_code, "You are not signed in" in answer.text) == (401, True)


def test_a_meeting_that_is_gone_is_said_to_be_gone(site: Site) -> None:
    site.apis.answers = told() | {f"/v1/meetings/{ID}": (404, {"code": "meeting_not_found", "detail": "Gone."})}
    with site.client() as browser:
        assert browser.post(f"/meetings/{ID}/free", data=ASKED).status_code == 404
