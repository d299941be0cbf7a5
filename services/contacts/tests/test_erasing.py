"""What an erasure leaves of a person and an organisation in contacts."""

import pytest

from contacts.main import create_service
from contacts.settings import Settings
from shared.hosting.service import Service
from shared.testing import erasure
from shared.testing.harness import StartService

ROWS = (
    """INSERT INTO import_run (org_id, id, user_id, status, problem)
        VALUES ('{org}', 'r-{user}', '{user}', 'failed', '{{"detail": "{mark}"}}')""",
    """INSERT INTO contact (org_id, user_id, id, folder_id, display_name, emails)
        VALUES ('{org}', '{user}', 'c', 'f', '{mark}', '["{mark}"]')""",
    """INSERT INTO folder_cursor (org_id, user_id, folder_id, delta_link) VALUES ('{org}', '{user}', 'f', '{mark}')""",
)


@pytest.fixture
async def service(start_service: StartService) -> Service:
    return await start_service(create_service, Settings, "contacts")


async def test_every_table_is_declared(service: Service) -> None:
    await erasure.check_declarations(service)


async def test_a_person_is_erased_and_nobody_else(service: Service) -> None:
    erased = await erasure.check_a_person_is_erased(service, ROWS)
    assert (erased["contact"], erased["import_run"], erased["folder_cursor"]) == (1, 1, 1)


async def test_an_organisation_is_erased_and_no_other(service: Service) -> None:
    report = await erasure.check_an_organisation_is_erased(service, ROWS)
    assert report.erased["contact"] == 2
