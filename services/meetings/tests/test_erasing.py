"""What an erasure leaves of a person and an organisation in meetings."""

import pytest
from sqlalchemy import text

from meetings.main import create_service
from meetings.settings import Settings
from shared.hosting.service import Service
from shared.testing import erasure
from shared.testing.harness import StartService

ROWS = (
    """INSERT INTO meeting (org_id, id, user_id, organizer_name, organizer_oid, subject, body, starts_at, ends_at,
            attendees, status, version, auto_recording)
        VALUES ('{org}', 'm-{user}', '{user}', '{mark}', 'o', '{mark}', '{mark}', now(), now(),
            '[{{"email": "{mark}"}}]', 'scheduled', 1, false)""",
    """INSERT INTO request_key (org_id, user_id, key, request_hash, meeting_id)
        VALUES ('{org}', '{user}', '{mark}', 'h', 'm-{user}')""",
    """INSERT INTO job (org_id, kind, payload, priority, run_at) VALUES ('{org}', 'booked_end',
        '{{"meeting_id": "m-{user}", "about": "{mark}"}}', 0, now() + interval '1 day')""",
)


@pytest.fixture
async def service(start_service: StartService) -> Service:
    return await start_service(create_service, Settings, "meetings")


async def test_every_table_is_declared(service: Service) -> None:
    await erasure.check_declarations(service)


async def test_a_person_is_erased_and_nobody_else(service: Service) -> None:
    erased = await erasure.check_a_person_is_erased(service, ROWS)
    assert (erased["meeting"], erased["request_key"], erased["job"]) == (1, 1, 2)
    async with service.db.system_work() as work:
        told = await work.session.execute(text("SELECT topic, key, payload FROM outbox WHERE payload = ''"))
    assert [row.key.rpartition("-")[2] for row in told if row.topic == "meeting.state"] == ["anna"]


async def test_an_organisation_is_erased_and_no_other(service: Service) -> None:
    report = await erasure.check_an_organisation_is_erased(service, ROWS)
    assert report.erased["meeting"] == 2
