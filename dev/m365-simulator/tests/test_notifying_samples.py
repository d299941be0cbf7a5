"""Published requests about subscriptions are accepted, and the answers have the shape that Microsoft shows."""

import base64
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from m365_simulator.directory import CONTOSO
from m365_simulator.schema import first_fault, properties
from shared.testing.samples import Sample, samples

GUID = "c0a70500-1111-4000-8000-00000000000a"
PLACEHOLDER = re.compile(r"\{[^{}]*\}|<[^<>]*>")
OURS = re.compile(
    r"^(users(/[^/]+)?|(me|users|drives|communications)/(?!.*\bchats\b).*?(\b(messages|events|contacts|root|recordings"
    r"|transcripts)|getAll(Recordings|Transcripts)|meetingCallEvents|onlineMeetings/?\?\$filter.*))(\?\$.*)?$",
    re.IGNORECASE,
)


def certificate() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "notifications")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(now).not_valid_after(now + timedelta(days=1))
    return base64.b64encode(made.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)).decode()


def later(text: str) -> str:
    """Fifty minutes ahead, with as many digits and the same zone as the page writes."""
    shape = re.fullmatch(r".{19}(?P<fraction>\.\d+)?(?P<zone>.*)", text)
    assert shape is not None
    moment = datetime.now(UTC) + timedelta(minutes=50)
    return f"{moment:%Y-%m-%dT%H:%M:%S}{shape['fraction'] or ''}{shape['zone'] or 'Z'}"


def filled(watcher: Any, body: dict[str, Any]) -> dict[str, Any]:
    """The page's body with what its placeholders stand for, and a world in which what it names is there."""
    found = dict(body)
    if "expirationDateTime" in found:
        found["expirationDateTime"] = later(found["expirationDateTime"])
    if found.get("encryptionCertificate"):
        found |= {"encryptionCertificate": certificate()}
    if "resource" in found:
        found["resource"] = there(watcher, PLACEHOLDER.sub(GUID, found["resource"]))
    for name, value in found.items():
        if isinstance(value, str):
            found[name] = PLACEHOLDER.sub("filled-in", value)
    return found


def there(watcher: Any, resource: str) -> str:
    store = watcher.simulator.store
    if person := re.match(r"/?users[/(]'?([^/')?]+)", resource, re.IGNORECASE):
        row = {"tenant": CONTOSO, "address": "page@contoso.example", "name": "P", "admin": False, "mailbox": True}
        store.put("users", person[1], {"id": person[1], **row})
    if meeting := re.search(r"onlineMeetings[/(]'?([^/')?]+)'?\)?/(recordings|transcripts)", resource, re.IGNORECASE):
        row = {"tenant": CONTOSO, "organizer": watcher.oid(), "attendees": [], "join_url": "https://teams/1"}
        store.put("meetings", meeting[1], {"id": meeting[1], **row})
    return resource


async def prepared(watcher: Any, graph: httpx.AsyncClient, path: str) -> str:
    """The path with its subscription there."""
    path = PLACEHOLDER.sub(GUID, path)
    named = re.match(r"/subscriptions/([^/]+)", path)
    if named is not None:
        made = await watcher.subscribe("me/messages", graph=graph)
        row = watcher.simulator.store.delete("subscriptions", made["id"])
        watcher.simulator.store.put("subscriptions", named[1], {**row, "id": named[1]})
    elif path == "/subscriptions":
        await watcher.subscribe("me/events", graph=graph)
    return path


@pytest.mark.behaviour(37, 38, 39)
@pytest.mark.parametrize("sample", samples("subscription", requests=True))
async def test_a_published_request_is_accepted(watcher: Any, sample: Sample) -> None:
    request = sample.request
    path = urlsplit(request["url"]).path.removeprefix("/v1.0").removeprefix("/beta").rstrip("/") or "/subscriptions"
    method, body = request["method"], request["body"]
    resource = str((body or {}).get("resource", "me")).lstrip("/") if isinstance(body, dict) else "me"
    mine = resource.lower().startswith("me")
    graph = watcher.person() if mine else watcher.graph
    where = await prepared(watcher, graph, path) if method != "POST" or path != "/subscriptions" else path
    given = filled(watcher, body) if isinstance(body, dict) else body
    answer = await graph.request(method, where, json=given, headers=sent(request["headers"]))
    if isinstance(body, dict) and "resource" in body and not OURS.match(resource):
        assert answer.status_code == 400
        assert "Known: recordings" in answer.json()["error"]["message"]
        return
    assert answer.status_code < 300, answer.text
    if sample.response.get("status"):
        assert answer.status_code == sample.response["status"]
    if isinstance(sample.response.get("body"), dict):
        check_shape(answer.json(), sample.response["body"])


def sent(headers: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() in ("prefer", "client-request-id")}


def check_shape(ours: dict[str, Any], shown: dict[str, Any]) -> None:
    """Both are what the metadata says; ours gives what the page gives, for a subscription and for a list of them."""
    if "value" in shown:
        assert ours["value"]
        check_shape(ours["value"][0], shown["value"][0])
        return
    known = properties("graph.subscription")
    assert first_fault({name: value for name, value in ours.items() if name in known}, "graph.subscription") is None
    given = {name for name, value in shown.items() if name in known and value not in (None, "")}
    optional = {"clientState", "lifecycleNotificationUrl", "encryptionCertificate", "encryptionCertificateId"}
    assert given - optional <= set(ours)


@pytest.mark.behaviour(37)
@pytest.mark.parametrize("sample", samples("notification URL validation", requests=True))
async def test_the_handshake_is_made_as_the_page_shows_it(watcher: Any, sample: Sample) -> None:
    await watcher.subscribe("users", changeType="updated")
    (asked,) = watcher.address.asked
    shown = sample.request
    assert asked.method == shown["method"]
    query = urlsplit(PLACEHOLDER.sub("x", shown["url"])).query
    assert [part.partition("=")[0] for part in query.split("&")] == list(asked.query_params)
    for name, value in shown["headers"].items():
        if name.lower() == "content-type":
            assert asked.headers["content-type"] == value
    assert not shown["body"]
    assert await asked.body() == b""


@pytest.mark.parametrize(
    "resource",
    [
        "me/mailFolders('Inbox')/messages",
        "/users/{id}/events",
        "drives/{id}/root",
        "Users",
        "users/{id}",
        "communications/onlineMeetings/{id}/recordings",
        "communications/onlineMeetings/?$filter=JoinWebUrl eq 'x'",
        "me/messages?$select=subject",
    ],
)
def test_what_the_simulator_claims_to_know_is_not_excused(resource: str) -> None:
    assert OURS.match(PLACEHOLDER.sub(GUID, resource).lstrip("/"))
    for excused in ("chats/x/messages", "teams/getAllMessages", "users/x/chats/getAllMessages", "groups"):
        assert not OURS.match(excused)
