"""Five permissions, more for a feature that wants them, and what becomes of a connection when some are taken back."""

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest

from m365_simulator.directory import CONTOSO, FABRIKAM
from shared.events import Features, TenantState
from shared.testing.harness import consume

ANNA = "anna@contoso.example"
FIVE = {
    "Contacts.Read",
    "Calendars.ReadWrite",
    "OnlineMeetings.ReadWrite",
    "OnlineMeetingRecording.Read.All",
    "OnlineMeetingTranscript.Read.All",
}
MAIL = {"Mail.Send", "Mail.ReadWrite"}
BASICS = {"User.Read", "openid", "profile", "offline_access"}
SHORT_S = 200  # less than the margin: due for a refresh at the first question


@pytest.fixture
def mail() -> bool:
    return True


async def asked(house: Any, *features: str) -> tuple[set[str], dict[str, list[str]]]:
    """The permissions on the address that is opened at Microsoft, and all of its parameters."""
    started = await house.start(features=features)
    query = parse_qs(urlsplit(started.json()["authorize_url"]).query)
    scopes = set(query["scope"][0].split())
    assert scopes >= BASICS
    return scopes - BASICS, query


def granted(connection: Any) -> set[str]:
    return {permission["scope"] for permission in connection["permissions"] if permission["granted"]}


def feature(connection: Any, name: str) -> Any:
    (found,) = [one for one in connection["features"] if one["name"] == name]
    return found


def takes_back(house: Any, *scopes: str) -> None:
    """The organisation no longer consents to these."""
    store = house.microsoft.simulator.store
    row = store.get("consents", CONTOSO)
    store.put("consents", CONTOSO, row | {"delegated": [name for name in row["delegated"] if name not in scopes]})


async def switched(house: Any, version: int, **features: bool) -> None:
    about = {"org_id": "acme", "aggregate_version": version, "connected": True, "tid": CONTOSO}
    more = {"features": Features(**features), "changed_at": "2026-01-01T00:00:00Z"}
    await house.hear(TenantState.model_validate(about | more))


async def test_exactly_five_permissions_are_asked_for_whatever_features_are_on(house: Any) -> None:
    await switched(house, 2, outlook_email=True, auto_recording=True, contacts_import=True, sharepoint_storage=True)
    scopes, _ = await asked(house)
    assert scopes == FIVE


async def test_no_person_is_asked_for_what_the_organisation_gives(house: Any) -> None:
    refused = await house.start(features=("outlook_email",))
    assert (refused.status_code, refused.json()["code"]) == (409, "admin_required")
    assert "Admin → Connectors → Microsoft 365" in refused.json()["detail"]
    assert (await asked(house, "contacts_import"))[0] == FIVE


async def test_nothing_is_asked_for_a_feature_that_is_off(house: Any) -> None:
    await switched(house, 2, outlook_email=False)
    refused = await house.start(features=("outlook_email",))
    assert (refused.status_code, refused.json()["code"]) == (409, "feature_off")
    assert "Outlook email" in refused.json()["detail"]
    assert await house.rows("sign_in_attempt") == []
    assert feature(await house.connection(), "outlook_email")["on"] is False


async def test_a_feature_that_is_none_is_refused(house: Any) -> None:
    for name in ("sharepoint_storage", "Mail.ReadWrite", "", "outlook_email "):
        refused = await house.start(features=(name,))
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request"), name


async def test_a_connection_shows_what_was_given_and_what_a_feature_lacks(house: Any) -> None:
    before = await house.connection()
    assert granted(before) == set()
    shown = (await house.connect()).json()["connection"]
    assert granted(shown) == {permission["scope"] for permission in shown["permissions"]} == FIVE
    mail = feature(shown, "outlook_email")
    assert (mail["on"], mail["ready"], set(mail["missing"])) == (True, False, MAIL)
    assert mail["refused"] is False, "Microsoft was not asked yet"
    assert all(permission["use"] for permission in mail["permissions"])
    assert feature(shown, "contacts_import")["ready"] is True
    assert shown == await house.connection()


async def test_mail_comes_without_a_question_where_the_consent_holds_it(house: Any) -> None:
    before = (await house.connect()).json()["connection"]
    assert (granted(before), feature(before, "outlook_email")["given_by"]) == (FIVE, "microsoft_admin")
    given = (await house.token()).json()["access_token"]
    assert set(jwt.decode(given, options={"verify_signature": False})["scp"].split()) >= FIVE | MAIL
    shown = await house.connection()
    assert (granted(shown), feature(shown, "outlook_email")["ready"]) == (FIVE | MAIL, True)
    assert (await house.token()).json()["access_token"] == given
    assert house.microsoft.door.refreshes == 1, "one token carries the five and mail's two"
    assert (shown["version"], shown["connected_at"]) == (before["version"] + 1, before["connected_at"])
    told = [(one["aggregate_version"], one["mail_permitted"]) for one in await house.published("user.state")]
    assert told == [(before["version"], None), (before["version"] + 1, True)], "once, and not with each refresh"


async def test_a_consent_without_mail_is_asked_once_and_remembered(house: Any, client_of: Any) -> None:
    takes_back(house, *MAIL)
    house.short_tokens(SHORT_S)
    await house.connect()
    assert (await house.token()).status_code == 200
    assert house.microsoft.door.refreshes == 2, "with mail, and then without"
    other = await client_of(await house.make())
    for number in range(3):
        assert (await house.ask(other, {"org_id": "acme", "user_id": "anna"})).status_code == 200
        assert house.microsoft.door.refreshes == 3 + number, "short tokens are renewed, and mail is not asked for"
    shown = await house.connection()
    assert (shown["status"], granted(shown)) == ("connected", FIVE)
    assert set(feature(shown, "outlook_email")["missing"]) == MAIL
    assert feature(shown, "outlook_email")["refused"] is True
    assert [one["mail_permitted"] for one in await house.published("user.state")] == [None, False]


@pytest.mark.parametrize("how", ["tenant", "day"])
async def test_a_later_consent_brings_mail_by_itself(house: Any, how: str) -> None:
    takes_back(house, *MAIL)
    await house.connect()
    await house.token()
    assert granted(await house.connection()) == FIVE
    store = house.microsoft.simulator.store
    row = store.get("consents", CONTOSO)
    store.put("consents", CONTOSO, row | {"delegated": [*row["delegated"], *MAIL]})
    asked_so_far = house.microsoft.door.refreshes
    await house.token()
    assert house.microsoft.door.refreshes == asked_so_far
    if how == "tenant":
        await switched(house, 2)
    else:
        await house.sql("UPDATE connection SET silent_refused_at = silent_refused_at - interval '1 day'")
        house.service.guest("access_tokens").forget("acme")
    await house.token()
    assert granted(await house.connection()) == FIVE | MAIL
    assert house.microsoft.door.refreshes == asked_so_far + 1


async def test_mail_is_not_asked_for_while_it_is_switched_off(house: Any) -> None:
    await switched(house, 2, outlook_email=False)
    await house.connect()
    await house.token()
    assert (granted(await house.connection()), house.microsoft.door.refreshes) == (FIVE, 0)


async def test_while_microsoft_is_away_a_token_without_mail_goes_on(house: Any) -> None:
    await house.connect()
    house.microsoft.door.refuse_with = 503, {"error": "temporarily_unavailable"}
    assert (await house.token()).status_code == 200
    assert granted(await house.connection()) == FIVE


async def test_an_answer_that_names_more_than_was_asked_for_is_believed(house: Any) -> None:
    await house.microsoft.client.do("policy_set", tenant=CONTOSO, scopes_told="all")
    assert granted((await house.connect()).json()["connection"]) == FIVE | MAIL


async def test_a_permission_taken_back_ends_no_connection_that_still_works(house: Any) -> None:
    house.short_tokens(SHORT_S)
    await house.connect()
    await house.token()
    takes_back(house, "Contacts.Read", "Mail.Send")
    assert (await house.token()).status_code == 200
    assert house.microsoft.door.refreshes == 3, "the whole, and then what is left"
    shown = await house.connection()
    assert (shown["status"], granted(shown)) == ("connected", (FIVE | MAIL) - {"Contacts.Read", "Mail.Send"})
    assert feature(shown, "contacts_import")["missing"] == ["Contacts.Read"]
    assert feature(shown, "outlook_email")["missing"] == ["Mail.Send"]
    assert await house.published("user.connection_expired") == []
    assert (await house.token()).status_code == 200
    assert house.microsoft.door.refreshes == 5, "what the consent lost is asked for once more, and then no longer"
    assert (await house.token()).status_code == 200
    assert house.microsoft.door.refreshes == 6, "from then on only what is left is asked for"


async def test_a_consent_withdrawn_whole_ends_the_connection(house: Any) -> None:
    house.short_tokens(10)
    await house.connect()
    await house.microsoft.client.do("consent_revoke", tenant=CONTOSO)
    assert (await house.token()).status_code == 409
    shown = await house.connection()
    assert (shown["status"], shown["problem"]["code"], granted(shown)) == ("expired", "admin_required", set())
    assert len(await house.published("user.connection_expired")) == 1


@pytest.mark.parametrize("refused_first", [True, False])
@pytest.mark.parametrize("left", ["User.Read openid profile", "openid profile"])
async def test_nothing_left_but_the_sign_in_itself_is_a_consent_withdrawn(
    house: Any, left: str, refused_first: bool
) -> None:
    house.short_tokens(10)
    await house.connect()
    if refused_first:
        takes_back(house, *FIVE)
    house.microsoft.door.edit = lambda said: said.update(scope=left)
    assert (await house.token()).status_code == 409
    assert house.microsoft.door.refreshes == 3, "with mail, the whole, and then what is left"
    shown = await house.connection()
    assert (shown["status"], shown["problem"]["code"], granted(shown)) == ("expired", "admin_required", set())


async def test_a_connection_given_nothing_does_not_show_everything_as_given(house: Any) -> None:
    await house.connect()
    await house.sql("UPDATE connection SET granted_scopes = '[]'")
    assert granted(await house.connection()) == set()


async def test_a_refresh_that_brings_more_is_shown(house: Any) -> None:
    house.short_tokens(SHORT_S)
    await house.connect()
    await house.microsoft.client.do("policy_set", tenant=CONTOSO, scopes_told="all")
    await house.token()
    assert granted(await house.connection()) == FIVE | MAIL


async def test_an_answer_without_scopes_gives_what_was_asked_for(house: Any) -> None:
    await switched(house, 2, outlook_email=False)
    house.microsoft.door.edit = lambda said: (said.pop("scope"), said.update(expires_in=SHORT_S))
    assert granted((await house.connect()).json()["connection"]) == FIVE
    assert (await house.token()).status_code == 200
    assert granted(await house.connection()) == FIVE


async def test_every_pod_gives_the_newest_token_though_an_older_one_ends_later(house: Any, client_of: Any) -> None:
    await house.connect()
    await house.microsoft.client.do("policy_set", tenant=CONTOSO, scopes_told="all")
    house.short_tokens(1000)
    challenge = json.dumps({"access_token": {"nbf": {"essential": True, "value": "1"}}})
    new = (await house.token(claims=challenge)).json()["access_token"]
    other = await client_of(await house.make())
    given = (await house.ask(other, {"org_id": "acme", "user_id": "anna"})).json()["access_token"]
    assert given == new
    assert house.microsoft.door.refreshes == 1


async def test_a_connection_made_before_grants_were_kept_goes_on(house: Any) -> None:
    house.short_tokens(SHORT_S)
    await house.connect()
    await house.sql("UPDATE connection SET granted_scopes = NULL")
    assert granted(await house.connection()) == FIVE
    assert (await house.token()).status_code == 200
    (row,) = await house.rows("connection")
    assert set(row["granted_scopes"]) == FIVE | MAIL | {"User.Read"}


async def test_who_has_no_connection_chooses_an_account_and_who_has_one_does_not(house: Any) -> None:
    _, first = await asked(house)
    assert (first["prompt"], first.get("login_hint")) == (["select_account"], None)
    house.short_tokens(10)
    await house.connect()
    for features in ((), ("contacts_import",)):
        _, again = await asked(house, *features)
        assert (again.get("prompt"), again["login_hint"]) == (None, [ANNA])
    await house.microsoft.client.fault("token_invalid_grant")
    await house.token()
    _, reconnect = await asked(house)
    assert (reconnect.get("prompt"), reconnect["login_hint"]) == (None, [ANNA])
    await house.disconnect()
    _, anew = await asked(house)
    assert (anew["prompt"], anew.get("login_hint")) == (["select_account"], None)


async def test_a_disconnect_forgets_what_was_given(house: Any) -> None:
    await house.connect()
    await house.token()
    assert granted((await house.disconnect()).json()) == set()
    await house.hurry("end_leaving")
    await house.work()
    (row,) = await house.rows("connection")
    assert (row["granted_scopes"], row["notices"], row["sealed_cache"]) == (None, [], None)
    assert (await asked(house))[0] == FIVE


async def test_another_organisations_switches_do_not_count(house: Any) -> None:
    about = {"org_id": "globex", "aggregate_version": 1, "connected": True, "tid": FABRIKAM}
    more = {"features": Features(outlook_email=False), "changed_at": "2026-01-01T00:00:00Z"}
    async with house.service.db.unit_of_work("globex") as work:
        work.outbox.add(TenantState.model_validate(about | more))
    await house.service.relay.drain()
    await consume(house.service)
    await house.connect()
    await house.token()
    assert granted(await house.connection()) == FIVE | MAIL
