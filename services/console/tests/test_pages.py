"""Every page in every state that the APIs can answer, read over HTTP."""

import httpx
import pytest

from services.console.tests.accounts import connection
from services.console.tests.bookings import CONNECTED, FORM, ID, RICH, meeting
from services.console.tests.harness import Site
from services.console.tests.letters import BODY_STATES
from services.console.tests.states import STATES, State, problem, tenant


def opened(site: Site, state: State) -> httpx.Response:
    site.apis.answers, site.person = state.answers, state.person
    with site.client() as browser:
        return browser.get(state.page) if state.post is None else browser.post(state.page, data=state.post)


@pytest.mark.parametrize("state", (STATES | BODY_STATES).values(), ids=STATES | BODY_STATES)
def test_each_state_of_each_page_says_what_is_so_and_what_to_do(site: Site, state: State) -> None:
    answer = opened(site, state)
    assert answer.status_code == state.status
    text = " ".join(answer.text.split())
    for words in state.says:
        assert words in text
    for words in state.silent:
        assert words not in text
    assert text.count("<h1") == 1


def test_a_service_that_cannot_be_reached_is_named_with_a_way_to_try_again(open_site) -> None:  # type: ignore[no-untyped-def]
    site = open_site(internal_url="http://localhost:1/{service}")
    with site.client() as browser:
        answer = browser.get("/meetings")
        assert answer.status_code == 503
        assert "The service meetings cannot be reached" in answer.text
        assert answer.headers["X-Request-Id"] in answer.text
        assert browser.get("/").status_code == 200


def test_the_request_id_travels_to_the_service(site: Site) -> None:
    site.apis.answers = {"/v1/meetings": {"items": []}}
    with site.client() as browser:
        answer = browser.get("/meetings", headers={"X-Request-Id": "abc-1"})
    assert answer.headers["X-Request-Id"] == "abc-1"
    assert site.apis.calls[0].headers["x-request-id"] == "abc-1"


def test_a_switch_sends_the_etag_it_was_shown_with(site: Site) -> None:
    site.apis.answers = CONNECTED | {"PATCH /v1/tenant/features": {}}
    with site.client() as browser:
        answer = browser.post(
            "/connectors/microsoft365/features", data={"feature": "outlook_email", "on": "false", "etag": '"7"'}
        )
    assert answer.headers["location"] == "/connectors/microsoft365?switched=outlook_email#feature-outlook_email"
    (sent,) = site.apis.sent("PATCH")
    assert (sent.body, sent.headers["if-match"]) == ({"outlook_email": False}, '"7"')


def test_a_meeting_is_scheduled_in_the_chosen_zone_with_the_forms_key(site: Site) -> None:
    site.apis.answers = CONNECTED | {"POST /v1/meetings": (201, meeting("scheduled"))}
    people = "ben@contoso.example, Ann Bee <ann@x.example>\ncarl@x.example dana@x.example"
    with site.client() as browser:
        answer = browser.post("/meetings", data=FORM | {"attendees": people, "start": "2026-07-04T10:00"})
    assert answer.headers["location"] == f"/meetings/{ID}"
    (sent,) = site.apis.sent("POST")
    assert sent.headers["idempotency-key"] == ID
    assert sent.body == {
        "subject": "Offer <b>",
        "start": "2026-07-04T10:00:00+02:00",
        "end": "2026-07-04T10:30:00+02:00",
        "attendees": [
            {"email": "ben@contoso.example"},
            {"email": "ann@x.example", "name": "Ann Bee"},
            {"email": "carl@x.example"},
            {"email": "dana@x.example"},
        ],
        "time_zone": "Europe/Berlin",
        "body": "",
        "auto_recording": True,
    }


def test_a_meeting_over_a_change_of_clocks_is_as_long_as_was_typed(site: Site) -> None:
    site.apis.answers = CONNECTED | {"POST /v1/meetings": (201, meeting("scheduled"))}
    with site.client() as browser:
        browser.post("/meetings", data=FORM | {"start": "2026-03-29T01:30", "minutes": "120"})
        too_far = browser.post("/meetings", data=FORM | {"start": "9999-12-31T23:50"})
    (sent,) = site.apis.sent("POST")
    assert (sent.body["start"], sent.body["end"]) == ("2026-03-29T01:30:00+01:00", "2026-03-29T04:30:00+02:00")
    assert (too_far.status_code, "lies less far away" in too_far.text) == (422, True)


def test_a_series_is_scheduled_with_all_that_was_chosen(site: Site) -> None:
    site.apis.answers = CONNECTED | {"POST /v1/meetings/series": (201, {"id": ID})}
    chosen = {
        "every": "month",
        "until": "2026-12-31",
        "lobby": "invited",
        "presenters": "organizer",
        "no_recording": "on",
    }
    with site.client() as browser:
        answer = browser.post(
            "/meetings", data=FORM | chosen | {"optional": "eve@x.example", "body": " Plans\r\nMore "}
        )
    assert answer.headers["location"] == f"/meetings/series/{ID}"
    (sent,) = site.apis.sent("POST")
    assert sent.body["repeats"] == {"every": "month", "until": "2026-12-31"}
    assert sent.body["attendees"][1] == {"email": "eve@x.example", "type": "optional"}
    about = {name: sent.body[name] for name in ("lobby", "presenters", "auto_recording", "body")}
    assert about == {"lobby": "invited", "presenters": "organizer", "auto_recording": False, "body": "Plans\nMore"}


def test_a_change_goes_with_the_version_that_the_form_was_opened_with(site: Site) -> None:
    site.apis.answers = CONNECTED | {f"/v1/meetings/{ID}": meeting("scheduled", **RICH)}
    with site.client() as browser:
        assert 'name="etag" value="&#34;7&#34;"' in browser.get(f"/meetings/{ID}/reschedule").text
        browser.post(f"/meetings/{ID}/reschedule", data=FORM | {"etag": '"5"', "rooms": "room@x.example"})
    (sent,) = site.apis.sent("PATCH")
    assert sent.headers["if-match"] == '"5"'
    assert {"email": "room@x.example", "type": "resource"} in sent.body["attendees"]
    assert not {"lobby", "presenters", "auto_recording", "repeats"} & sent.body.keys(), "those are the series'"


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("start", "2026-03-29T02:30", "The clocks in Europe/Berlin skip this time."),
        ("start", "", "Give the date and time"),
        ("minutes", "1801", "Give the length in minutes"),
        ("time_zone", "Moon/Crater", "Choose a time zone"),
        ("attendees", "a@b@c", "is no e-mail address"),
        ("subject", "", "Give the meeting a subject"),
    ],
)
def test_what_cannot_be_a_meeting_is_said_beside_its_field_and_not_sent(
    site: Site, field: str, value: str, said: str
) -> None:
    site.apis.answers = CONNECTED
    with site.client() as browser:
        answer = browser.post("/meetings", data=FORM | {field: value})
    assert answer.status_code == 422
    assert answer.text.count(said) == 2
    assert f'aria-describedby="{field}-fault' in answer.text
    assert site.apis.sent("POST") == []


def test_the_apis_own_refusal_of_a_field_is_shown_beside_it(site: Site) -> None:
    refusal = {"detail": "Mend these.", "code": "invalid_request"}
    refusal |= {
        "errors": [{"field": "attendees.0.email", "message": "Too odd."}, {"field": "end", "message": "Too late."}]
    }
    site.apis.answers = CONNECTED | {"POST /v1/meetings": (422, refusal)}
    with site.client() as browser:
        text = browser.post("/meetings", data=FORM).text
    assert 'id="attendees-fault"' in text
    assert 'id="minutes-fault"' in text


def test_a_key_that_was_used_for_other_contents_is_replaced(site: Site) -> None:
    site.apis.answers = CONNECTED | {"POST /v1/meetings": (409, {"code": "idempotency_key_reused", "detail": "Used."})}
    with site.client() as browser:
        text = browser.post("/meetings", data=FORM).text
    assert f'name="key" value="{ID}"' not in text
    assert "sending it now makes a second meeting" in text


def test_when_the_service_was_away_the_form_keeps_its_key(site: Site) -> None:
    site.apis.answers = CONNECTED | {"POST /v1/meetings": (503, {"detail": "Away."})}
    with site.client() as browser:
        answer = browser.post("/meetings", data=FORM)
    assert answer.status_code == 503
    assert f'name="key" value="{ID}"' in answer.text


def test_a_booking_before_user_state_arrived_is_retried_with_its_key(site: Site) -> None:
    answers = iter([problem("account_not_connected", "Not connected.")] * 2 + [(201, meeting("scheduled"))])
    site.apis.answers = CONNECTED | {"POST /v1/meetings": lambda: next(answers)}
    with site.client() as browser:
        assert browser.post("/meetings", data=FORM).headers["location"] == f"/meetings/{ID}"
    assert [call.headers["idempotency-key"] for call in site.apis.sent("POST")] == [ID, ID, ID]


def test_connect_now_before_the_news_of_the_tenant_arrived_is_tried_again(site: Site) -> None:
    started = {"authorize_url": "http://localhost:8367/authorize", "browser_key": "k"}
    answers = iter([problem("tenant_not_connected", "Not connected."), (201, started)])
    site.apis.answers = CONNECTED | {"POST /v1/connection/sign-in": lambda: next(answers)}
    with site.client() as browser:
        answer = browser.post("/integrations/microsoft/connect", data={"return_to": "/meetings/new"})
    assert answer.headers["location"] == started["authorize_url"]


def test_a_booking_without_a_connection_is_refused_at_once(site: Site) -> None:
    site.apis.answers = {"/v1/tenant": tenant("connected"), "/v1/connection": connection("not_connected")}
    site.apis.answers["POST /v1/meetings"] = problem("account_not_connected", "Connect it first.")
    with site.client() as browser:
        assert "Connect it first." in browser.post("/meetings", data=FORM).text
    assert len(site.apis.sent("POST")) == 1


def test_rescheduling_and_cancelling_reach_the_meeting(site: Site) -> None:
    path = f"/v1/meetings/{ID}"
    site.apis.answers = CONNECTED | {path: meeting("scheduled")}
    with site.client() as browser:
        assert browser.post(f"/meetings/{ID}/reschedule", data=FORM).headers["location"] == f"/meetings/{ID}"
        assert browser.post(f"/meetings/{ID}/cancel").headers["location"] == f"/meetings/{ID}"
    assert [call.path for method in ("PATCH", "DELETE") for call in site.apis.sent(method)] == [path, path]


def test_times_are_shown_in_the_browsers_zone_with_its_name(site: Site) -> None:
    site.apis.answers = {f"/v1/meetings/{ID}": meeting("scheduled")}
    with site.client(Cookie="prospo_time_zone=Europe/Berlin") as browser:
        assert "11:00–11:30 (Europe/Berlin, UTC+01:00)" in browser.get(f"/meetings/{ID}").text
    with site.client(Cookie="prospo_time_zone=../../etc/passwd") as browser:
        assert "10:00–10:30 (UTC)" in browser.get(f"/meetings/{ID}").text


def test_a_link_that_is_not_of_the_web_is_not_offered(site: Site) -> None:
    site.apis.answers = {f"/v1/meetings/{ID}": meeting("scheduled", join_url="javascript:alert(1)")}
    with site.client() as browser:
        text = browser.get(f"/meetings/{ID}").text
    assert 'href="javascript' not in text


def test_without_a_simulator_nobody_switches_persons_or_simulates(open_site) -> None:  # type: ignore[no-untyped-def]
    site = open_site(simulator_url=None)
    site.apis.answers = {f"/v1/meetings/{ID}": meeting("scheduled")}
    with site.client() as browser:
        text = browser.get(f"/meetings/{ID}").text
    assert "/dev/persona" not in text
    assert "happen" not in text
    assert "Signed in as <strong>acme-anna</strong>" in text


def test_a_transcript_is_saved_as_a_file(site: Site) -> None:
    site.apis.answers = {f"/v1/transcripts/{ID}": {"lines": []}}
    with site.client() as browser:
        answer = browser.get(f"/transcripts/{ID}/vtt")
        assert browser.get(f"/transcripts/{ID}/exe").status_code == 404
    assert answer.headers["content-disposition"] == "attachment; filename=transcript.vtt"
    assert f"/v1/transcripts/{ID}" in [call.path for call in site.apis.calls]
