"""From admin consent to the downloaded recording: real MSAL over https, real listeners."""

import asyncio
import datetime
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import httpx
import msal
import pytest
import requests
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from m365_simulator import Simulator, SimulatorSettings
from m365_simulator.client import SimulatorClient
from m365_simulator.directory import CONTOSO
from shared.testing.serving import serving

# MSAL recommends form_post; the callbacks here are plain links.
pytestmark = pytest.mark.filterwarnings("ignore:response_mode=:UserWarning")
REDIRECT = "http://localhost:8365/connectors/microsoft365/callback"
SCOPES = ["Calendars.ReadWrite", "OnlineMeetings.ReadWrite"]


@pytest.fixture
def settings(simulator: Simulator) -> SimulatorSettings:
    return simulator.settings


@pytest.fixture
async def receiver() -> AsyncIterator[tuple[str, asyncio.Queue[dict[str, Any]]]]:
    got: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def receive(request: Request) -> Response:
        if "validationToken" in request.query_params:
            return PlainTextResponse(request.query_params["validationToken"])
        got.put_nowait(await request.json())
        return Response(status_code=202)

    async with serving(Starlette(routes=[Route("/hook", receive, methods=["POST"])])) as url:
        yield f"{url}/hook", got


def application(settings: SimulatorSettings) -> msal.ConfidentialClientApplication:
    session = requests.Session()
    session.trust_env = False  # a REQUESTS_CA_BUNDLE would win over the session's own CA
    session.headers["Connection"] = "close"
    session.verify = str(settings.state_dir / "ca.pem")
    return msal.ConfidentialClientApplication(
        settings.client_id,
        client_credential=settings.client_secret,
        authority=f"{settings.https_base_url}/{CONTOSO}",
        instance_discovery=False,
        http_client=session,
    )


def consent_url(settings: SimulatorSettings) -> str:
    query = {"client_id": settings.client_id, "redirect_uri": REDIRECT, "state": "s1"}
    query["scope"] = "https://graph.microsoft.com/.default"
    return f"{settings.http_base_url}/organizations/v2.0/adminconsent?{urlencode(query)}"


async def tokens(settings: SimulatorSettings, microsoft: SimulatorClient) -> tuple[str, str]:
    """A delegated token of Anna and an application token, after consent."""
    back = await microsoft.approve_admin_consent(consent_url(settings), "admin@contoso.example")
    assert f"tenant={CONTOSO}" in back
    assert "state=s1" in back
    msal_app = await asyncio.to_thread(application, settings)
    flow = msal_app.initiate_auth_code_flow(SCOPES, redirect_uri=REDIRECT)
    callback = dict(parse_qsl(urlsplit(await microsoft.sign_in(flow["auth_uri"], "anna@contoso.example")).query))
    user = await asyncio.to_thread(msal_app.acquire_token_by_auth_code_flow, flow, callback)
    assert user["id_token_claims"]["preferred_username"] == "anna@contoso.example"
    accounts = msal_app.get_accounts()
    assert await asyncio.to_thread(msal_app.acquire_token_silent, SCOPES, accounts[0])
    app = await asyncio.to_thread(msal_app.acquire_token_for_client, ["https://graph.microsoft.com/.default"])
    return user["access_token"], app["access_token"]


def graph(settings: SimulatorSettings, token: str) -> httpx.AsyncClient:
    base = f"{settings.http_base_url}/v1.0"
    return httpx.AsyncClient(base_url=base, headers={"Authorization": f"Bearer {token}"})


EVENT = {
    "subject": "Offer",
    "start": {"dateTime": "2030-01-01T10:00:00", "timeZone": "UTC"},
    "end": {"dateTime": "2030-01-01T11:00:00", "timeZone": "UTC"},
    "isOnlineMeeting": True,
    "onlineMeetingProvider": "teamsForBusiness",
    "transactionId": "t-1",
}


async def test_a_meetings_recording_is_announced_and_downloaded(
    settings: SimulatorSettings, microsoft: SimulatorClient, receiver: tuple[str, asyncio.Queue[dict[str, Any]]]
) -> None:
    url, notifications = receiver
    delegated, app_only = await tokens(settings, microsoft)
    async with graph(settings, delegated) as me, graph(settings, app_only) as app:
        event = (await me.post("/me/events", json=EVENT)).raise_for_status().json()
        assert (await me.post("/me/events", json=EVENT)).json()["id"] == event["id"]
        join_url = event["onlineMeeting"]["joinUrl"]
        found = await me.get("/me/onlineMeetings", params={"$filter": f"JoinWebUrl eq '{quote(join_url, safe='')}'"})
        meeting = found.raise_for_status().json()["value"][0]
        patched = await me.patch(f"/me/onlineMeetings/{meeting['id']}", json={"recordAutomatically": True})
        patched.raise_for_status()
        oid = meeting["participants"]["organizer"]["identity"]["user"]["id"]
        soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=59)
        wanted = {
            "changeType": "created",
            "notificationUrl": url,
            "resource": f"users/{oid}/onlineMeetings/getAllRecordings",
            "expirationDateTime": soon.isoformat(),
            "clientState": "secret",
        }
        assert (await app.post("/subscriptions", json=wanted)).status_code == 201
        await microsoft.let_meeting_happen(join_url)
        await microsoft.settle()
        async with asyncio.timeout(10):
            item = (await notifications.get())["value"][0]
        assert item["clientState"] == "secret"
        base = f"/users/{oid}/onlineMeetings/{meeting['id']}"
        content = await app.get(f"{base}/recordings/{item['resourceData']['id']}/content")
        assert content.status_code == 302
        link = content.headers["location"]
        assert (await app.get(link)).status_code == 401
        async with httpx.AsyncClient() as plain:
            assert (await plain.get(link)).content[4:8] == b"ftyp"
            assert (await plain.get(link, headers={"Range": "bytes=4-7"})).content == b"ftyp"
        spoken = (await app.get(f"{base}/transcripts")).json()["value"][0]
        assert (await app.get(f"{base}/transcripts/{spoken['id']}/content")).text.startswith("WEBVTT")
        function = f"getAllRecordings(meetingOrganizerUserId='{oid}',startDateTime=2020-01-01T00:00:00Z)"
        assert len((await app.get(f"/users/{oid}/onlineMeetings/{function}")).json()["value"]) == 1


async def test_a_misspelt_property_and_a_missing_token_are_refused(
    settings: SimulatorSettings, microsoft: SimulatorClient
) -> None:
    delegated, _ = await tokens(settings, microsoft)
    async with graph(settings, delegated) as me:
        assert (await me.post("/me/events", json={**EVENT, "subjekt": "x"})).status_code == 400
        missing = await me.get("/me/events/x", headers={"Authorization": ""})
        assert missing.json()["error"]["code"] == "InvalidAuthenticationToken"


async def test_an_application_token_needs_admin_consent(settings: SimulatorSettings) -> None:
    msal_app = await asyncio.to_thread(application, settings)
    refused = await asyncio.to_thread(msal_app.acquire_token_for_client, ["https://graph.microsoft.com/.default"])
    assert refused["error_codes"] == [700016]
