"""The gateway: Envoy's configuration made from ``services.toml``. docs/how-to/gateway.md says what each part is for.

``python -m dev.envoy --upstream '{service}.prospo:8080' --issuer … --jwks …`` prints one for your own addresses.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import yaml

from dev.services import described

Json = dict[str, Any]

READ_IN_TWO_WAYS = "|".join(
    [
        r"%(2f|5c|0[0-9a-f]|1[0-9a-f]|7f)",  # an encoded slash, backslash or control character
        r"%25([0-9a-f]|%3[0-9]|%[46][1-6])",  # what is an escape once more when it is decoded
        r"[\\\x00-\x1f\x7f]",
        r"/(\.|%2e){1,2}(/|$)",  # a dot segment
    ]
)
NOT_OURS = ("/internal", "/v1", "/health", "/webhooks", "/metrics")
"""What is no route of a service leads nowhere; without this the console would be asked."""
BODY_BYTES = 256 * 1024
WAIT_S = 60
_PERSON, _ANYBODY = "person", "anybody"


@dataclass(frozen=True, slots=True)
class Floods:
    """So many requests at once from one address, and so many more each ``every_s`` seconds; then 429."""

    at_once: int = 200
    more: int = 50
    every_s: int = 1


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where everything is. ``upstream`` is ``host:port`` with ``{service}`` and, if wanted, ``{port}`` in it."""

    upstream: str
    issuer: str
    jwks: str
    audience: str = "prospo-m365"
    port: int = 8365
    personas: str | None = None
    """Development only: ``host:port`` of what makes tokens for the people of the simulated organisations."""
    jwks_at: str | None = None
    """Development only: ``host:port`` that is asked for ``jwks`` in place of its own host. Envoy's resolver takes every
    name below ``.localhost`` for itself, as RFC 6761 says, and never asks a server for it."""
    trusted_hops: int = 0
    """How many proxies stand before this one and say in ``X-Forwarded-For`` who asked."""


def configuration(where: Addresses, floods: Floods | None = None) -> Json:
    """The static configuration, as one document."""
    return {
        "static_resources": {"listeners": [_listener(where, floods or Floods())], "clusters": list(_clusters(where))},
        "overload_manager": {
            "resource_monitors": [
                {
                    "name": "envoy.resource_monitors.global_downstream_max_connections",
                    "typed_config": {
                        "@type": _type("resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig"),
                        "max_active_downstream_connections": 10_000,
                    },
                }
            ]
        },
    }


def _type(name: str) -> str:
    return f"type.googleapis.com/envoy.extensions.{name}"


def _listener(where: Addresses, floods: Floods) -> Json:
    manager = {
        "@type": _type("filters.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": "prospo",
        "codec_type": "AUTO",
        "use_remote_address": True,
        "xff_num_trusted_hops": where.trusted_hops,
        "server_header_transformation": "PASS_THROUGH",
        "normalize_path": False,  # a path that could be normalised is refused, every other is passed on as it was sent
        "path_with_escaped_slashes_action": "KEEP_UNCHANGED",  # refused by the first route, as a problem document
        "max_request_headers_kb": 32,
        "request_headers_timeout": "30s",
        "request_timeout": f"{WAIT_S}s",
        "stream_idle_timeout": f"{WAIT_S}s",
        "common_http_protocol_options": {
            "idle_timeout": "120s",
            "max_headers_count": 100,
            "headers_with_underscores_action": "REJECT_REQUEST",
        },
        "early_header_mutation_extensions": [
            {
                "name": "envoy.http.early_header_mutation.header_mutation",
                "typed_config": {
                    "@type": _type("http.early_header_mutation.header_mutation.v3.HeaderMutation"),
                    "mutations": [{"remove": "x-prospo-persona"}],
                },
            }
        ],
        "http_filters": list(_filters(where, floods)),
        "local_reply_config": _problem_documents(),
        "route_config": {
            "name": "prospo",
            "virtual_hosts": [{"name": "prospo", "domains": ["*"], "routes": list(_routes(where))}],
        },
    }
    return {
        "name": "prospo",
        "address": _address("0.0.0.0", where.port),
        "per_connection_buffer_limit_bytes": 1024 * 1024,
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }


def _filters(where: Addresses, floods: Floods) -> Iterator[Json]:
    yield _filter("local_ratelimit", "local_ratelimit.v3.LocalRateLimit", **_rate(floods))
    yield _filter("buffer", "buffer.v3.Buffer", max_request_bytes=BODY_BYTES)  # first: who asks may pause what follows
    if where.personas:
        yield _filter(
            "ext_authz",
            "ext_authz.v3.ExtAuthz",
            http_service={
                "server_uri": {"uri": f"http://{where.personas}", "cluster": "personas", "timeout": "10s"},
                "path_prefix": "/check",
                "authorization_response": {
                    "allowed_upstream_headers": {
                        "patterns": [{"exact": "authorization"}, {"exact": "x-prospo-persona"}]
                    }
                },
            },
            allowed_headers={
                "patterns": [
                    {"exact": name} for name in ("cookie", "authorization", "sec-fetch-site", "x-forwarded-host")
                ]
            },
        )
    jwks = urlsplit(where.jwks)
    yield _filter(
        "jwt_authn",
        "jwt_authn.v3.JwtAuthentication",
        providers={
            "platform": {
                "issuer": where.issuer,
                "audiences": [where.audience],
                "forward": True,  # the service verifies it again
                "require_expiration": True,
                "clock_skew_seconds": 5,
                "remote_jwks": {
                    "http_uri": {"uri": jwks.geturl(), "cluster": "jwks", "timeout": "5s"},
                    "cache_duration": "300s",
                },
            }
        },
        requirement_map={
            _PERSON: {"provider_name": "platform"},
            _ANYBODY: {"requires_any": {"requirements": [{"provider_name": "platform"}, {"allow_missing": {}}]}},
        },
    )
    yield _filter("router", "router.v3.Router")


def _filter(name: str, kind: str, **more: Any) -> Json:
    return {
        "name": f"envoy.filters.http.{name}",
        "typed_config": {"@type": _type(f"filters.http.{kind}"), **more},
    }


def _rate(floods: Floods) -> Json:
    bucket = {"max_tokens": floods.at_once, "tokens_per_fill": floods.more, "fill_interval": f"{floods.every_s}s"}
    everybody = {"max_tokens": 20_000, "tokens_per_fill": 5_000, "fill_interval": "1s"}
    always = {"numerator": 100, "denominator": "HUNDRED"}
    return {
        "stat_prefix": "floods",
        "token_bucket": everybody,
        "filter_enabled": {"default_value": always},
        "filter_enforced": {"default_value": always},
        "max_dynamic_descriptors": 10_000,
        "rate_limits": [{"actions": [{"remote_address": {}}]}],
        "descriptors": [{"entries": [{"key": "remote_address"}], "token_bucket": bucket}],  # a bucket for each address
    }


_NOT_SENT: Json = {"retry_on": "connect-failure,refused-stream,reset-before-request", "num_retries": 2}
"""The service had nothing of the request, since its pod has just gone for instance: another one gets it."""


def _problem_documents() -> Json:
    """Refusals of the gateway itself look like those of the services; a service that is away may be asked again."""
    return {
        "body_format": {
            "json_format": {
                "type": "about:blank",
                "title": "%RESPONSE_CODE_DETAILS%",
                "status": "%RESPONSE_CODE%",
                "code": "refused_by_gateway",
                "detail": "%LOCAL_REPLY_BODY%",
            },
            "content_type": "application/problem+json",
        },
        "mappers": [
            {
                "filter": {"status_code_filter": {"comparison": {"value": {"default_value": 503, "runtime_key": "_"}}}},
                "headers_to_add": [{"header": {"key": "retry-after", "value": "1"}}],
            }
        ],
    }


def _routes(where: Addresses) -> Iterator[Json]:
    refused = {"safe_regex": {"regex": f"(?i).*({READ_IN_TWO_WAYS}).*"}}
    yield _answer(refused, 400, "A path has no dot segments, encoded slashes or control characters.", where)
    if where.personas:
        yield _route(where, {"path": "/dev/persona"}, "personas", None, asks=False)
    for service in described().values():
        if service.webhooks:
            posted = [{"name": ":method", "string_match": {"exact": "POST"}}]
            at = {"path": f"/{service.name}/webhooks/graph", "headers": posted}
            yield _route(where, at, service.name, None, rewrite="/webhooks/graph", asks=False)
    for service in described().values():
        for prefix in service.open:
            yield _route(where, {"prefix": prefix}, service.name, _ANYBODY, wait_s=0)  # a link gives a whole file
        for prefix in service.large:
            who = _PERSON if service.routes else _ANYBODY
            below = {"prefix": prefix} if prefix.endswith("/") else {"path_separated_prefix": prefix}
            yield _route(where, below, service.name, who, wait_s=0, large=True)
        for prefix in service.routes:
            yield _route(where, {"path_separated_prefix": prefix}, service.name, _PERSON, wait_s=0)
    for prefix in NOT_OURS:
        yield _answer({"path_separated_prefix": prefix}, 404, "Nothing is routed here. Check the address.", where)
    yield _route(where, {"prefix": "/"}, "console", _ANYBODY)


def _answer(match: Json, status: int, says: str, where: Addresses) -> Json:
    said = {"status": status, "body": {"inline_string": says}}
    return {"match": match, "direct_response": said, "typed_per_filter_config": _nobody_asks(where)}


def _route(
    where: Addresses,
    match: Json,
    service: str,
    who: str | None,
    *,
    rewrite: str | None = None,
    asks: bool = True,
    wait_s: int = WAIT_S,
    large: bool = False,
) -> Json:
    """``asks``: whether development's personas are asked whose token it gets; ``wait_s`` 0: while it is being sent.

    ``large``: the body goes on as it comes, of whatever size; the service limits it.
    """
    action: Json = {"cluster": service, "timeout": f"{wait_s}s", "retry_policy": _NOT_SENT}
    if rewrite:
        action["prefix_rewrite"] = rewrite
    filters: Json = {} if asks else _nobody_asks(where)
    if large:
        filters["envoy.filters.http.buffer"] = {
            "@type": _type("filters.http.buffer.v3.BufferPerRoute"),
            "disabled": True,
        }
    if who:
        per_route = {"@type": _type("filters.http.jwt_authn.v3.PerRouteConfig"), "requirement_name": who}
        filters["envoy.filters.http.jwt_authn"] = per_route
    return {"match": match, "route": action, "typed_per_filter_config": filters}


def _nobody_asks(where: Addresses) -> Json:
    if where.personas is None:
        return {}
    off = {"@type": _type("filters.http.ext_authz.v3.ExtAuthzPerRoute"), "disabled": True}
    return {"envoy.filters.http.ext_authz": off}


def _clusters(where: Addresses) -> Iterator[Json]:
    for service in described().values():
        yield _cluster(service.name, where.upstream.format(service=service.name, port=service.port))
    jwks = urlsplit(where.jwks)
    tls = jwks.scheme == "https"
    yield _cluster("jwks", where.jwks_at or f"{jwks.hostname}:{jwks.port or (443 if tls else 80)}", tls=tls)
    if where.personas:
        yield _cluster("personas", where.personas)


def _cluster(name: str, at: str, *, tls: bool = False) -> Json:
    host, _, port = at.rpartition(":")
    endpoint = {"endpoint": {"address": _address(host, int(port))}}
    made: Json = {
        "name": name,
        "type": "STRICT_DNS",
        "connect_timeout": "5s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
    if tls:
        made["transport_socket"] = {
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": _type("transport_sockets.tls.v3.UpstreamTlsContext"),
                "sni": host,
                "common_tls_context": {
                    "validation_context": {"trusted_ca": {"filename": "/etc/ssl/certs/ca-certificates.crt"}}
                },
                "auto_sni_san_validation": True,
            },
        }
    return made


def _address(host: str, port: int) -> Json:
    return {"socket_address": {"address": host, "port_value": port}}


def written(where: Addresses, floods: Floods | None = None) -> str:
    note = "# Made from services.toml; docs/how-to/gateway.md says what each part is for.\n"
    return note + yaml.safe_dump(configuration(where, floods), sort_keys=False, width=120)


COMPOSED = Addresses(
    upstream="{service}:{port}",
    issuer="http://microsoft.localhost:8367/prospo-issuer",
    jwks="http://microsoft.localhost:8367/prospo-issuer/jwks",
    personas="personas:8080",
    jwks_at="simulator:8367",
)
"""As ``compose.yaml`` names things."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m dev.envoy", description=__doc__)
    parser.add_argument("--upstream", required=True, help="host:port of a service, with {service} and {port} in it")
    parser.add_argument("--issuer", required=True, help="iss of the platform's tokens")
    parser.add_argument("--jwks", required=True, help="where the issuer's public keys are")
    parser.add_argument("--audience", default="prospo-m365")
    parser.add_argument("--port", type=int, default=8365)
    parser.add_argument("--trusted-hops", type=int, default=0, help="proxies before this one")
    sys.stdout.write(written(Addresses(**vars(parser.parse_args()))))


if __name__ == "__main__":
    main()
