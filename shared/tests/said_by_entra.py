"""Entra's answers as a test scripts them, below MSAL: nothing is sent, and what would have been is kept."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests

TID = "8a8f5f5c-2b5f-4f0e-9a51-0d3c1a6f5b11"
Said = tuple[int, Any] | tuple[int, Any, Mapping[str, str]]


def document(login: str, issuer: str | None = None) -> dict[str, str]:
    """A tenant's discovery document."""
    return {
        "authorization_endpoint": f"{login}/{TID}/oauth2/v2.0/authorize",
        "token_endpoint": f"{login}/{TID}/oauth2/v2.0/token",
        "issuer": f"{issuer or login}/{TID}/v2.0",
        "jwks_uri": f"{login}/{TID}/discovery/v2.0/keys",
    }


@dataclass
class SaidByEntra:
    """``discovery`` and ``token`` are what is answered: status, body (a dict, or text), and headers."""

    discovery: Said
    token: Said = (200, {"access_token": "t", "token_type": "Bearer", "expires_in": 3600, "scope": ""})
    asked: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    """Method, address and options."""

    @property
    def forms(self) -> list[dict[str, str]]:
        return [dict(more["data"]) for _, _, more in self.asked if more.get("data")]

    def hosts(self, method: str) -> set[str]:
        return {str(urlsplit(url).hostname) for asked, url, _ in self.asked if asked == method}

    def answer(self, method: str, url: str, **more: Any) -> requests.Response:
        self.asked.append((method.upper(), url, more))
        status, body, *headers = self.discovery if "/.well-known/" in url else self.token
        said = requests.Response()
        said.status_code, said.url = status, url
        said._content = (body if isinstance(body, str) else json.dumps(body)).encode()
        said.headers.update(headers[0] if headers else {})
        return said


def scripted(monkeypatch: pytest.MonkeyPatch, discovery: Said, **more: Any) -> SaidByEntra:
    said = SaidByEntra(discovery, **more)

    def request(session: requests.Session, method: str, url: str, *args: Any, **options: Any) -> requests.Response:
        return said.answer(method, url, **options)

    monkeypatch.setattr(requests.Session, "request", request)
    return said


def query_of(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))


def settings_of(kind: type[Any], **more: Any) -> Any:
    """Settings for what asks Entra and needs neither database nor keys."""
    values = {
        "database_url": "postgresql+asyncpg://nobody@127.0.0.1:9/none",
        "request_database_url": "postgresql+asyncpg://nobody@127.0.0.1:9/none",
        "kafka_bootstrap_servers": "nowhere:9092",
        "jwt_issuer": "https://issuer.example",
        "jwt_jwks_url": "https://issuer.example/jwks",
        "client_id": "c",
        "client_secret": "s",
    }
    paths = dict.fromkeys(("key_ring_dir", "service_key_path", "service_public_keys_dir"), "/nowhere")
    return kind(**(values | paths | more))
