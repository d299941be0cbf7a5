"""An Org Admin browses teams and sites for a place for files, with a sign-in that lasts minutes."""

from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest

from m365_simulator.directory import CONTOSO
from tenant_connector.picks import SCOPES

ADMIN, ANNA, FOREIGN = "admin@contoso.example", "anna@contoso.example", "admin@fabrikam.example"
BROWSE = "/v1/tenant/browse"
Json = dict[str, Any]


@pytest.fixture
async def office(house: Any) -> Any:
    """A connected organisation with a site, and a team with three channels; its admin and anna are members."""
    await house.connect()
    await house.microsoft.do("site_add", tenant="contoso.example", name="Sales")
    await house.microsoft.do("file_put", drive="Sales", path="Recordings/2026/read me.txt", text="x")
    await house.microsoft.do("team_add", tenant="contoso.example", name="Launch", members=[ADMIN, ANNA])
    await house.microsoft.do("channel_add", team="Launch", name="Not opened")
    await house.microsoft.do(
        "channel_add", team="Launch", name="Board", membership="private", members=[ADMIN], provisioned=True
    )
    return house


async def start(house: Any, **more: Any) -> Json:
    answer = await house.call("POST", BROWSE, json={}, **more)
    assert answer.status_code == 201, answer.text
    said: Json = answer.json()
    return said


async def back(house: Any, started: Json, account: str = ADMIN, *, accept: bool = True) -> Json:
    url = await house.microsoft.sign_in(started["sign_in_url"], account, accept=accept)
    return dict(parse_qsl(urlsplit(url).query)) | {"browser_key": started["browser_key"]}


async def complete(house: Any, body: Json, **more: Any) -> Any:
    return await house.call("POST", f"{BROWSE}/complete", json=body, **more)


async def signed_in(house: Any, account: str = ADMIN) -> Json:
    body = await back(house, await start(house), account)
    answer = await complete(house, body)
    assert answer.status_code == 200, answer.text
    return body


async def places(house: Any, kind: str, of: str = "", **more: Any) -> list[Json]:
    answer = await house.call("GET", f"{BROWSE}/places", params={"kind": kind, "of": of} | more)
    assert answer.status_code == 200, answer.text
    found: list[Json] = answer.json()["items"]
    return found


async def refused(house: Any, **more: Any) -> tuple[int, str]:
    answer = await house.call("GET", f"{BROWSE}/places", **more)
    return answer.status_code, answer.json().get("code", "")


async def test_the_sign_in_asks_for_what_browsing_needs_and_for_no_refresh_token(office: Any) -> None:
    started = await start(office)
    url = urlsplit(started["sign_in_url"])
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    assert url.path == f"/{CONTOSO}/oauth2/v2.0/authorize"
    assert set(query["scope"].split()) == {"openid", "profile", *SCOPES}
    assert query["redirect_uri"] == "http://localhost:8365/connectors/microsoft365/storage/browse/callback"
    assert (query["response_mode"], query["code_challenge_method"]) == ("query", "S256")
    assert (await complete(office, await back(office, started))).status_code == 200
    assert office.simulator.store.all("refresh_tokens") == []
    consents = [row for row in office.simulator.store.all("consents") if row["tenant"] == CONTOSO]
    assert not {name for row in consents for name in row["delegated"]} & set(SCOPES), "nobody else has them"


async def test_teams_channels_sites_libraries_and_folders_are_browsed(office: Any) -> None:
    await signed_in(office)
    (team,) = await places(office, "teams")
    assert (team["name"], team["address"], team["inside"]) == ("Launch", None, "channels")
    channels = {one["name"]: one for one in await places(office, "channels", team["of"])}
    assert channels["General"]["address"].endswith("/sites/Launch/Shared%20Documents/General")
    assert channels["Board"]["address"].endswith("/sites/Launch-Board/Shared%20Documents/Board")
    assert (channels["Not opened"]["address"], channels["Not opened"]["inside"]) == (None, None)
    assert "Open its Files once in Teams" in channels["Not opened"]["says"]
    (site,) = await places(office, "sites", named="sal")
    assert (site["name"], site["address"].endswith("/sites/Sales")) == ("Sales", True)
    (library,) = await places(office, "libraries", site["of"])
    (folder,) = await places(office, "folders", library["of"])
    assert (folder["name"], folder["address"].endswith("/Shared%20Documents/Recordings")) == ("Recordings", True)
    (below,) = await places(office, "folders", folder["of"])
    assert (below["name"], await places(office, "folders", below["of"])) == ("2026", []), "a file is no place"


async def test_a_place_that_prospo_may_not_write_to_says_why(office: Any) -> None:
    await signed_in(office)
    (site,) = await places(office, "sites", named="Sales")
    (library,) = await places(office, "libraries", site["of"])
    (folder,) = await places(office, "folders", library["of"])
    assert all("its grant on this site is missing" in one["says"] for one in (site, library, folder))
    await office.microsoft.do("site_grant", site="/sites/Sales", role="write")
    for kind, of in (("sites", ""), ("libraries", site["of"]), ("folders", library["of"])):
        (found,) = await places(office, kind, of, named="Sales")
        assert found["says"] == ""


async def test_a_long_list_comes_in_pages(office: Any) -> None:
    for number in range(60):
        await office.microsoft.do("file_put", drive="Sales", path=f"Folder {number:02}/a.txt", text="x")
    await signed_in(office)
    (site,) = await places(office, "sites", named="Sales")
    (library,) = await places(office, "libraries", site["of"])
    seen, cursor, pages = [], "", 0
    while cursor is not None:
        params = {"kind": "folders", "of": library["of"]} | ({"cursor": cursor} if cursor else {})
        page = (await office.call("GET", f"{BROWSE}/places", params=params)).json()
        seen += [one["name"] for one in page["items"]]
        cursor, pages = page["next_cursor"], pages + 1
    assert (len(seen), len(set(seen)), pages) == (61, 61, 2)


async def test_the_account_sees_what_it_sees_at_microsoft(office: Any) -> None:
    """Anna is no member of the private channel, and signs in for the Org Admin ada."""
    await office.microsoft.do("policy_set", tenant="contoso.example", user_consent="allowed")
    await signed_in(office, ANNA)
    (team,) = await places(office, "teams")
    assert {one["name"] for one in await places(office, "channels", team["of"])} == {"General", "Not opened"}


async def test_the_token_is_one_persons_of_one_organisation(office: Any) -> None:
    await signed_in(office)
    assert await refused(office) == (200, "")
    assert await refused(office, user="eve") == (409, "browse_not_open")
    assert await refused(office, roles=("user",)) == (403, "org_admin_required")
    assert (await refused(office, org="globex"))[0] == 409
    await office.connect("globex")
    assert await refused(office, org="globex") == (409, "browse_not_open")
    (row,) = await office.rows("pick")
    assert (row["sealed_flow"], row["org_id"], row["user_id"]) == (None, "acme", "ada")
    assert b"eyJ" not in bytes(row["sealed_token"])


async def test_a_token_in_the_row_of_another_person_is_not_opened(office: Any) -> None:
    await signed_in(office)
    await office.sql("UPDATE pick SET user_id = 'eve'")
    assert await refused(office, user="eve") == (409, "browse_not_open")
    assert await refused(office) == (409, "browse_not_open")


async def test_a_sign_in_has_minutes_and_so_has_its_token(office: Any) -> None:
    left = "SELECT CAST(extract(epoch FROM expires_at - clock_timestamp()) AS int) AS s FROM pick"
    body = await back(office, await start(office))
    ((trip_s,),) = await office.sql(left)
    answer = (await complete(office, body)).json()
    ((token_s,),) = await office.sql(left)
    settings = office.service.settings
    assert 0 < trip_s <= settings.consent_attempt_life_s < token_s <= settings.browse_life_s == 900
    (row,) = await office.rows("pick")
    assert datetime.fromisoformat(answer["expires_at"]) == row["expires_at"]
    due = sorted(job["run_at"] for job in await office.jobs("forget_pick"))
    assert due[-1] <= row["expires_at"], "the job that forgets it"


async def test_it_is_gone_after_the_choice_with_its_time_and_with_the_connection(office: Any) -> None:
    for how in ("ended", "its time is over", "disconnected"):
        await signed_in(office)
        if how == "ended":
            assert (await office.call("DELETE", BROWSE)).status_code == 204
        elif how == "disconnected":
            await office.call("DELETE", "/v1/tenant")
        else:
            await office.sql("UPDATE pick SET expires_at = clock_timestamp()")
            assert await refused(office) == (409, "browse_not_open")
            await office.hurry("forget_pick")
            await office.work()
        assert await office.rows("pick") == [], how
        assert (await refused(office))[0] == 409
    assert (await office.call("DELETE", BROWSE)).status_code == 204, "ending it again changes nothing"


async def test_a_later_sign_in_is_not_forgotten_with_the_earlier_one(office: Any) -> None:
    await signed_in(office)
    await office.hurry("forget_pick")
    await office.work()
    assert await refused(office) == (200, "")
    (job,) = await office.jobs("forget_pick")
    assert job["state"] == "waiting"


async def test_the_way_back_is_of_one_person_and_browser_once(office: Any) -> None:
    started = await start(office)
    body = await back(office, started)
    answers = {
        "browse_unknown": await complete(office, body | {"state": "another"}),
        "browse_other_browser": await complete(office, body | {"browser_key": "another"}),
    }
    assert {code: answer.json()["code"] for code, answer in answers.items()} == {code: code for code in answers}
    assert (await complete(office, body, user="eve")).json()["code"] == "browse_unknown"
    assert (await complete(office, body, org="globex")).json()["code"] == "browse_unknown"
    assert (await complete(office, body)).status_code == 200
    assert (await complete(office, body)).status_code == 200, "the same page loaded again"
    redeemed = [call for call in office.simulator.calls.rows if call["permission"] == "authorization_code"]
    assert len(redeemed) == 2, "the administrator's when the tenant was connected, and this one"
    started = await start(office)
    assert (await complete(office, body)).json()["code"] == "browse_unknown", "a new trip ends the one before"
    await office.sql("UPDATE pick SET expires_at = clock_timestamp()")
    assert (await complete(office, await back(office, started))).json()["code"] == "browse_expired"


async def test_what_microsoft_refuses_is_said_and_leaves_nothing(office: Any) -> None:
    declined = await complete(office, await back(office, await start(office), accept=False))
    assert (declined.status_code, declined.json()["code"]) == (409, "browse_declined")
    assert "paste the address" in declined.json()["detail"]
    assert await office.rows("pick") == []
    started = await start(office)
    refused_by_rule = {"state": parse_qs(urlsplit(started["sign_in_url"]).query)["state"][0]}
    refused_by_rule |= {"error": "access_denied", "error_description": "AADSTS90094: An administrator must consent."}
    answer = await complete(office, refused_by_rule | {"browser_key": started["browser_key"]})
    assert answer.json()["code"] == "browse_not_permitted"
    await office.microsoft.fault("bad_id_token", wrong="tid")
    foreign = await complete(office, await back(office, await start(office)))
    assert (foreign.status_code, foreign.json()["code"]) == (409, "browse_not_proven")
    assert await refused(office) == (409, "browse_not_open")


async def test_a_busy_microsoft_is_asked_again_with_the_same_page(office: Any) -> None:
    body = await back(office, await start(office))
    await office.microsoft.fault("token_busy", retry_after=1, times=1)
    busy = await complete(office, body)
    assert (busy.status_code, busy.json()["code"]) == (503, "microsoft_busy")
    assert (await complete(office, body)).status_code == 200


async def test_without_a_connection_nobody_is_sent_to_microsoft(house: Any) -> None:
    answer = await house.call("POST", BROWSE, json={})
    assert (answer.status_code, answer.json()["code"]) == (409, "tenant_not_connected")
    assert (await refused(house))[1] == "tenant_not_connected"


@pytest.mark.parametrize(
    ("asked", "status", "code"),
    [
        ({"kind": "channels"}, 422, "nothing_named"),
        ({"kind": "moons"}, 422, "invalid_request"),
        ({"kind": "folders", "of": "../../me/messages"}, 422, "invalid_request"),
        ({"kind": "folders", "of": "b!none/01NONE"}, 404, "place_not_found"),
        ({"kind": "channels", "of": "none"}, 404, "place_not_found"),
        ({"kind": "teams", "cursor": "AAAA"}, 422, "bad_cursor"),
        ({"kind": "teams", "cursor": "https://evil.example"}, 422, "invalid_request"),
    ],
)
async def test_a_question_that_is_none_gets_a_clear_answer(office: Any, asked: Json, status: int, code: str) -> None:
    await signed_in(office)
    assert await refused(office, params=asked) == (status, code)


async def test_a_token_that_microsoft_takes_no_more_asks_for_another_sign_in(office: Any) -> None:
    await signed_in(office)
    await office.microsoft.fault("refused", status=401, code="InvalidAuthenticationToken", times=9)
    assert await refused(office) == (409, "browse_not_open")
    assert await office.rows("pick") == []
