"""Connecting an account, and every way it may not happen."""

import time
import uuid
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from m365_simulator.directory import CONTOSO, FABRIKAM, PERSONAL
from shared.testing.databases import connect

FIVE = {
    "Contacts.Read",
    "Calendars.ReadWrite",
    "OnlineMeetings.ReadWrite",
    "OnlineMeetingRecording.Read.All",
    "OnlineMeetingTranscript.Read.All",
}


async def refused_in_trail(house: Any) -> list[tuple[str, str]]:
    """Who was refused a sign-in, and with which code."""
    lines = [line for line in await house.rows("audit") if (line["action"], line["outcome"]) == ("sign_in", "refused")]
    return [(line["actor"], line["details"]["code"]) for line in lines]


async def test_a_person_connects_and_comes_back_to_where_they_were(house: Any) -> None:
    before = await house.connection()
    assert before["status"] == "not_connected"
    assert {permission["scope"] for permission in before["permissions"]} == FIVE
    done = await house.connect()
    assert done.status_code == 200, done.text
    assert done.json()["return_to"] == "/meetings/new"
    shown = await house.connection()
    assert shown == done.json()["connection"]
    assert shown["status"] == "connected"
    assert shown["account"] == {"name": "Anna Andersson", "email": "anna@contoso.example"}
    (event,) = await house.published("user.connected")
    (state,) = await house.published("user.state")
    assert event["tid"] == state["tid"] == CONTOSO
    assert event["aggregate_version"] == state["aggregate_version"] == 1
    assert state["connected"] is True
    (line,) = await house.rows("audit")
    assert (line["actor"], line["action"], line["outcome"]) == ("anna", "connection.connected", "done")


async def test_exactly_the_five_permissions_are_asked_for_with_pkce(house: Any) -> None:
    asked = parse_qs(urlsplit((await house.start()).json()["authorize_url"]).query)
    assert set(asked["scope"][0].split()) == FIVE | {"User.Read", "openid", "profile", "offline_access"}
    assert asked["code_challenge_method"] == ["S256"]
    assert asked["response_mode"] == ["query"]
    assert asked["prompt"] == ["select_account"]
    assert asked["redirect_uri"] == ["http://localhost:8365/integrations/microsoft/callback"]
    assert len(asked["state"][0]) >= 43
    assert asked["nonce"]


async def test_nobody_signs_in_before_the_tenant_is_connected(empty_house: Any) -> None:
    refused = await empty_house.start()
    assert (refused.status_code, refused.json()["code"]) == (409, "tenant_not_connected")
    assert refused.json()["link"] == "/connectors/microsoft365"


ELSEWHERE = ["//evil.example", "/\\evil.example", "https://evil.example", "https:", "", "meetings", "/\t/evil.example"]


async def test_a_way_back_to_another_site_is_refused(house: Any) -> None:
    for path in [*ELSEWHERE, "/a\nb"]:
        refused = await house.start(path)
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request"), path
    assert await house.rows("sign_in_attempt") == []


async def test_an_answer_counts_once(house: Any) -> None:
    answer = await house.at_microsoft("anna@contoso.example")
    assert (await house.complete(answer)).status_code == 200
    again = await house.complete(answer)
    assert (again.status_code, again.json()["code"]) == (409, "sign_in_unknown")
    assert house.microsoft.door.grants == ["authorization_code"]
    assert await refused_in_trail(house) == [("anna", "sign_in_unknown")]


async def test_an_answer_that_took_too_long_is_refused(house: Any) -> None:
    answer = await house.at_microsoft("anna@contoso.example")
    await house.sql("UPDATE sign_in_attempt SET expires_at = clock_timestamp()")
    assert (await house.complete(answer)).json()["code"] == "sign_in_unknown"
    assert house.microsoft.door.grants == []


@pytest.mark.parametrize("who", [{"user": "ben"}, {"org": "globex"}])
async def test_another_persons_answer_is_refused_and_their_own_still_counts(house: Any, who: Any) -> None:
    answer = await house.at_microsoft("anna@contoso.example")
    assert (await house.complete(answer, **who)).json()["code"] == "sign_in_unknown"
    assert await refused_in_trail(house) == [(who.get("user", "anna"), "sign_in_unknown")]
    assert (await house.complete(answer)).status_code == 200


async def test_another_browser_or_a_made_up_state_completes_no_sign_in(house: Any) -> None:
    wrong = [{"browser_key": ""}, {"browser_key": "another"}, {"state": "made-up"}]
    for change in wrong:
        answer = await house.at_microsoft("anna@contoso.example")
        assert (await house.complete(answer | change)).json()["code"] == "sign_in_unknown", change
    assert house.microsoft.door.grants == []
    assert await refused_in_trail(house) == [("anna", "sign_in_unknown")] * len(wrong)


async def test_who_keeps_trying_answers_is_noted_so_often_and_no_more(house: Any) -> None:
    house.service.settings.refusals_noted_per_hour = 2
    for number in range(4):
        made_up = {"state": f"made-up {number}", "browser_key": "k", "code": "c"}
        assert (await house.complete(made_up)).status_code == 409
    assert await refused_in_trail(house) == [("anna", "sign_in_unknown")] * 2


@pytest.mark.parametrize(
    ("sqlstate", "said"), [("57P01", (503, "database_away")), ("22000", (500, "unexpected"))], ids=["away", "broken"]
)
async def test_what_fails_in_a_sign_in_says_where_the_person_came_from(
    house: Any, sqlstate: str, said: tuple[int, str]
) -> None:
    """The attempt is used up by then, so the same address leads nowhere any more."""
    owner = await connect(house.service.settings.migration_database_url)
    await owner.execute(
        f"""CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN RAISE EXCEPTION 'planted' USING ERRCODE = '{sqlstate}'; END $$"""
    )
    await owner.execute("CREATE TRIGGER fail BEFORE INSERT ON connection FOR EACH ROW EXECUTE FUNCTION fail()")
    await owner.close()
    failed = await house.connect()
    assert (failed.status_code, failed.json()["code"]) == said
    assert failed.json()["return_to"] == "/meetings/new"


async def test_an_answer_without_code_or_error_names_what_is_missing(house: Any) -> None:
    refused = await house.complete({"state": "s", "browser_key": "k"})
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request")


async def test_declined_permissions_are_explained_and_leave_nothing(house: Any) -> None:
    await house.microsoft.client.do("consent_revoke", tenant=CONTOSO)
    refused = await house.complete(await house.at_microsoft("anna@contoso.example", accept=False))
    problem = refused.json()
    assert (refused.status_code, problem["code"]) == (409, "permissions_declined")
    assert problem["return_to"] == "/meetings/new"
    await house.nothing_is_stored()


async def test_a_partly_given_consent_names_what_is_missing(house: Any) -> None:
    house.microsoft.door.edit = lambda said: said.update(scope=said["scope"].replace("Contacts.Read", ""))
    refused = await house.connect()
    assert (refused.status_code, refused.json()["code"]) == (409, "permissions_missing")
    assert refused.json()["missing"] == ["Contacts.Read"]
    await house.nothing_is_stored()


async def test_an_account_microsoft_would_not_keep_connected_is_refused(house: Any) -> None:
    house.microsoft.door.edit = lambda said: said.pop("refresh_token")
    refused = await house.connect()
    assert (refused.status_code, refused.json()["code"]) == (409, "permissions_missing")
    assert refused.json()["missing"] == ["offline_access"]
    assert "Org Admin" in refused.json()["detail"]
    await house.nothing_is_stored()


async def test_a_life_of_the_token_that_is_not_readable_is_no_fault_of_ours(house: Any) -> None:
    house.microsoft.door.edit = lambda said: said.update(expires_in=None)
    refused = await house.connect()
    assert (refused.status_code, refused.json()["code"]) == (503, "microsoft_busy")
    house.microsoft.door.edit = lambda said: said.pop("expires_in")
    assert (await house.connect()).status_code == 200
    assert (await house.token()).status_code == 200


async def test_a_code_of_another_tenant_is_refused(house: Any) -> None:
    await house.microsoft.client.do("consent_give", tenant=FABRIKAM)
    started = (await house.start()).json()
    url = started["authorize_url"].replace(CONTOSO, "organizations")
    back = await house.microsoft.client.sign_in(url, "carl@fabrikam.example")
    answer = dict(httpx.URL(back).params) | {"browser_key": started["browser_key"]}
    refused = await house.complete(answer)
    assert (refused.status_code, refused.json()["code"]) == (409, "sign_in_refused")
    await house.nothing_is_stored()


def claims_of(house: Any, said: Any) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(said["id_token"], options={"verify_signature": False})
    return claims


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"aud": "another-application"}, "sign_in_not_proven"),
        ({"tid": FABRIKAM}, "wrong_tenant"),
        ({"tid": PERSONAL}, "personal_account"),
        ({"iss": "https://evil.example/v2.0"}, "sign_in_not_proven"),
        ({"ver": "1.0"}, "sign_in_not_proven"),
        ({"exp": int(time.time()) - 3600}, "sign_in_not_proven"),
        ({"oid": ""}, "sign_in_not_proven"),
        ({"nonce": "another"}, "sign_in_refused"),
    ],
)
async def test_an_id_token_that_does_not_prove_the_account_is_refused(
    house: Any, change: dict[str, Any], code: str
) -> None:
    def forge(said: Any) -> None:
        said["id_token"] = house.microsoft.simulator.entra.sign(claims_of(house, said) | change)

    house.microsoft.door.edit = forge
    refused = await house.connect()
    assert (refused.status_code, refused.json()["code"]) == (409, code)
    await house.nothing_is_stored()


@pytest.mark.parametrize("attack", ["other_key", "no_signature", "known_secret", "unknown_kid"])
async def test_an_id_token_microsoft_did_not_sign_is_refused(house: Any, attack: str) -> None:
    own = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def forge(said: Any) -> None:
        kid = jwt.get_unverified_header(said["id_token"])["kid"]
        claims = claims_of(house, said)
        key, algorithm, kid = {
            "other_key": (own, "RS256", kid),
            "no_signature": (None, "none", kid),
            "known_secret": (house.microsoft.settings.client_secret * 2, "HS256", kid),
            "unknown_kid": (own, "RS256", "unknown"),
        }[attack]
        said["id_token"] = jwt.encode(claims, key, algorithm, {"kid": kid})

    house.microsoft.door.edit = forge
    refused = await house.connect()
    assert (refused.status_code, refused.json()["code"]) == (409, "sign_in_not_proven")
    await house.nothing_is_stored()


async def test_unknown_keys_do_not_make_us_ask_microsoft_again_and_again(house: Any) -> None:
    await house.connect()

    def forge(said: Any) -> None:
        own = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        said["id_token"] = jwt.encode(claims_of(house, said), own, "RS256", {"kid": uuid.uuid4().hex})

    house.microsoft.door.edit = forge
    for _ in range(3):
        assert (await house.connect()).json()["code"] == "sign_in_not_proven"
    assert house.microsoft.door.key_fetches == 1


async def test_one_microsoft_account_is_not_two_people(house: Any) -> None:
    await house.connect()
    refused = await house.connect(user="ben")
    assert (refused.status_code, refused.json()["code"]) == (409, "account_in_use")
    assert (await house.connection(user="ben"))["status"] == "not_connected"
    assert (await house.disconnect()).json()["status"] == "disconnected"
    assert (await house.connect(user="ben")).status_code == 200


async def test_another_account_needs_a_disconnect_first(house: Any) -> None:
    await house.connect()
    refused = await house.connect("ben@contoso.example")
    assert (refused.status_code, refused.json()["code"]) == (409, "another_account")
    assert "anna@contoso.example" in refused.json()["detail"]
    await house.disconnect()
    assert (await house.connect("ben@contoso.example")).status_code == 200


async def test_signing_in_once_more_with_the_same_account_is_no_news_but_a_state(house: Any) -> None:
    await house.connect()
    assert (await house.connect()).status_code == 200
    assert len(await house.published("user.connected")) == 1
    assert await house.published("user.reconnected") == []
    assert [state["aggregate_version"] for state in await house.published("user.state")] == [1, 2]


async def test_a_person_has_at_most_five_sign_ins_under_way(house: Any) -> None:
    for _ in range(7):
        await house.start()
    assert len(await house.rows("sign_in_attempt")) == 5


async def test_a_silent_microsoft_is_said_so(house: Any) -> None:
    answer = await house.at_microsoft("anna@contoso.example")
    house.microsoft.door.refuse_with = (503, {})
    refused = await house.complete(answer)
    assert (refused.status_code, refused.json()["code"]) == (503, "microsoft_busy")
