"""Microsoft's own Python client, unmodified, on every kind of endpoint that the platform uses."""

import datetime
import gc
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from m365_simulator import Simulator
from m365_simulator.client import SimulatorClient
from m365_simulator.directory import CONTOSO, find_user
from m365_simulator.signing import access_token
from shared.testing.serving import serving

pytest.importorskip("msgraph", reason="needs the clients of others: make test fetches them")

from azure.core.credentials import AccessToken
from kiota_abstractions.base_request_configuration import RequestConfiguration
from kiota_authentication_azure.azure_identity_authentication_provider import AzureIdentityAuthenticationProvider
from msgraph import GraphRequestAdapter, GraphServiceClient
from msgraph.generated.models.attendee import Attendee
from msgraph.generated.models.contact import Contact
from msgraph.generated.models.date_time_time_zone import DateTimeTimeZone
from msgraph.generated.models.drive_item_uploadable_properties import DriveItemUploadableProperties
from msgraph.generated.models.email_address import EmailAddress
from msgraph.generated.models.event import Event
from msgraph.generated.models.item_body import ItemBody
from msgraph.generated.models.message import Message
from msgraph.generated.models.o_data_errors.o_data_error import ODataError
from msgraph.generated.models.online_meeting import OnlineMeeting
from msgraph.generated.models.online_meeting_provider_type import OnlineMeetingProviderType
from msgraph.generated.models.recipient import Recipient
from msgraph.generated.models.subscription import Subscription

# Microsoft's client warns of parts of itself, and leaves connections to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
PART = 327_680
DEFAULT = "https://graph.microsoft.com/.default"
ANNA, BEN = "anna@contoso.example", "ben@contoso.example"
Client = Callable[..., Any]


class Held:
    """A credential that was already given."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def get_token(self, *_scopes: str, **_more: Any) -> AccessToken:
        return AccessToken(self._token, 2**31)

    async def close(self) -> None:
        return None


@pytest.fixture(autouse=True, scope="module")
def nothing_left_to_others() -> Iterator[None]:
    """What is left to the garbage collector is collected here, not in somebody else's test."""
    yield
    gc.collect()


@pytest.fixture
async def adapters() -> AsyncIterator[list[GraphRequestAdapter]]:
    """What was made, to be closed in the end: closing the client leaves the connections of its inner transport."""
    made: list[GraphRequestAdapter] = []
    yield made
    for adapter in made:
        await adapter._http_client._transport.transport.aclose()
        await adapter._http_client.aclose()


@pytest.fixture
def client(simulator: Simulator, adapters: list[GraphRequestAdapter]) -> Client:
    """``client("Mail.Send")`` is Anna's, ``client(roles="…")`` the application's."""

    def make(permissions: str = "", *, roles: str = "", person: str = ANNA) -> Any:
        user = find_user(simulator.store, person) or {}
        who = {"oid": "sp", "idtyp": "app", "roles": roles.split()} if roles else {"oid": user["id"], "idtyp": "user"}
        claims = {"tid": CONTOSO, "appid": simulator.settings.client_id, "scp": permissions, **who}
        token = access_token(simulator.entra, "https://sts.windows.net/", claims)
        provider = AzureIdentityAuthenticationProvider(Held(token), scopes=["any"], allowed_hosts=["localhost"])
        adapter = GraphRequestAdapter(provider)
        adapter.base_url = f"{simulator.settings.http_base_url}/v1.0"
        adapters.append(adapter)
        return GraphServiceClient(request_adapter=adapter)

    return make


@pytest.fixture
async def receiver() -> AsyncIterator[str]:
    """Answers the handshake and takes everything."""

    async def receive(request: Request) -> Response:
        return PlainTextResponse(request.query_params.get("validationToken", ""))

    async with serving(Starlette(routes=[Route("/hook", receive, methods=["POST"])])) as url:
        yield f"{url}/hook"


def event(day: int = 1, **more: Any) -> Event:
    at = [DateTimeTimeZone(date_time=f"2030-01-0{day}T1{hour}:00:00", time_zone="UTC") for hour in (0, 1)]
    invited = [Attendee(email_address=EmailAddress(address=BEN, name="Ben Berg"))]
    online = {"is_online_meeting": True, "online_meeting_provider": OnlineMeetingProviderType.TeamsForBusiness}
    return Event(subject="Offer", start=at[0], end=at[1], attendees=invited, **online, **more)


async def test_the_organisation_and_its_people_are_read(client: Client) -> None:
    graph = client("User.Read")
    assert (await graph.me.get()).display_name == "Anna Andersson"
    assert (await graph.organization.get()).value[0].id == CONTOSO
    with pytest.raises(ODataError) as caught:
        await graph.me.events.by_event_id("x").get()
    assert caught.value.error.code == "ErrorAccessDenied"
    assert caught.value.response_status_code == 403


async def test_a_meeting_is_booked_moved_happens_and_its_artefacts_are_read(
    client: Client, microsoft: SimulatorClient
) -> None:
    graph = client(
        "Calendars.ReadWrite OnlineMeetings.ReadWrite OnlineMeetingRecording.Read.All OnlineMeetingTranscript.Read.All"
    )
    booked = await graph.me.events.post(event(transaction_id="t-1"))
    link = booked.online_meeting.join_url
    moved = Event(end=DateTimeTimeZone(date_time="2030-01-01T12:00:00", time_zone="UTC"), start=booked.start)
    assert (await graph.me.events.by_event_id(booked.id).patch(moved)).end.date_time.startswith("2030-01-01T12:00:00")
    query = type(graph.me.online_meetings).OnlineMeetingsRequestBuilderGetQueryParameters(
        filter=f"JoinWebUrl eq '{link}'"
    )
    found = await graph.me.online_meetings.get(RequestConfiguration(query_parameters=query))
    meeting = graph.me.online_meetings.by_online_meeting_id(found.value[0].id)
    assert (await meeting.patch(OnlineMeeting(record_automatically=True))).record_automatically is True
    await microsoft.let_meeting_happen(link)
    await microsoft.do("recording_delivery", other_host=True)
    recording = (await meeting.recordings.get()).value[0]
    transcript = (await meeting.transcripts.get()).value[0]
    assert recording.content_correlation_id == transcript.content_correlation_id
    assert (await meeting.recordings.by_call_recording_id(recording.id).content.get())[4:8] == b"ftyp"
    assert (await meeting.transcripts.by_call_transcript_id(transcript.id).content.get()).startswith(b"WEBVTT")


async def test_cancelling_and_deleting_events(client: Client) -> None:
    graph = client("Calendars.ReadWrite")
    from msgraph.generated.users.item.events.item.cancel.cancel_post_request_body import CancelPostRequestBody

    one, two = [await graph.me.events.post(event()) for _ in range(2)]
    await graph.me.events.by_event_id(one.id).cancel.post(CancelPostRequestBody(comment="Not today"))
    await graph.me.events.by_event_id(two.id).delete()
    for gone in (one, two):
        with pytest.raises(ODataError) as caught:
            await graph.me.events.by_event_id(gone.id).get()
        assert caught.value.response_status_code == 404


async def test_all_recordings_of_an_organizer_are_listed_page_by_page(
    simulator: Simulator, client: Client, microsoft: SimulatorClient
) -> None:
    graph = client("Calendars.ReadWrite")
    for day in (1, 2, 3):
        booked = await graph.me.events.post(event(day))
        await microsoft.let_meeting_happen(booked.online_meeting.join_url, record=True)
    anna = (find_user(simulator.store, ANNA) or {})["id"]
    app = client(roles="OnlineMeetingRecording.Read.All")
    asked = app.users.by_user_id(anna).online_meetings
    name = "get_all_recordingsmeeting_organizer_user_id_meeting_organizer_user_id"
    every = getattr(asked, f"{name}_with_start_date_time_with_end_date_time")
    # Its template does not fill in the arguments of the function, so the address is given.
    given = f"meetingOrganizerUserId='{anna}',startDateTime=2020-01-01T00:00:00Z,endDateTime=2040-01-01T00:00:00Z"
    base = f"{simulator.settings.http_base_url}/v1.0/users/{anna}/onlineMeetings"
    page = await every.with_url(f"{base}/getAllRecordings({given})").get()
    seen = len(page.value)
    while page.odata_next_link:
        page = await every.with_url(page.odata_next_link).get()
        seen += len(page.value)
    assert seen == 3


async def test_subscriptions_live_their_whole_life(client: Client, receiver: str) -> None:
    graph = client("Contacts.Read Mail.Read")
    until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=50)
    made = await graph.subscriptions.post(
        Subscription(
            change_type="created,updated",
            notification_url=receiver,
            resource="/me/contacts",
            expiration_date_time=until,
            client_state="s",
        )
    )
    one = graph.subscriptions.by_subscription_id(made.id)
    later = until + datetime.timedelta(minutes=5)
    assert (await one.patch(Subscription(expiration_date_time=later))).expiration_date_time > until
    assert [found.id for found in (await graph.subscriptions.get()).value] == [made.id]
    await one.reauthorize.post()
    await one.delete()
    with pytest.raises(ODataError) as caught:
        await one.get()
    assert caught.value.response_status_code == 404


async def test_contacts_are_made_listed_and_followed(client: Client) -> None:
    graph = client("Contacts.ReadWrite")
    made = await graph.me.contacts.post(
        Contact(given_name="Pavel", email_addresses=[EmailAddress(address="pavel@fabrikam.example", name="Pavel")])
    )
    assert (await graph.me.contacts.by_contact_id(made.id).get()).given_name == "Pavel"
    folder = made.parent_folder_id
    delta = graph.me.contact_folders.by_contact_folder_id(folder).contacts.delta
    page = await delta.get()
    seen = [one.id for one in page.value]
    while page.odata_next_link:
        page = await delta.with_url(page.odata_next_link).get()
        seen += [one.id for one in page.value]
    assert made.id in seen
    assert page.odata_delta_link
    await graph.me.contacts.by_contact_id(made.id).delete()
    after = await delta.with_url(page.odata_delta_link).get()
    assert [one.id for one in after.value] == [made.id]
    assert "@removed" in after.value[0].additional_data


async def test_mail_is_drafted_sent_and_followed(client: Client) -> None:
    graph = client("Mail.ReadWrite Mail.Send")
    to = [Recipient(email_address=EmailAddress(address=BEN))]
    draft = await graph.me.messages.post(
        Message(subject="Offer", body=ItemBody(content="Here it is."), to_recipients=to)
    )
    assert draft.is_draft is True
    await graph.me.messages.by_message_id(draft.id).send.post()
    delta = await graph.me.mail_folders.by_mail_folder_id("inbox").messages.delta.get()
    assert delta.odata_delta_link or delta.odata_next_link
    from msgraph.generated.users.item.send_mail.send_mail_post_request_body import SendMailPostRequestBody

    await graph.me.send_mail.post(SendMailPostRequestBody(message=Message(subject="Again", to_recipients=to)))


async def test_files_are_uploaded_in_parts_and_read_back(client: Client) -> None:
    from msgraph.generated.drives.item.items.item.create_upload_session.create_upload_session_post_request_body import (
        CreateUploadSessionPostRequestBody,
    )

    graph = client("Files.ReadWrite.All")
    drive = await graph.me.drive.get()
    where = graph.drives.by_drive_id(drive.id).items.by_drive_item_id("root:/film.mp4:")
    asked = CreateUploadSessionPostRequestBody(
        item=DriveItemUploadableProperties(additional_data={"@microsoft.graph.conflictBehavior": "replace"})
    )
    session = await where.create_upload_session.post(asked)
    data = bytes(range(256)) * 2600
    # Its own task for fragments stumbles over open ranges such as "26-", which Microsoft's pages show.
    async with httpx.AsyncClient() as plain:
        for first in range(0, len(data), PART):
            part = data[first : first + PART]
            span = f"bytes {first}-{first + len(part) - 1}/{len(data)}"
            got = await plain.put(session.upload_url, content=part, headers={"Content-Range": span})
            assert got.status_code in (201, 202), got.text
    assert await where.content.get() == data
    small = graph.drives.by_drive_id(drive.id).items.by_drive_item_id("root:/note.txt:")
    assert (await small.content.put(b"hello")).size == 5
    children = await graph.drives.by_drive_id(drive.id).items.by_drive_item_id("root").children.get()
    assert {"film.mp4", "note.txt"} <= {one.name for one in children.value}


async def test_sites_and_their_permissions(client: Client) -> None:
    app = client(roles="Sites.FullControl.All Sites.Read.All")
    query = type(app.sites).SitesRequestBuilderGetQueryParameters(search="*")
    sites = (await app.sites.get(RequestConfiguration(query_parameters=query))).value
    assert sites
    assert (await app.sites.by_site_id(sites[0].id).drives.get()).value


async def test_the_application_signs_in_by_itself_over_https(
    simulator: Simulator, microsoft: SimulatorClient, adapters: list[GraphRequestAdapter]
) -> None:
    from azure.core.pipeline.transport import AsyncioRequestsTransport
    from azure.identity.aio import ClientSecretCredential

    settings = simulator.settings
    asked = {"client_id": settings.client_id, "redirect_uri": settings.redirect_uris[0], "scope": DEFAULT}
    consent = f"{settings.http_base_url}/organizations/v2.0/adminconsent?{urlencode(asked)}"
    await microsoft.approve_admin_consent(consent, "admin@contoso.example")
    credential = ClientSecretCredential(
        CONTOSO,
        settings.client_id,
        settings.client_secret,
        authority=settings.https_base_url,
        disable_instance_discovery=True,
        transport=AsyncioRequestsTransport(connection_verify=str(settings.state_dir / "ca.pem")),
    )
    provider = AzureIdentityAuthenticationProvider(credential, scopes=[DEFAULT], allowed_hosts=["localhost"])
    adapter = GraphRequestAdapter(provider)
    adapter.base_url = f"{settings.http_base_url}/v1.0"
    adapters.append(adapter)
    graph = GraphServiceClient(request_adapter=adapter)
    assert (await graph.users.by_user_id(ANNA).get()).user_principal_name == ANNA
    await credential.close()
