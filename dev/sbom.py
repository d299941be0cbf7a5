"""``make sbom``: a CycloneDX bill of materials for each service's image, from the service's lock."""

import json
import re
import sys
import uuid
from pathlib import Path
from typing import Any

from dev.locks import lock_of
from dev.services import described

_PINNED = re.compile(r"([a-z0-9._-]+)(?:\[[a-z0-9,_-]+\])?==([^ ;\\]+)(?: *; *([^\\]+))?")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


def bill(service: str) -> dict[str, Any]:
    """CycloneDX 1.5. A component that is for some systems only says for which."""
    components: list[dict[str, Any]] = []
    for line in lock_of(service).read_text().splitlines():
        if found := _PINNED.match(line):
            components.append(_component(*found.groups()))
        if hashed := _HASH.search(line):
            components[-1]["hashes"].append({"alg": "SHA-256", "content": hashed[1]})
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, lock_of(service).read_text())}",
        "version": 1,
        "metadata": {"component": {"type": "container", "name": f"prospo-m365/{service}"}},
        "components": components,
    }


def _component(name: str, version: str, only_for: str | None) -> dict[str, Any]:
    made: dict[str, Any] = {"type": "library", "name": name, "version": version, "hashes": []}
    made["purl"] = f"pkg:pypi/{name}@{version}"
    if only_for:
        made["properties"] = [{"name": "environment", "value": only_for.strip()}]
    return made


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for service in described():
        (folder / f"{service}.cdx.json").write_text(json.dumps(bill(service), indent=2) + "\n")


if __name__ == "__main__":
    main()
