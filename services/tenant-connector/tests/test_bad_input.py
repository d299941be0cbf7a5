"""Whatever an address of the ways back holds: a clear problem, and nothing is kept of it."""

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

from hypothesis import example, given, settings
from hypothesis import strategies as st

from m365_simulator.directory import CONTOSO, FABRIKAM, PERSONAL

LEGS = {
    "complete": ("state", "browser_key", "tenant", "admin_consent", "scope", "error", "error_description"),
    "sign-in": ("state", "browser_key", "code", "error", "error_description"),
}
LIKELY = ["", "True", "\x00", "AADSTS90094", "access_denied", "server_error", "'; DROP TABLE tenant; --", "%00"]
LIKELY += [CONTOSO, FABRIKAM, PERSONAL, CONTOSO.upper(), f"{CONTOSO}/..", "../..", "//evil.example"]
LIKELY += ["https://evil.example", "\ud800"]
words = st.one_of(st.sampled_from(LIKELY), st.text(max_size=40))
odd = st.one_of(words, st.none(), st.integers(), st.booleans(), st.lists(words, max_size=2))


def answers(leg: str) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.sampled_from([*LEGS[leg], "unknown"]), odd, max_size=6)


async def kept(house: Any) -> list[Any]:
    claimed = await house.sql("SELECT * FROM tenant WHERE claimed_tid IS NOT NULL OR tid IS NOT NULL")
    return [*claimed, *await house.jobs()]


def check_problem(answer: Any) -> None:
    assert 400 <= answer.status_code < 500, answer.text
    problem = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["detail"].rstrip().endswith((".", "?"))
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert problem["code"]


def asked(examples: int) -> Any:
    """A leg and what came back from it; one service answers them all."""
    of_a_leg = st.sampled_from(list(LEGS)).flatmap(lambda leg: st.tuples(st.just(leg), answers(leg)))
    patient = settings(max_examples=examples, database=None)
    half = example(asked=("complete", {"state": "\ud800", "browser_key": "\ud800"}))
    return lambda test: patient(half(given(asked=of_a_leg)(test)))


async def send(house: Any, path: str, body: dict[str, Any], *, admin: bool) -> Any:
    headers = {"Content-Type": "application/json"}
    if admin:
        headers["Authorization"] = f"Bearer {house.keys.token('acme', 'ada', ('org_admin',))}"
    return await house.http.post(path, content=json.dumps(body).encode(), headers=headers)


@asked(examples=30)
async def test_what_nobody_set_out_for_is_a_clear_problem(house: Any, asked: tuple[str, dict[str, Any]]) -> None:
    leg, body = asked
    house.service.settings.consents_per_hour = 10_000
    link = await house.make_link()
    check_problem(await send(house, f"/v1/tenant/consent/{leg}", body, admin=True))
    check_problem(await send(house, f"/v1/tenant/consent/link/{leg}", body | {"token": link}, admin=False))
    check_problem(await send(house, f"/v1/tenant/consent/link/{leg}", {"token": body.get("state")}, admin=False))
    assert await kept(house) == []
    assert (await house.tenant())["status"] == "not_connected"


@asked(examples=15)
async def test_a_trip_of_ones_own_with_a_spoilt_answer_claims_nothing(
    house: Any, asked: tuple[str, dict[str, Any]]
) -> None:
    """The state and the browser are right; whatever else came is not what Microsoft said."""
    leg, body = asked
    begun = await house.start()
    own = {"state": state_of(begun["consent_url"]), "browser_key": begun["browser_key"]}
    if leg == "sign-in":
        taken = await house.complete(own | {"tenant": CONTOSO, "admin_consent": "True"})
        own["state"] = state_of(taken.json()["sign_in_url"])
    answer = await send(house, f"/v1/tenant/consent/{leg}", body | own, admin=True)
    if answer.status_code == 202:
        assert (leg, str(body["tenant"]).lower() in {CONTOSO, FABRIKAM}) == ("complete", True)
        assert answer.json()["sign_in_url"].startswith(f"{house.simulator.settings.http_base_url}/")
    else:
        check_problem(answer)
    assert await kept(house) == []


def state_of(url: str) -> str:
    return parse_qs(urlsplit(url).query)["state"][0]
