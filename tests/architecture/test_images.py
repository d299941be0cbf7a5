"""What goes into a service's image: its own locked packages, all of them known."""

import json
import re
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from dev.locks import lock_of, needed
from dev.sbom import bill
from dev.services import described

from .test_house_rules import ROOT, first_parts, python_files

SERVICES = list(described())
_PIN = re.compile(r"^([a-z0-9._-]+)(?:\[[^]]*\])?==([^ ;\\]+)", re.MULTILINE)


def pins(path: Path) -> dict[str, str]:
    return dict(_PIN.findall(path.read_text()))


def distributions(folder: Path) -> Iterator[str]:
    """The distributions that bring what the folder imports."""
    known = packages_distributions()
    for path in python_files(folder):
        for name in first_parts(path) - sys.stdlib_module_names:
            yield from known.get(name, [])


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_has_the_versions_that_are_tested(service: str) -> None:
    tested, own = pins(ROOT / "requirements.lock"), pins(lock_of(service))
    assert own
    assert {name: version for name, version in own.items() if tested.get(name) != version} == {}
    assert {re.split(r"[\[<>=]", name)[0] for name in needed(service)} <= set(own)


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_has_what_it_imports(service: str) -> None:
    own = pins(lock_of(service))
    imported = {name.lower().replace("_", "-") for name in distributions(ROOT / "services" / service / "src")}
    assert imported - set(own) == set()


def test_one_that_needs_no_object_store_has_no_client_of_it() -> None:
    assert [name for name in SERVICES if "obstore" in pins(lock_of(name))] == ["storage"]


@pytest.mark.parametrize("service", SERVICES)
def test_the_bill_of_materials_has_every_package_with_its_hashes(service: str) -> None:
    said = bill(service)
    assert {(one["name"], one["version"]) for one in said["components"]} == set(pins(lock_of(service)).items())
    assert [one["name"] for one in said["components"] if not one["hashes"]] == []
    assert json.loads(json.dumps(said)) == bill(service)
