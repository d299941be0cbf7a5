"""A link for an administrator of Microsoft 365 who has no Prospo account: what it lets them do, and when no more."""

import asyncio
import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from m365_simulator.directory import CONTOSO, FABRIKAM, find_user

ADMIN, FOREIGN_ADMIN = "admin@contoso.example", "admin@fabrikam.example"
LINK = "/v1/tenant/consent/link"
FOR_CONTOSO = {"tenant": "contoso.example"}
Json = dict[str, Any]


async def consented(house: Any, token: str, account: str = ADMIN, *, accept: bool = True) -> Json:
    """Through Microsoft's consent page: the body for ``complete``, without the token."""
    returned: Json = await house.returned((await house.by_link("start", token)).json(), account, accept=accept)
    return returned


async def signed_in(house: Any, token: str, account: str = ADMIN) -> Json:
    """Through both pages: the body for ``sign-in``, without the token."""
    body = await consented(house, token, account)
    answer = await house.by_link("complete", token, **body)
    assert answer.status_code == 202, answer.text
    assert set(answer.json()) == {"sign_in_url"}
    back: Json = await house.back_from(answer.json()["sign_in_url"], body["browser_key"], account)
    return back


async def check_unknown(house: Any, token: str) -> None:
    """Every leg answers one and the same."""
    answers = [await house.by_link(leg, token, state="s") for leg in ("complete", "sign-in")]
    answers += [await house.by_link(leg, token) for leg in ("open", "start")]
    said = [{**answer.json(), "request_id": ""} for answer in answers]
    assert [answer.status_code for answer in answers] == [404] * 4
    assert said[0]["code"] == "consent_link_unknown"
    assert all(one == said[0] for one in said)


async def test_an_administrator_without_a_prospo_account_connects_by_link(house: Any) -> None:
    token = await house.make_link()
    invitation = (await house.by_link("open", token)).json()
    assert [invitation[name] for name in ("organisation", "invited_by", "tenant")] == ["acme", "ada", "contoso.example"]
    answer = await house.by_link("sign-in", token, **await signed_in(house, token))
    assert (answer.status_code, answer.json()) == (202, {"status": "proving"})
    await house.service.runner.drain()
    tenant = await house.tenant()
    assert (tenant["status"], tenant["tid"], tenant["connected_by"]) == ("connected", CONTOSO, "ada")
    rows = await house.sql(
        "SELECT actor, action, details->>'user_id' AS sent_by, details->>'oid' AS oid FROM audit ORDER BY occurred_at"
    )
    oid = (find_user(house.simulator.store, ADMIN) or {})["id"]
    assert [tuple(row) for row in rows] == [
        ("ada", "consent_link.make", None, None),
        ("service:consent-link", "consent.start", "ada", None),
        ("service:consent-link", "consent.complete", "ada", None),
        ("service:consent-link", "consent.sign_in", "ada", oid),
        ("service:consent-link", "tenant.connect", "ada", oid),
    ]


async def test_the_invitation_names_people_and_organisation_as_the_gateway_does(house: Any) -> None:
    bearer = house.keys.token("acme", "ada", ("org_admin",), name="Ada Lovelace", org_name="Acme Ltd")
    made = await house.http.post(LINK, json=FOR_CONTOSO, headers={"Authorization": f"Bearer {bearer}"})
    invitation = (await house.by_link("open", made.json()["url"].rsplit("#", 1)[1])).json()
    assert (invitation["organisation"], invitation["invited_by"]) == ("Acme Ltd", "Ada Lovelace")


async def test_a_link_holds_for_seven_days_and_shows_until_when(house: Any) -> None:
    assert (await house.call("GET", LINK)).status_code == 404
    made = (await house.call("POST", LINK, json=FOR_CONTOSO)).json()
    left = datetime.fromisoformat(made["expires_at"]) - datetime.now(UTC)
    assert timedelta(days=6, hours=23) < left <= timedelta(days=7)
    assert (await house.call("GET", LINK)).json() == {
        "made_by": "ada",
        "tenant": "contoso.example",
        "expires_at": made["expires_at"],
    }
    assert (await house.call("GET", LINK, org="globex")).status_code == 404
    await house.sql("UPDATE consent_link SET expires_at = clock_timestamp() - interval '1 second'")
    await check_unknown(house, made["url"].rsplit("#", 1)[1])
    assert (await house.call("GET", LINK)).status_code == 404


async def test_a_link_is_used_up_by_the_claim_and_not_before(house: Any) -> None:
    token = await house.make_link()
    declined = await house.by_link("complete", token, **await consented(house, token, accept=False))
    assert (declined.status_code, declined.json()["code"]) == (409, "consent_declined")
    first, second = await signed_in(house, token), await signed_in(house, token)
    answers = await asyncio.gather(*(house.by_link("sign-in", token, **body) for body in (first, second)))
    assert 202 in (codes := [answer.status_code for answer in answers])
    assert codes.count(202) == 1
    await check_unknown(house, token)
    assert (await house.call("GET", LINK)).status_code == 404
    assert len(await house.jobs()) == 1


async def test_only_the_newest_link_holds(house: Any) -> None:
    older = await house.make_link()
    under_way = await signed_in(house, older)
    newer = await house.make_link()
    await check_unknown(house, older)
    assert (await house.by_link("sign-in", newer, **under_way)).json()["code"] == "consent_attempt_unknown"
    assert (await house.by_link("open", newer)).status_code == 200


async def test_a_revoked_link_ends_what_is_under_way(house: Any) -> None:
    token = await house.make_link()
    under_way = await signed_in(house, token)
    for _ in range(2):
        assert (await house.call("DELETE", LINK)).status_code == 204
    await check_unknown(house, token)
    assert (await house.by_link("sign-in", token, **under_way)).status_code == 404
    assert await house.rows("consent_attempt") == []
    assert (await house.trail()).count(("consent_link.revoke", "done", None)) == 1


async def test_a_link_that_ends_while_microsoft_answers_claims_nothing(house: Any, monkeypatch: Any) -> None:
    administrators = house.service.provided["consents"]._administrators
    real = administrators.signed_in
    expire = "UPDATE consent_link SET expires_at = clock_timestamp() - interval '1 second'"
    for end in (lambda: house.call("DELETE", LINK), lambda: house.sql(expire)):
        token = await house.make_link()
        body = await signed_in(house, token)

        async def meanwhile(*asked: Any, end: Any = end) -> Any:
            account = await real(*asked)
            await end()
            return account

        monkeypatch.setattr(administrators, "signed_in", meanwhile)
        refused = await house.by_link("sign-in", token, **body)
        assert (refused.status_code, refused.json()["code"]) == (409, "consent_ended")
        assert await house.jobs() == []


async def test_disconnecting_takes_the_link_back(house: Any) -> None:
    await house.connect()
    token = await house.make_link()
    await house.call("DELETE", "/v1/tenant")
    await check_unknown(house, token)


async def test_a_token_that_is_not_whole_is_unknown(house: Any) -> None:
    token = await house.make_link()
    organisation, secret = token.split(".")
    globex = base64.urlsafe_b64encode(b"globex").decode().rstrip("=")
    nul = base64.urlsafe_b64encode(b"ac\x00me").decode().rstrip("=")
    broken = base64.urlsafe_b64encode(b"\xff\xfe").decode().rstrip("=")
    wrong = [f"{organisation}.{secret[:-1]}", f"{organisation}.", organisation, f".{secret}", secret, "", ".", "é.é"]
    wrong += [f"{globex}.{secret}", f"{nul}.{secret}", f"{broken}.{secret}", f"{token}x", token + "=" * 900]
    for one in wrong:
        await check_unknown(house, one)
    assert (await house.by_link("open", token)).status_code == 200


async def test_a_link_opens_nothing_but_the_trip(house: Any) -> None:
    token = await house.make_link()
    for headers in ({"Authorization": f"Bearer {token}"}, {}):
        for method, path in (("GET", "/v1/tenant"), ("GET", LINK), ("DELETE", LINK), ("POST", "/v1/tenant/consent")):
            assert (await house.http.request(method, path, headers=headers)).status_code == 401
    assert set((await house.by_link("open", token)).json()) == {"organisation", "invited_by", "tenant", "expires_at"}


async def test_a_trip_by_link_and_a_persons_own_do_not_mix(house: Any) -> None:
    token = await house.make_link()
    own, linked = await house.consent(), await consented(house, token)
    assert (await house.by_link("complete", token, **own)).json()["code"] == "consent_other_user"
    assert (await house.complete(linked)).json()["code"] == "consent_other_user"
    other = await house.make_link(org="globex")
    linked = await consented(house, token)
    assert (await house.by_link("complete", other, **linked)).json()["code"] == "consent_attempt_unknown"


async def test_a_trip_by_link_is_bound_to_the_browser_that_set_out(house: Any) -> None:
    token = await house.make_link()
    for leg, body in (("complete", await consented(house, token)), ("sign-in", await signed_in(house, token))):
        refused = await house.by_link(leg, token, **(body | {"browser_key": "another"}))
        assert (refused.status_code, refused.json()["code"]) == (403, "consent_other_browser")
    assert (await house.by_link("open", token)).status_code == 200


async def test_who_holds_a_link_is_told_to_open_it_again(house: Any) -> None:
    token = await house.make_link()
    body = await consented(house, token, "anna@contoso.example")
    refused = await house.by_link("complete", token, **body)
    assert refused.json()["code"] == "consent_needs_admin"
    assert "Open the link that you were sent" in refused.json()["detail"]
    remembered = (await house.tenant())["problem"]
    assert remembered["code"] == "consent_needs_admin"
    assert "Start again with Connect" in remembered["detail"]
    assert "sends them a link under Admin → Connectors → Microsoft 365" in remembered["detail"]


async def test_who_holds_a_link_connects_no_other_tenant_than_the_one_it_is_for(house: Any) -> None:
    token = await house.make_link()
    refused = await house.by_link("complete", token, **await consented(house, token, FOREIGN_ADMIN))
    assert (refused.status_code, refused.json()["code"]) == (409, "link_for_another_tenant")
    assert "Open the link that you were sent" in refused.json()["detail"]
    tenant = await house.tenant()
    assert (tenant["status"], tenant["tid"], tenant["problem"]["code"]) == ("failed", None, "link_for_another_tenant")
    assert (await house.trail())[-1] == ("consent.complete", "refused", "link_for_another_tenant")
    assert await house.jobs() == []


async def test_the_administrator_who_signed_in_is_of_the_links_tenant_too(house: Any) -> None:
    token = await house.make_link()
    body = await signed_in(house, token)
    await house.sql("UPDATE consent_link SET tid = :tid", tid=FABRIKAM)
    refused = await house.by_link("sign-in", token, **body)
    assert (refused.status_code, refused.json()["code"]) == (409, "link_for_another_tenant")
    assert (await house.tenant())["problem"]["code"] == "link_for_another_tenant"
    assert (await house.trail())[-1] == ("consent.sign_in", "refused", "link_for_another_tenant")
    assert await house.jobs() == []
    assert (await house.by_link("open", token)).status_code == 200


async def test_a_link_never_moves_an_organisation_to_another_tenant(house: Any) -> None:
    token = await house.make_link("fabrikam.example")
    before = await house.connect()
    refused = await house.by_link("complete", token, **await consented(house, token, FOREIGN_ADMIN))
    assert (refused.status_code, refused.json()["code"]) == (409, "another_tenant_connected")
    newer = await house.call("POST", LINK, json={"tenant": "fabrikam.example"})
    assert (newer.status_code, newer.json()["code"]) == (409, "another_tenant_connected")
    assert "Contoso" in newer.json()["detail"]
    assert await house.tenant() == before
    assert (await house.by_link("open", token)).status_code == 200  # what was refused replaced nothing


@pytest.mark.parametrize("name", [CONTOSO, CONTOSO.upper(), " Contoso.Example "])
async def test_a_tenant_is_named_by_its_id_or_a_domain(house: Any, name: str) -> None:
    token = await house.make_link(name)
    assert (await house.by_link("open", token)).json()["tenant"] == name.strip().lower()
    assert (await house.by_link("sign-in", token, **await signed_in(house, token))).status_code == 202


NO_TENANT: list[tuple[Json | None, str, str]] = [
    (None, "invalid_request", "body"),
    ({}, "invalid_request", "tenant"),
    ({"tenant": "c" * 254}, "invalid_request", "tenant"),
    ({"tenant": "co\x00.example"}, "invalid_request", "tenant"),
    *(
        ({"tenant": name}, "tenant_not_named", "for example contoso.com")
        for name in ("", "contoso", "common", "../x.example", "a.example/b", "a@contoso.example")
    ),
    ({"tenant": "nobody.example"}, "tenant_not_found", "nobody.example. Check the spelling"),
    ({"tenant": CONTOSO.replace("c0a7", "dead")}, "tenant_not_found", "Check the spelling"),
]


async def test_without_a_tenant_that_microsoft_knows_there_is_no_link(house: Any) -> None:
    for body, code, words in NO_TENANT:
        refused = await house.call("POST", LINK, json=body)
        assert (refused.status_code, refused.json()["code"]) == (422, code), body
        assert words in refused.json()["detail"]
    assert await house.rows("consent_link") == []


async def test_while_microsoft_is_away_no_link_is_made(house: Any) -> None:
    house.service.settings.entra_authority = "https://localhost:9"
    refused = await house.call("POST", LINK, json=FOR_CONTOSO)
    assert (refused.status_code, refused.json()["code"]) == (503, "microsoft_busy")
    assert await house.rows("consent_link") == []
    assert await house.trail() == []


async def test_links_are_made_so_often_an_hour(house: Any) -> None:
    house.service.settings.consents_per_hour = 2
    answers = [await house.call("POST", LINK, json=FOR_CONTOSO) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201, 201, 429]


async def test_a_link_is_used_so_often_an_hour_and_a_newer_one_begins_anew(house: Any) -> None:
    house.service.settings.link_calls_per_hour = 4
    token = await house.make_link()
    started = len(await house.trail())
    answers = [await house.by_link("start", token) for _ in range(10)]
    assert [answer.status_code for answer in answers] == [201] * 4 + [429] * 6
    said = answers[-1].json()
    assert (said["code"], "This link was used very often" in said["detail"]) == ("too_many_requests", True)
    assert int(answers[-1].headers["retry-after"]) == said["retry_after_s"] > 0
    for leg in ("open", "complete", "sign-in"):
        assert (await house.by_link(leg, token, **({} if leg == "open" else {"state": "s"}))).status_code == 429
    assert len(await house.trail()) == started + 4
    await check_unknown(house, f"{token}x")  # and who has no link uses up nobody's
    assert (await house.by_link("open", await house.make_link())).status_code == 200


async def test_starting_by_a_link_pushes_nobody_elses_trip_out(house: Any) -> None:
    own = await house.consent()
    token = await house.make_link()
    linked = await consented(house, token)
    for _ in range(21):
        assert (await house.by_link("start", token)).status_code == 201
    assert (await house.by_link("complete", token, **linked)).json()["code"] == "consent_attempt_unknown"
    assert (await house.complete(own)).status_code == 202
