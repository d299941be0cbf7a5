"""What an erasure leaves of a person and an organisation in mail."""

import pytest

from mail.main import create_service
from mail.settings import Settings
from shared.hosting.service import Service
from shared.testing import erasure
from shared.testing.harness import StartService

ROWS = (
    """INSERT INTO sent_message (org_id, id, user_id, subject, recipients, status)
        VALUES ('{org}', 's-{user}', '{user}', '{mark}', '["{mark}"]', 'sent')""",
    """INSERT INTO synced_message (org_id, user_id, graph_id, subject, sender)
        VALUES ('{org}', '{user}', 'g', '{mark}', '{mark}')""",
    """INSERT INTO mail_cursor (org_id, user_id, folder_id, delta_link) VALUES ('{org}', '{user}', 'f', '{mark}')""",
)


@pytest.fixture
async def service(start_service: StartService) -> Service:
    return await start_service(create_service, Settings, "mail")


async def test_every_table_is_declared(service: Service) -> None:
    await erasure.check_declarations(service)


async def test_a_person_is_erased_and_nobody_else(service: Service) -> None:
    erased = await erasure.check_a_person_is_erased(service, ROWS)
    assert (erased["sent_message"], erased["synced_message"], erased["mail_cursor"]) == (1, 1, 1)


async def test_an_organisation_is_erased_and_no_other(service: Service) -> None:
    report = await erasure.check_an_organisation_is_erased(service, ROWS)
    assert report.erased["sent_message"] == 2
