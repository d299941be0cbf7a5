"""Entra's refusals by what the caller does next: the whole table, however a number comes back to us."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import msal
import pytest
import requests

from shared.database.outbox import Outbox
from shared.entra.aadsts import (
    NUMBERS,
    EntraError,
    EntraMisconfigured,
    EntraOtherCloud,
    EntraReconnect,
    EntraRetry,
    EntraTellAdmin,
    EntraTenantGone,
    EntraTenantUnknown,
    refusal,
)
from shared.entra.client import Entra
from tenant_connector.tokens import acquire
from user_auth import connections
from user_auth.microsoft import Microsoft
from user_auth.settings import Settings
from user_auth.signing_in import _refused
from user_auth.tables import ConnectionRow

from .said_by_entra import TID, Said, SaidByEntra, document, scripted, settings_of

Kind = type[EntraError]
TABLE: list[tuple[int, str, str, Kind]] = [
    (50173, "invalid_grant", "bad_token", EntraReconnect),
    (700082, "invalid_grant", "token_expired", EntraReconnect),
    (700081, "invalid_grant", "", EntraReconnect),
    (70008, "invalid_grant", "", EntraReconnect),
    (70043, "invalid_grant", "bad_token", EntraReconnect),
    (50132, "invalid_grant", "", EntraReconnect),
    (50133, "invalid_grant", "", EntraReconnect),
    (50076, "invalid_grant", "basic_action", EntraReconnect),
    (50076, "interaction_required", "basic_action", EntraReconnect),
    (50079, "interaction_required", "basic_action", EntraReconnect),
    (50074, "interaction_required", "basic_action", EntraReconnect),
    (50078, "interaction_required", "additional_action", EntraReconnect),
    (50034, "invalid_grant", "", EntraReconnect),
    (65004, "access_denied", "", EntraReconnect),
    (65004, "consent_required", "", EntraReconnect),
    (501481, "invalid_grant", "", EntraReconnect),
    (54005, "invalid_grant", "", EntraReconnect),
    (700005, "invalid_grant", "", EntraReconnect),
    (53000, "interaction_required", "message_only", EntraTellAdmin),
    (53001, "invalid_grant", "message_only", EntraTellAdmin),
    (53003, "invalid_grant", "message_only", EntraTellAdmin),
    (53003, "access_denied", "", EntraTellAdmin),
    (530032, "interaction_required", "message_only", EntraTellAdmin),
    (65001, "invalid_grant", "consent_required", EntraTellAdmin),
    (90094, "access_denied", "", EntraTellAdmin),
    (90095, "access_denied", "", EntraTellAdmin),
    (50105, "access_denied", "", EntraTellAdmin),
    (50057, "invalid_grant", "", EntraTellAdmin),
    (90038, "invalid_request", "", EntraOtherCloud),
    (5000225, "interaction_required", "", EntraTellAdmin),
    (700016, "unauthorized_client", "", EntraTenantGone),
    (7000229, "invalid_client", "", EntraTenantGone),
    (7000112, "unauthorized_client", "", EntraTenantGone),
    (90002, "invalid_request", "", EntraTenantUnknown),
    (500011, "invalid_resource", "", EntraMisconfigured),
    (7000215, "invalid_client", "", EntraMisconfigured),
    (7000222, "invalid_client", "", EntraMisconfigured),
    (700027, "invalid_client", "", EntraMisconfigured),
    (7000218, "invalid_client", "", EntraMisconfigured),
    (50011, "invalid_request", "", EntraMisconfigured),
    (70011, "invalid_scope", "", EntraMisconfigured),
    (700022, "invalid_scope", "", EntraMisconfigured),
    (50194, "invalid_request", "", EntraMisconfigured),
    (9001023, "invalid_request", "", EntraMisconfigured),
    (50196, "invalid_grant", "", EntraRetry),
    (90033, "temporarily_unavailable", "", EntraRetry),
    (90090, "temporarily_unavailable", "", EntraRetry),
]
WHO_AND_WHAT: dict[Kind, str] = {
    EntraRetry: "It is tried again.",
    EntraTellAdmin: "Ask ",
    EntraOtherCloud: "Ask your Microsoft 365 administrator",
    EntraTenantGone: "Connect the organisation again.",
    EntraTenantUnknown: "Ask an Org Admin",
    EntraMisconfigured: "Tell the operator.",
}
SECRETS = {"code": "the-code", "refresh": "the-refresh-token", "verifier": "v" * 43, "client": "the-client-secret"}
ABOUT_ANNA = "User 'anna@contoso.example' of the-refresh-token"


def body(number: int, error: str, suberror: str = "") -> dict[str, Any]:
    described = f"AADSTS{number}: {ABOUT_ANNA}. Trace ID: {TID} Correlation ID: {TID} Timestamp: 2026-01-01 00:00:00Z"
    said = {"error": error, "error_description": described, "error_codes": [number], "trace_id": TID}
    return (
        said
        | {"correlation_id": TID, "timestamp": "2026-01-01 00:00:00Z"}
        | ({"suberror": suberror} if suberror else {})
    )


def new_entra() -> Entra:
    return Entra(settings_of(Settings, client_secret=SECRETS["client"]))


@pytest.fixture
def entra() -> Entra:
    return new_entra()


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> SaidByEntra:
    return scripted(monkeypatch, (200, document("https://login.microsoftonline.com")))


def kept() -> str:
    """A person's token cache."""
    cache = msal.SerializableTokenCache()
    answer = {
        "access_token": "old",
        "refresh_token": SECRETS["refresh"],
        "expires_in": 1,
        "client_info": "eyJ1aWQiOiJ1In0",
    }
    answer["id_token_claims"] = {"sub": "s", "oid": "o", "tid": TID, "preferred_username": "anna@contoso.example"}
    at = f"https://login.microsoftonline.com/{TID}/oauth2/v2.0/token"
    cache.add({"client_id": "c", "scope": ["User.Read"], "token_endpoint": at, "response": answer})
    return str(cache.serialize())


Way = Callable[[Entra], Awaitable[Any]]


async def refresh(entra: Entra) -> None:
    microsoft = Microsoft(entra._settings, entra)
    try:
        await microsoft.refresh(TID, kept(), None, None)
    finally:
        await microsoft.aclose()


async def redeem(entra: Entra) -> None:
    microsoft = Microsoft(entra._settings, entra)
    flow = {
        "state": "s",
        "redirect_uri": "https://p.example/cb",
        "scope": ["User.Read"],
        "code_verifier": SECRETS["verifier"],
    }
    try:
        await microsoft.redeem(TID, flow | {"nonce": "n"}, {"state": "s", "code": SECRETS["code"]})
    finally:
        await microsoft.aclose()


async def as_application(entra: Entra) -> None:
    await asyncio.to_thread(acquire, entra, TID)


WAYS: list[Way] = [refresh, redeem, as_application]


async def refused_by(way: Way, kind: Kind) -> EntraError:
    """How Entra refuses a process that has asked nothing yet."""
    with pytest.raises(kind) as refused:
        await way(new_entra())
    return refused.value


def check(error: EntraError, kind: Kind, number: int) -> None:
    assert type(error) is kind
    assert (error.number, error.trace_id) == (number, TID)
    assert error.message.endswith(".")
    written = f"{error} {vars(error)}"
    assert [secret for secret in (*SECRETS.values(), "anna@contoso.example") if secret in written] == []


@pytest.mark.parametrize(("number", "error", "suberror", "kind"), TABLE)
async def test_a_number_says_who_acts_next_however_it_comes_back(
    number: int, error: str, suberror: str, kind: Kind, said: SaidByEntra
) -> None:
    said.token = (401 if error == "invalid_client" else 400, body(number, error, suberror))
    for way in WAYS:
        said.asked.clear()
        check(await refused_by(way, EntraError), kind, number)
        assert said.forms, f"{way.__name__} asks the token endpoint"
    redirect = {"error": error, "error_description": body(number, error)["error_description"], "state": "s"}
    check(refusal(redirect | ({"error_subcode": suberror} if suberror else {})), kind, number)


@pytest.mark.parametrize(("number", "error", "suberror", "kind"), TABLE)
def test_every_sentence_names_who_acts_and_what_to_do(number: int, error: str, suberror: str, kind: Kind) -> None:
    """A sign-in's refusal, and what a connection that ended shows, are made of it."""
    refused = refusal(body(number, error, suberror))
    shown = _refused(refused).detail
    if kind is not EntraReconnect:
        assert WHO_AND_WHAT[kind] in refused.message
        assert refused.message in shown or "Admin → Connectors → Microsoft 365, chooses Connect" in shown
    else:
        assert "Start" in shown
        assert "again" in shown
    if kind in (EntraReconnect, EntraTellAdmin):
        row = ConnectionRow(org_id="acme", user_id="anna", status="connected", version=1)
        connections.expire(row, refused, Outbox(source="user-auth"))
        assert row.problem is not None
        assert "account under Settings" in row.problem["detail"]


def test_every_number_we_know_is_in_this_table() -> None:
    other_clouds = {90043, 900382, 900383, 900384}  # tried in test_clouds
    assert set(NUMBERS) == {number for number, *_ in TABLE} | other_clouds


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ({"error": "invalid_grant"}, EntraReconnect),
        ({"error": "interaction_required"}, EntraReconnect),
        ({"error": "login_required"}, EntraReconnect),
        ({"error": "access_denied"}, EntraReconnect),
        ({"error": "consent_required"}, EntraTellAdmin),
        ({"error": "temporarily_unavailable"}, EntraRetry),
        ({"error": "server_error"}, EntraRetry),
        ({"error": "invalid_client"}, EntraMisconfigured),
        ({"error": "invalid_scope"}, EntraMisconfigured),
        ({"error": "something_new"}, EntraMisconfigured),
        ({}, EntraMisconfigured),
    ],
)
@pytest.mark.parametrize("number", [0, 999999])
def test_an_unknown_number_is_told_by_its_error(answer: dict[str, Any], kind: Kind, number: int) -> None:
    error = refusal(answer | ({"error_codes": [number]} if number else {}))
    assert type(error) is kind
    assert error.number == number
    assert error.message.endswith(".")


@pytest.mark.parametrize("words", ["\x00", "<b>access</b>", "Call +1 555 0100", "a" * 65, "été"])
def test_words_that_are_no_oauth_error_are_not_repeated_to_people(words: str) -> None:
    assert words not in refusal({"error": words}).message


@pytest.mark.parametrize(
    ("suberror", "kind"),
    [
        ("basic_action", EntraReconnect),
        ("additional_action", EntraReconnect),
        ("bad_token", EntraReconnect),
        ("token_expired", EntraReconnect),
        ("client_mismatch", EntraReconnect),
        ("user_password_expired", EntraReconnect),
        ("message_only", EntraTellAdmin),
        ("consent_required", EntraTellAdmin),
        ("protection_policy_required", EntraTellAdmin),
        ("device_authentication_failed", EntraTellAdmin),
    ],
)
@pytest.mark.parametrize("error", ["invalid_grant", "interaction_required"])
async def test_a_suberror_decides_where_the_number_is_unknown(
    suberror: str, kind: Kind, error: str, said: SaidByEntra
) -> None:
    """At the refresh, where MSAL blanks some of them in ``classification``."""
    said.token = (400, body(999999, error, suberror))
    refused = await refused_by(refresh, EntraError)
    check(refused, kind, 999999)
    assert refused.suberror == suberror


@pytest.mark.parametrize(
    ("answer", "number"),
    [
        ({"error_codes": [999999, 53003]}, 53003),
        ({"error_codes": ["700016"]}, 700016),
        ({"error_codes": "50173", "error_description": "AADSTS50173: x"}, 50173),
        ({"error_codes": [], "error_description": "AADSTS999999: AADSTS90094: x"}, 90094),
        ({"error_codes": [None, {}], "error_description": "AADSTS50173: x"}, 0),
        ({"error_description": "no number"}, 0),
    ],
)
def test_of_several_numbers_the_known_one_counts(answer: dict[str, Any], number: int) -> None:
    assert refusal({"error": "invalid_grant"} | answer).number == number


PAGE = "<html>the-code is not for you</html>"
FINAL = body(50173, "invalid_grant", "bad_token")
BUSY: list[Said] = [
    *((status, what) for status in (408, 429, 500, 502, 503, 504) for what in (PAGE, "", {}, FINAL)),
    (503, body(90033, "temporarily_unavailable")),
]
NOT_MICROSOFT: list[Said] = [(200, PAGE), (400, PAGE), (403, PAGE), (200, ""), (200, "[]"), (200, "[" * 100_000)]
NOT_MICROSOFT += [(status, {}, {"Location": "https://evil.example/"}) for status in (301, 302, 307, 308)]


@pytest.mark.parametrize("answer", [*BUSY, *NOT_MICROSOFT], ids=lambda answer: f"{answer[0]} {str(answer[1])[:30]}")
async def test_what_is_transient_never_ends_a_connection(
    answer: Said, said: SaidByEntra, caplog: pytest.LogCaptureFixture
) -> None:
    said.token = answer
    for way in WAYS:
        refused = await refused_by(way, EntraRetry)
        assert "the-code" not in f"{refused.message}{caplog.text}"
        if answer[1] is FINAL:
            assert (refused.number, refused.trace_id) == (50173, TID)
    said.discovery, asked = answer, len(said.forms)
    await refused_by(as_application, EntraRetry)
    assert len(said.forms) == asked, "who stumbles at the discovery asks for no token"


IN_AN_HOUR = "in an hour"
"""Stands for that date: the runs of one test must agree on its name, whenever each begins."""


@pytest.mark.parametrize(
    ("said_wait", "least", "most"),
    [("7", 7, 7), (IN_AN_HOUR, 600, 3600), ("soon", 0, 0), ("-1", 0, 0), ("999999999", 3600, 86_400), (None, 0, 0)],
)
async def test_how_long_microsoft_wants_to_be_left_alone_is_kept(
    said_wait: str | None, least: float, most: float, said: SaidByEntra
) -> None:
    if said_wait == IN_AN_HOUR:
        said_wait = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    said.token = (429, {}, {"Retry-After": said_wait} if said_wait else {})
    for way in WAYS:
        assert least <= ((await refused_by(way, EntraRetry)).after_s or 0) <= most


async def test_nothing_is_sent_after_a_redirect(said: SaidByEntra) -> None:
    said.token = (307, {}, {"Location": "https://evil.example/"})
    for way in WAYS:
        await refused_by(way, EntraRetry)
    assert [more["allow_redirects"] for _, _, more in said.asked] == [False] * len(said.asked)
    assert all(more["timeout"] for _, _, more in said.asked)


async def test_an_unreachable_microsoft_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(*args: Any, **more: Any) -> None:
        raise requests.ConnectionError("no route with the-code")

    monkeypatch.setattr(requests.Session, "request", nobody)
    for way in WAYS:
        assert "the-code" not in (await refused_by(way, EntraRetry)).message


@pytest.mark.parametrize(
    ("answer", "kind", "number"),
    [
        ((400, body(90002, "invalid_tenant")), EntraTenantUnknown, 90002),
        ((400, body(900023, "invalid_request")), EntraTenantUnknown, 900023),
        ((404, {"error": "not_found"}), EntraTenantUnknown, 0),
        ((400, body(90038, "invalid_request")), EntraOtherCloud, 90038),
        ((200, {}), EntraMisconfigured, 0),
        ((200, {"authorization_endpoint": 1, "token_endpoint": 2}), EntraMisconfigured, 0),
        ((200, document("http://login.microsoftonline.com")), EntraMisconfigured, 0),
    ],
)
async def test_a_discovery_that_refuses_or_makes_no_sense_is_told_apart(
    answer: Said, kind: Kind, number: int, said: SaidByEntra
) -> None:
    said.discovery = answer
    refused = await refused_by(as_application, EntraError)
    assert (type(refused), refused.number) == (kind, number)
    assert issubclass(EntraTenantUnknown, EntraMisconfigured)
    assert said.forms == []


def test_a_tenants_id_is_read_of_microsofts_own_discovery_only(entra: Entra, said: SaidByEntra) -> None:
    assert entra.tenant_id("contoso.example") == TID
    for login in ("https://login.microsoftonline.com/common", "https://login.evil.example"):
        said.discovery = (200, document(login))
        with pytest.raises(EntraMisconfigured):
            entra.tenant_id("contoso.example")


async def test_an_answer_of_another_sign_in_is_not_used_and_not_quoted(entra: Entra, said: SaidByEntra) -> None:
    microsoft = Microsoft(entra._settings, entra)
    flow = {"state": "mine", "redirect_uri": "https://p.example/cb", "scope": [], "code_verifier": SECRETS["verifier"]}
    with pytest.raises(EntraReconnect) as refused:
        await microsoft.redeem(TID, flow, {"state": "the-code", "code": SECRETS["code"]})
    await microsoft.aclose()
    assert "the-code" not in f"{refused.value.message}{refused.value.__cause__}"
    assert said.forms == []
