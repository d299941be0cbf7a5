"""Microsoft's clouds: where each signs in, where its Graph is, and what is not there.

Hosts and missing features are Microsoft's published ones (Graph national cloud deployments; Teams API differences in
national clouds). Tokens do not cross clouds, and an application is registered in each by itself.
"""

from dataclasses import dataclass
from typing import Literal

CloudName = Literal["global", "us_gov_l4", "us_gov_l5", "china"]
ARTEFACT_PERMISSIONS = frozenset({"OnlineMeetingRecording.Read.All", "OnlineMeetingTranscript.Read.All"})


@dataclass(frozen=True, slots=True)
class Cloud:
    """A Microsoft cloud. ``graph`` is also the resource that its permissions and tokens belong to."""

    login: str
    graph: str
    issuer: str
    """The part before ``/<tid>/v2.0`` in the issuer of v2 tokens; in China not the host that is asked."""
    v1_issuer: str
    """The part before ``/<tid>/`` in the issuer of v1 tokens."""
    sign_in_hosts: frozenset[str]
    """Hosts a discovery document of this cloud may send us to."""
    artefacts: bool = True
    """Whether its Graph has recordings and transcripts of meetings, and notifications of them."""


_STS = "https://sts.windows.net"
_US_LOGIN = "https://login.microsoftonline.us"
_US_HOSTS = frozenset({"login.microsoftonline.us", "login.usgovcloudapi.net"})
_CHINA_HOSTS = frozenset({"login.chinacloudapi.cn", "login.partner.microsoftonline.cn"})
CLOUDS: dict[CloudName, Cloud] = {
    "global": Cloud(
        login="https://login.microsoftonline.com",
        graph="https://graph.microsoft.com",
        issuer="https://login.microsoftonline.com",
        v1_issuer=_STS,
        sign_in_hosts=frozenset({"login.microsoftonline.com", "login.windows.net", "login.microsoft.com"}),
    ),
    "us_gov_l4": Cloud(_US_LOGIN, "https://graph.microsoft.us", _US_LOGIN, _STS, _US_HOSTS),
    "us_gov_l5": Cloud(_US_LOGIN, "https://dod-graph.microsoft.us", _US_LOGIN, _STS, _US_HOSTS),
    "china": Cloud(
        login="https://login.chinacloudapi.cn",
        graph="https://microsoftgraph.chinacloudapi.cn",
        issuer="https://login.partner.microsoftonline.cn",
        v1_issuer="https://sts.chinacloudapi.cn",
        sign_in_hosts=_CHINA_HOSTS,
        artefacts=False,
    ),
}


def cloud_of_host(host: str) -> CloudName | None:
    """The cloud whose sign-in host this is; the two of the US government share one. None for any other host."""
    return next((name for name, cloud in CLOUDS.items() if host in cloud.sign_in_hosts), None)
