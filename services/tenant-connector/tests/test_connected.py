"""A connected tenant: features, the application's tokens, and the end of the connection."""

import asyncio
from typing import Any

import asyncpg
import pytest

from m365_simulator.directory import CONTOSO, FABRIKAM
from shared.secrets import digest
from shared.testing.databases import connect


async def test_a_switch_is_announced_once_and_the_same_again_changes_nothing(house: Any) -> None:
    await house.connect()
    answer = await house.switch({"auto_recording": True})
    tenant = answer.json()
    assert (answer.status_code, tenant["features"]["auto_recording"]) == (200, True)
    assert answer.headers["etag"] == f'"{tenant["version"]}"'
    for same in ({"auto_recording": True}, {}):
        again = await house.switch(same)
        assert (again.status_code, again.headers["etag"]) == (200, answer.headers["etag"])
    (changed,) = await house.published("tenant.features_changed")
    assert (changed["changed_by"], changed["features"]["auto_recording"]) == ("ada", True)
    state = (await house.published("tenant.state"))[-1]
    assert state["features"]["auto_recording"] is True
    assert state["aggregate_version"] == changed["aggregate_version"] == tenant["version"]
    assert len(await house.published("tenant.state")) == 2
    assert (await house.trail()).count(("features.change", "done", None)) == 1


async def test_a_switch_needs_the_etag_last_read(house: Any) -> None:
    tenant = await house.connect()
    missing = await house.call("PATCH", "/v1/tenant/features", json={"auto_recording": True})
    assert (missing.status_code, missing.json()["code"]) == (428, "if_match_required")
    current = f'"{tenant["version"]}"'
    for stale in ('"0"', f"W/{current}", current.strip('"')):
        refused = await house.switch({"auto_recording": True}, stale)
        assert (refused.status_code, refused.json()["code"]) == (412, "tenant_changed")
    both = await asyncio.gather(*(house.switch({name: True}, current) for name in ("auto_recording", "outlook_email")))
    assert {answer.status_code for answer in both} <= {200, 412}
    again = await house.switch({"auto_recording": False}, current)
    assert again.status_code == 412


async def test_an_unknown_feature_and_a_word_for_a_switch_are_refused(house: Any) -> None:
    before = await house.connect()
    for body in ({"teleport": True}, {"auto_recording": "yes"}, {"auto_recording": 1}):
        refused = await house.switch(body)
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request")
        assert next(iter(body)) in refused.json()["detail"]
    assert await house.tenant() == before


async def test_nothing_is_switched_before_the_tenant_is_connected(house: Any) -> None:
    refused = await house.switch({"auto_recording": True})
    assert (refused.status_code, refused.json()["code"]) == (409, "tenant_not_connected")


async def test_sharepoint_storage_needs_a_location_first(house: Any) -> None:
    before = await house.connect()
    refused = await house.switch({"sharepoint_storage": True, "auto_recording": True})
    assert (refused.status_code, refused.json()["code"]) == (409, "storage_location_required")
    assert await house.tenant() == before
    await house.select_location()
    answer = await house.switch({"sharepoint_storage": True})
    assert (answer.status_code, answer.json()["storage_location"]) == (200, "Teams/General")


async def test_a_location_chosen_early_is_remembered_and_older_news_is_not_taken(house: Any) -> None:
    await house.select_location("Teams/New", version=2)
    await house.select_location("Teams/Old", version=1)
    assert (await house.tenant())["status"] == "not_connected"
    await house.connect()
    assert (await house.tenant())["storage_location"] == "Teams/New"
    assert (await house.switch({"sharepoint_storage": True})).status_code == 200


async def test_the_applications_token_is_kept_until_the_tenant_is_left(house: Any) -> None:
    await house.connect()
    answers = await asyncio.gather(*(house.app_token() for _ in range(4)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["access_token"] for answer in answers}) == 1
    token = answers[0].json()
    assert (token["tid"], token["oid"]) == (CONTOSO, None)
    claims = house.simulator.entra.read(token["access_token"], "https://graph.microsoft.com")
    assert (claims["tid"], claims["idtyp"]) == (CONTOSO, "app")
    await house.microsoft.fault("token_invalid_grant")  # whoever asks Entra now is refused
    assert (await house.app_token()).json()["access_token"] == token["access_token"]
    await house.call("DELETE", "/v1/tenant")
    refused = await house.app_token()
    assert (refused.status_code, refused.json()["code"]) == (409, "tenant_not_connected")
    assert house.service.provided["app_tokens"]._kept == {}


async def test_a_token_near_its_end_is_replaced(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("m365_simulator.entra.tokens.ACCESS_TOKEN_S", 290)
    await house.connect()
    first, second = await house.app_token(), await house.app_token()
    assert first.json()["expires_at"] != second.json()["expires_at"]


async def test_an_application_token_that_graph_refused_is_replaced_unless_new(
    house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.connect()
    first = (await house.app_token()).json()["access_token"]
    refused = digest(first)
    assert (await house.app_token(refused=refused)).json()["access_token"] == first
    monkeypatch.setattr("tenant_connector.tokens.RENEW_REFUSED_AFTER_S", 0)
    second = (await house.app_token(refused=refused)).json()["access_token"]
    assert second != first
    assert (await house.app_token(refused=refused)).json()["access_token"] == second
    assert (await house.app_token(refused="x")).status_code == 422


async def test_a_withdrawn_consent_is_noticed_when_graph_refuses_the_kept_token(
    house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.connect()
    kept = (await house.app_token()).json()["access_token"]
    await house.microsoft.do("consent_revoke", tenant=CONTOSO)
    assert (await house.app_token()).status_code == 200
    monkeypatch.setattr("tenant_connector.tokens.RENEW_REFUSED_AFTER_S", 0)
    assert (await house.app_token(refused=digest(kept))).status_code == 409
    assert (await house.tenant())["problem"]["code"] == "consent_withdrawn"


async def test_only_services_get_the_applications_token(house: Any) -> None:
    await house.connect()
    wrong = {
        "no token": "",
        "a person's": f"Bearer {house.keys.token('acme', 'ada', ('org_admin',))}",
        "for another service": f"Bearer {house.bearer_of_service('recording-ingest', 'user-auth')}",
    }
    for why, bearer in wrong.items():
        assert (await house.app_token(Authorization=bearer)).status_code == 401, why
    assert (await house.app_token()).status_code == 200


async def test_no_token_for_an_organisation_that_is_not_connected(house: Any) -> None:
    await house.connect()
    refused = await house.app_token("globex")
    assert (refused.status_code, refused.json()["code"]) == (409, "tenant_not_connected")


async def test_a_withdrawn_consent_is_noticed_once(house: Any) -> None:
    await house.connect()
    await house.microsoft.do("consent_revoke", tenant=CONTOSO)
    answers = await asyncio.gather(*(house.app_token() for _ in range(3)))
    answers.append(await house.app_token())
    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(409, "tenant_not_connected")}
    tenant = await house.tenant()
    assert (tenant["status"], tenant["problem"]["code"]) == ("disconnected", "consent_withdrawn")
    (gone,) = await house.published("tenant.disconnected")
    assert (gone["tid"], "withdrawn" in gone["reason"]) == (CONTOSO, True)
    assert [state["connected"] for state in await house.published("tenant.state")] == [True, False]
    assert (await house.trail())[-1] == ("tenant.disconnect", "done", "consent_withdrawn")
    assert (await house.connect())["status"] == "connected"


async def test_a_busy_entra_and_a_wrong_secret_are_ours_to_mend(house: Any, simulator: Any) -> None:
    await house.connect()
    house.service.settings.entra_authority = "https://localhost:9"
    busy = await house.app_token()
    assert (busy.status_code, busy.json()["code"]) == (503, "microsoft_busy")
    house.service.settings.entra_authority = simulator.settings.https_base_url
    object.__setattr__(simulator.settings, "client_secret", "rotated")
    refused = await house.app_token()
    assert (refused.status_code, refused.json()["code"]) == (503, "prospo_misconfigured")
    assert (await house.tenant())["status"] == "connected"


async def test_disconnecting_says_so_once_and_keeps_the_features(house: Any) -> None:
    await house.connect()
    await house.switch({"auto_recording": True})
    for _ in range(2):
        answer = await house.call("DELETE", "/v1/tenant")
        tenant = answer.json()
        assert (answer.status_code, tenant["status"], tenant["problem"]) == (200, "disconnected", None)
        assert tenant["features"]["auto_recording"] is True
    (gone,) = await house.published("tenant.disconnected")
    state = (await house.published("tenant.state"))[-1]
    assert (gone["tid"], gone["reason"]) == (CONTOSO, "An Org Admin disconnected Microsoft 365.")
    assert state["connected"] is False
    assert state["aggregate_version"] == gone["aggregate_version"]
    assert tenant["version"] == gone["aggregate_version"]
    assert (await house.trail()).count(("tenant.disconnect", "done", None)) == 1


async def test_disconnecting_what_was_never_connected_changes_nothing(house: Any) -> None:
    answer = await house.call("DELETE", "/v1/tenant")
    assert (answer.status_code, answer.json()["status"], answer.headers["etag"]) == (200, "not_connected", '"0"')
    assert await house.published("tenant.disconnected") == []


async def test_the_audit_trail_is_only_added_to(house: Any) -> None:
    await house.connect()
    owner = await connect(house.owner_url)
    await owner.execute("SELECT set_config('app.org_id', 'acme', false)")
    for change in ("UPDATE audit SET outcome = 'failed'", "DELETE FROM audit"):
        with pytest.raises(asyncpg.PostgresError, match="only ever added to"):
            await owner.execute(change)
    await owner.close()


async def test_no_secret_is_written_down(house: Any) -> None:
    link = await house.make_link()
    body = await house.consent()
    signed_in = await house.signed_in(body)
    under_way = str(await house.rows("consent_attempt"))
    assert "code_verifier" not in under_way
    await house.sign_in(signed_in)
    await house.service.runner.drain()
    token = (await house.app_token()).json()["access_token"]
    tables = ("tenant", "audit", "consent_attempt", "consent_link", "job")
    written = under_way + str([await house.rows(table) for table in tables])
    written += str([await house.published(topic) for topic in ("tenant.connected", "tenant.state")])
    secrets = [body["state"], body["browser_key"], signed_in["state"], signed_in["code"], link, link.split(".")[1]]
    for secret in (*secrets, token, house.simulator.settings.client_secret):
        assert secret not in written


async def test_a_switch_goes_off_without_a_connection_and_stays_off(house: Any) -> None:
    await house.connect()
    await house.switch({"auto_recording": True})
    await house.call("DELETE", "/v1/tenant")
    answer = await house.switch({"auto_recording": False})
    assert (answer.status_code, answer.json()["features"]["auto_recording"]) == (200, False)
    state = (await house.published("tenant.state"))[-1]
    assert (state["connected"], state["features"]["auto_recording"]) == (False, False)
    assert (await house.switch({"auto_recording": True})).json()["code"] == "tenant_not_connected"
    assert (await house.connect())["features"]["auto_recording"] is False


async def test_another_tenant_does_not_have_the_place_chosen_at_the_last_one(house: Any) -> None:
    await house.connect()
    await house.select_location()
    await house.switch({"sharepoint_storage": True})
    await house.call("DELETE", "/v1/tenant")
    same = await house.connect()
    assert (same["storage_location"], same["features"]["sharepoint_storage"]) == ("Teams/General", True)
    await house.call("DELETE", "/v1/tenant")
    other = await house.connect(account="admin@fabrikam.example")
    assert (other["tid"], other["storage_location"]) == (FABRIKAM, None)
    assert other["features"]["sharepoint_storage"] is False
    changed = (await house.published("tenant.features_changed"))[-1]
    assert (changed["aggregate_version"], changed["changed_by"]) == (other["version"], "ada")
    assert (await house.published("tenant.connected"))[-1]["features"]["sharepoint_storage"] is False
    assert (await house.published("tenant.state"))[-1]["features"]["sharepoint_storage"] is False
    (line, _) = await audited(house, "features.change")
    assert (line["actor"], line["details"]) == (
        "service:tenant-connector",
        {"changed": {"sharepoint_storage": False}},
    )
    assert (await house.switch({"sharepoint_storage": True})).json()["code"] == "storage_location_required"


async def audited(house: Any, action: str) -> Any:
    """Lines of the trail as an Org Admin reads them, newest first."""
    answer = await house.call("GET", "/v1/tenant/audit", params={"action": action})
    return answer.json()["items"]


async def test_the_trail_says_who_changed_which_switch(house: Any) -> None:
    await house.connect()
    await house.switch({"auto_recording": True, "outlook_email": False, "contacts_import": True})
    await house.switch({"auto_recording": False}, user="bo")
    said = [(line["actor"], line["outcome"], line["details"]) for line in await audited(house, "features.change")]
    assert said == [
        ("bo", "done", {"changed": {"auto_recording": False}}),
        ("ada", "done", {"changed": {"auto_recording": True, "outlook_email": False}}),
    ]


async def test_the_trail_says_who_did_everything_else(house: Any) -> None:
    link = "/v1/tenant/consent/link"
    await house.connect()
    for user in ("cy", "di"):
        assert (await house.call("POST", link, json={"tenant": CONTOSO}, user=user)).status_code == 201
    assert (await house.call("DELETE", link, user="di")).status_code == 204
    assert (await house.ask_check(user="ed")).status_code == 202
    await house.call("DELETE", "/v1/tenant", user="bo")
    actions = ("consent_link.make", "consent_link.revoke", "readiness.check", "tenant.disconnect")
    who = {action: [line["actor"] for line in await audited(house, action)] for action in actions}
    assert list(who.values()) == [["di", "cy"], ["di"], ["ed"], ["bo"]]
    (line,) = await audited(house, "tenant.disconnect")
    assert line["details"] == {"tid": CONTOSO}
