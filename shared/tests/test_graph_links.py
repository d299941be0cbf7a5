"""Where our token may go, and where a download may go without it."""

import httpx
import pytest

from shared.graph.errors import GraphGiveUp, GraphRetry
from shared.graph.links import Links

GRAPH = "https://graph.microsoft.com/v1.0"
PUBLIC = "13.107.136.10"

HOSTILE_LINKS = [
    "https://evil.example/v1.0/me/contacts",
    "http://graph.microsoft.com/v1.0/me",
    "ftp://graph.microsoft.com/v1.0/me",
    "file:///etc/passwd",
    "javascript:alert(1)",
    "//evil.example/v1.0",
    "/v1.0/me",
    "",
    "https://",
    "https:///v1.0/me",
    "https://graph.microsoft.com:8443/v1.0/me",
    "https://graph.microsoft.com:0/v1.0/me",
    "https://graph.microsoft.com:99999/v1.0/me",
    "https://graph.microsoft.com@evil.example/v1.0/me",
    "https://graph.microsoft.com:443@evil.example/v1.0/me",
    "https://user:password@graph.microsoft.com/v1.0/me",
    "https://graph.microsoft.com%40evil.example/v1.0/me",
    "https://evil.example#@graph.microsoft.com/v1.0/me",
    "https://evil.example?@graph.microsoft.com/v1.0/me",
    "https://evil.example\\@graph.microsoft.com/v1.0/me",
    "https://graph.microsoft.com\\.evil.example/v1.0/me",
    "https:\\\\graph.microsoft.com\\v1.0\\me",
    "https://graph.microsoft.com.evil.example/v1.0/me",
    "https://graph.microsoft.com./v1.0/me",
    "https://evilgraph.microsoft.com/v1.0/me",
    "https://graph.microsoft.com\t.evil.example/",
    "https://graph.microsoft.com\r\nHost: evil.example/",
    " https://graph.microsoft.com/v1.0/me",
    "https://graph.micros\u043eft.com/v1.0/me",
    "https://[::1]/v1.0/me",
    "https://[::ffff:169.254.169.254]/v1.0/me",
    "https://[graph.microsoft.com]/v1.0/me",
    "https://2130706433/v1.0/me",
    "https://graph.microsoft.com /v1.0/me",
    "https://graph.microsoft.com .evil.example/v1.0/me",
    "https://evil.example/ @graph.microsoft.com/v1.0/me",
    "https://user @graph.microsoft.com/v1.0/me",
]

NOT_PUBLIC = [
    "127.0.0.1",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "168.63.129.16",
    "100.100.100.200",
    "0.0.0.0",
    "192.0.0.192",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "2002:7f00:1::",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "fe80::1",
    "fe80::1%eth0",
    "fd00:ec2::254",
    "fec0::1",
    "ff02::1",
]


def links(base_url: str = GRAPH, *hosts: str, found: tuple[str, ...] = (PUBLIC,)) -> Links:
    made = Links(base_url, hosts)

    async def resolve(host: str, port: int) -> list[str]:
        return list(found)

    made.resolve = resolve
    return made


@pytest.mark.parametrize("url", HOSTILE_LINKS)
def test_our_token_is_not_taken_to(url: str) -> None:
    with pytest.raises(GraphGiveUp, match="foreign host") as refused:
        links().check_link(url)
    assert refused.value.code == "foreign_link"
    assert "password" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        f"{GRAPH}/me/contacts?$skiptoken=a%20b",
        "https://graph.microsoft.com:443/v1.0/me",
        "https://GRAPH.microsoft.com/beta/me",
        "https://canary.graph.microsoft.com/v1.0/me",
        "https://graph.example:8443/v1.0/me",
    ],
)
def test_links_to_our_graph_and_to_configured_hosts_are_followed(url: str) -> None:
    assert links(GRAPH, "canary.graph.microsoft.com", "graph.example:8443").check_link(url) == url


def test_a_configured_host_is_meant_with_its_port() -> None:
    assert not links(GRAPH, "graph.example:8443").is_ours("https://graph.example/v1.0/me")
    assert not links(GRAPH, "graph.example").is_ours("https://graph.example:8443/v1.0/me")


async def test_a_redirect_goes_to_the_address_that_was_checked_under_its_name() -> None:
    target = await links().target(GRAPH + "/x", "https://contoso.sharepoint.com/download?tempauth=1")
    assert str(target.url) == f"https://{PUBLIC}/download?tempauth=1"
    assert target.headers == {"Host": "contoso.sharepoint.com", "Connection": "close"}
    assert target.extensions == {"sni_hostname": "contoso.sharepoint.com"}


async def test_a_relative_redirect_stays_on_the_name_it_came_from() -> None:
    target = await links().target("https://contoso.sharepoint.com/a/b?c", "../d")
    assert target.name == "https://contoso.sharepoint.com/d"
    assert target.url.host == PUBLIC


@pytest.mark.parametrize("address", NOT_PUBLIC)
async def test_a_download_does_not_go_to(address: str) -> None:
    with pytest.raises(GraphGiveUp, match="not a public one"):
        await links(found=(address,)).target(GRAPH, "https://files.example/x")


async def test_one_private_address_among_public_ones_is_enough_to_refuse() -> None:
    with pytest.raises(GraphGiveUp):
        await links(found=(PUBLIC, "10.0.0.1")).target(GRAPH, "https://files.example/x")


@pytest.mark.parametrize(
    "host",
    ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "[::1]", "[::ffff:7f00:1]", "localhost", "169.254.169.254"],
)
async def test_spellings_of_addresses_are_resolved_before_they_are_judged(host: str) -> None:
    with pytest.raises((GraphGiveUp, GraphRetry)):  # a resolver may not know the spelling at all
        await Links(GRAPH, []).target(GRAPH, f"https://{host}/latest/meta-data")


@pytest.mark.parametrize(
    "location",
    [
        "http://files.example/x",
        "ftp://files.example/x",
        "//user@files.example/x",
        "https://user:password@files.example/x",
        "https://files.example\\@evil.example/x",
        "https://files.example/\r\nx",
        "https://files.example:99999/x",
        "https://",
        "file:///etc/passwd",
    ],
)
async def test_a_redirect_is_refused_to(location: str) -> None:
    with pytest.raises(GraphGiveUp) as refused:
        await links().target(GRAPH + "/me", location)
    assert refused.value.code == "foreign_redirect"
    assert "password" not in str(refused.value)


async def test_a_scheme_relative_redirect_is_judged_like_any_other() -> None:
    with pytest.raises(GraphGiveUp):
        await links(found=("10.0.0.1",)).target(GRAPH, "//files.example/x")
    assert (await links().target(GRAPH, "//files.example/x")).url.scheme == "https"


async def test_a_configured_host_may_have_a_private_address() -> None:
    made = links(GRAPH, "files.internal", found=("10.0.0.1",))
    assert (await made.target(GRAPH, "https://files.internal/x")).url == httpx.URL("https://files.internal/x")


@pytest.mark.parametrize(("base_url", "allowed"), [("http://127.0.0.1:80/v1.0", True), ("http://graph.example", False)])
async def test_plain_http_is_for_a_graph_on_loopback_only(base_url: str, *, allowed: bool) -> None:
    made = links(base_url)
    if allowed:
        assert (await made.target(base_url, "http://files.example/x")).url.scheme == "http"
    else:
        with pytest.raises(GraphGiveUp):
            await made.target(base_url, "http://files.example/x")


async def test_a_name_that_is_not_found_is_tried_again() -> None:
    made = links()

    async def resolve(host: str, port: int) -> list[str]:
        raise OSError("no such name")

    made.resolve = resolve
    with pytest.raises(GraphRetry):
        await made.target(GRAPH, "https://files.example/x")


def test_spaces_between_the_arguments_of_a_function_are_no_harm() -> None:
    link = f"{GRAPH}/users/1/getAllRecordings(a='1', b=2)?$skip token=1"
    assert links().check_link(link) == link.replace(" ", "%20")
