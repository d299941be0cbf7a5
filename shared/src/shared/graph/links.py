"""Which addresses in Microsoft's answers we go to.

Two rules. A *link* (next page, delta) is followed with our token, so only to our Graph and the configured hosts. A
*redirect* of a download and the address of an upload session are followed without it, to any public host: https only,
every address of the host's name is checked, and the connection goes to the very address that was checked, so that a
name cannot change its mind.
"""

import asyncio
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import httpx

from shared.graph.errors import GraphGiveUp, GraphRetry

Resolve = Callable[[str, int], Awaitable[list[str]]]
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_SPACED = re.compile(r"([a-z]+://[^/?#\s]+)(/.*)", re.IGNORECASE)
_UNCLEAN = re.compile(r"[\x00-\x20\x7f\\]")
_LAST_PORT = 65_535
_PORTS = {"http": 80, "https": 443}
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
# What Python calls public and is not: addresses of protocols (some clouds' metadata), and Azure's own host.
_ALSO_CLOSED = [ipaddress.ip_network(text) for text in ("192.0.0.0/24", "168.63.129.16/32", "fec0::/10")]


@dataclass(frozen=True, slots=True)
class Target:
    """The target of a redirect or an upload: its URL, and the address to connect to, which was checked."""

    name: str
    url: httpx.URL
    headers: dict[str, str] = field(default_factory=dict)
    extensions: dict[str, Any] = field(default_factory=dict)


class Links:
    """The rules for one Graph; ``hosts`` are further ``host`` or ``host:port`` that links may point to.

    ``inside`` are addresses of our own services, which may be plain and private: uploads go there, our token never.
    """

    def __init__(self, base_url: str, hosts: Iterable[str], inside: Iterable[str] = ()) -> None:
        own = httpx.URL(base_url)
        self._inside = {(url.scheme, *_place(url)) for url in map(httpx.URL, inside)}
        self._scheme = own.scheme
        self._trusted = {_place(own), *(_place(httpx.URL(f"{own.scheme}://{host}")) for host in hosts)}
        self._plain_allowed = own.scheme == "http" and _is_loopback(own.host)
        self.resolve: Resolve = _resolve

    def is_ours(self, url: str) -> bool:
        """Whether our token may go there: our Graph or a configured host, by our scheme."""
        parsed = _parse(url)
        return parsed is not None and parsed.scheme == self._scheme and _place(parsed) in self._trusted

    def check_link(self, url: str) -> str:
        """The same ``url``, without spaces. Raises ``GraphGiveUp`` when it leads elsewhere."""
        if not self.is_ours(url):
            raise GraphGiveUp(f"Graph answered a link to a foreign host, {_host(url)}.", 0, "foreign_link")
        return _spaceless(url)

    async def target(self, source: str, location: str) -> Target:
        """Check the address of an upload, or of a download that ``source`` redirected.

        Raises ``GraphGiveUp`` when it must not.
        """
        parsed = _parse(location)
        if parsed is not None and not parsed.scheme and source:
            parsed = _parse(str(httpx.URL(source).join(location)))
        if parsed is not None and (parsed.scheme, *_place(parsed)) in self._inside:
            return Target(str(parsed), parsed)
        if parsed is None or parsed.scheme not in self._schemes() or not parsed.host:
            raise _refused(location, "that is not an https address without a user name")
        if _place(parsed) in self._trusted:
            return Target(str(parsed), parsed)
        return await self._public(parsed)

    def _schemes(self) -> set[str]:
        return {"https", "http"} if self._plain_allowed else {"https"}

    async def _public(self, url: httpx.URL) -> Target:
        try:
            found = await self.resolve(url.host, _place(url)[1])
        except (OSError, UnicodeError) as error:
            raise GraphRetry(f"The name {url.host} cannot be resolved.", after_s=10) from error
        addresses = [ipaddress.ip_address(text.partition("%")[0]) for text in found]
        if not addresses or not all(is_public(address) for address in addresses):
            raise _refused(str(url), "its address is not a public one")
        first = min(addresses, key=lambda address: address.version)  # IPv6 fails in more networks
        # Closed after use: a kept connection would be found by its address, but was proven for one name only.
        headers = {"Host": url.netloc.decode("ascii"), "Connection": "close"}
        return Target(str(url), url.copy_with(host=str(first)), headers, {"sni_hostname": url.host})


def is_public(address: Address) -> bool:
    """Not private, link-local, loopback, shared, reserved or multicast, also not wrapped in an IPv6 address."""
    inner = _wrapped(address)
    if inner is not None:
        return is_public(inner)
    if any(address in network for network in _ALSO_CLOSED):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _wrapped(address: Address) -> ipaddress.IPv4Address | None:
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address in _NAT64 or (int(address) >> 32 == 0 and int(address) > 1):  # also ::a.b.c.d
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)


def _parse(url: str) -> httpx.URL | None:
    """As httpx will connect; None for what parsers read differently, and for user names."""
    url = _spaceless(url)
    if _UNCLEAN.search(url):
        return None
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, ValueError):
        return None
    return None if parsed.userinfo or (parsed.port or 0) > _LAST_PORT else parsed


def _spaceless(url: str) -> str:
    """Graph's functions have spaces between their arguments, in links too; before the path none may be."""
    found = _SPACED.fullmatch(url)
    return found[1] + found[2].replace(" ", "%20") if found else url


def _place(url: httpx.URL) -> tuple[str, int]:
    return url.host, _PORTS.get(url.scheme, 0) if url.port is None else url.port


def _host(url: str) -> str:
    parsed = _parse(url)
    return (parsed.host if parsed else "") or "an unreadable address"


def _refused(url: str, why: str) -> GraphGiveUp:
    return GraphGiveUp(f"Graph sent us to {_host(url)}: {why}.", 0, "foreign_redirect")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def _resolve(host: str, port: int) -> list[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(place[0]) for *_, place in found]
