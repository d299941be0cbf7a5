"""``contracts/openapi/``: the public operations of each service."""

import importlib
import json
import re
import tempfile
from pathlib import Path
from typing import Any

from dev.embedded.keys import make_key_ring, make_service_keys
from dev.services import SERVICES


def openapi_files() -> dict[str, str]:
    """File name → OpenAPI document, without internal routes; for services that have public ones."""
    with tempfile.TemporaryDirectory() as folder:
        found = {f"{name}.json": _public(_document(name, Path(folder))) for name in SERVICES}
    return {
        name: json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        for name, document in found.items()
        if document["paths"]
    }


def _document(service: str, folder: Path) -> dict[str, Any]:
    package = service.replace("-", "_")
    private, public = make_service_keys(folder / "keys", [service])
    settings = importlib.import_module(f"{package}.settings").Settings(
        database_url="postgresql+asyncpg://nobody@localhost/none",
        request_database_url="postgresql+asyncpg://nobody@localhost/none",
        kafka_bootstrap_servers="nowhere:9092",
        key_ring_dir=make_key_ring(folder / "ring"),
        service_key_path=private / f"{service}.pem",
        service_public_keys_dir=public,
        jwt_issuer="https://issuer.example",
        jwt_jwks_url="https://issuer.example/jwks",
    )
    app = importlib.import_module(f"{package}.main").create_service(settings).app
    document: dict[str, Any] = app.openapi()
    return document


SERVERS = [
    {"url": "http://localhost:8365", "description": "The gateway of `make run` and `make up`."},
    {
        "url": "https://{gateway}",
        "description": "Your company's gateway.",
        "variables": {"gateway": {"default": "prospo.example", "description": "Its host."}},
    },
]


def _public(document: dict[str, Any]) -> dict[str, Any]:
    """The operations that the gateway leads to, where it is, and the schemas that they need."""
    paths = {path: operations for path, operations in document["paths"].items() if path.startswith("/v1/")}
    components = document["components"]
    known, needed = components["schemas"], {"Problem"}
    asked = [*_schemas_in(paths), "Problem"]
    while asked:
        name = asked.pop()
        needed.add(name)
        asked += [one for one in _schemas_in(known[name]) if one not in needed]
    schemas = {name: schema for name, schema in known.items() if name in needed}
    return document | {"servers": SERVERS, "paths": paths, "components": components | {"schemas": schemas}}


def _schemas_in(part: Any) -> list[str]:
    """The names of the schemas that it refers to."""
    return re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(part))
